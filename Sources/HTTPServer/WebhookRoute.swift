import HTTPTypes
import RelayCore

/// What a path below `/v1/email/webhooks` and a method ask for.
enum WebhookRoute: Hashable, Sendable {
    /// The requests that need a body.
    case write(WebhookRequest.Purpose)
    case act(Action)

    enum Action: Hashable, Sendable {
        case list
        case show(WebhookID)
        case delete(WebhookID)
        case test(WebhookID)
        case rotate(WebhookID)
        case deliveries(WebhookID)
    }

    static let path = "/v1/email/webhooks"

    /// Nil for a path that does not begin with `path`.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Route.Finding? {
        guard path.hasPrefix(WebhookRoute.path) else { return nil }
        let rest = path.dropFirst(WebhookRoute.path.count)
        if rest.isEmpty { return find(method, [.get: .act(.list), .post: .write(.create)]) }
        let parts = rest.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].isEmpty, let id = WebhookID(String(parts[1])) else { return .notFound }
        if parts.count == 2 {
            return find(method, [.get: .act(.show(id)), .patch: .write(.change(id)), .delete: .act(.delete(id))])
        }
        guard parts.count == 3 else { return .notFound }
        switch parts[2] {
        case "test": return find(method, [.post: .act(.test(id))])
        case "rotate-secret": return find(method, [.post: .act(.rotate(id))])
        case "deliveries": return find(method, [.get: .act(.deliveries(id))])
        default: return .notFound
        }
    }

    private static func find(
        _ method: HTTPRequest.Method, _ routes: [HTTPRequest.Method: WebhookRoute]
    ) -> Route.Finding {
        Route.find(method, routes.mapValues { .webhooks($0) })
    }
}
