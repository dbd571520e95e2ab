import HTTPTypes
import RelayCore

/// What a path below `/v1/email/templates` and a method ask for.
enum TemplateRoute: Hashable, Sendable {
    /// The requests that need a body.
    case write(TemplateRequest.Purpose)
    case act(Action)

    enum Action: Hashable, Sendable {
        case list
        case show(TemplateID)
        case delete(TemplateID)
        case versions(TemplateID)
        case version(TemplateReference)
    }

    static let path = "/v1/email/templates"

    /// Nil for a path that does not begin with `path`.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Route.Finding? {
        guard path.hasPrefix(TemplateRoute.path) else { return nil }
        let rest = path.dropFirst(TemplateRoute.path.count)
        if rest.isEmpty { return find(method, [.get: .act(.list), .post: .write(.create)]) }
        let parts = rest.split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].isEmpty, let id = TemplateID(String(parts[1])) else { return .notFound }
        switch parts.count {
        case 2: return find(method, [.get: .act(.show(id)), .patch: .write(.change(id)), .delete: .act(.delete(id))])
        case 3:
            switch parts[2] {
            case "versions": return find(method, [.get: .act(.versions(id))])
            case "render": return find(method, [.post: .write(.render(id))])
            case "rollback": return find(method, [.post: .write(.rollBack(id))])
            default: return .notFound
            }
        case 4:
            guard parts[2] == "versions", let reference = TemplateReference("\(id)@\(parts[3])") else {
                return .notFound
            }
            return find(method, [.get: .act(.version(reference))])
        default: return .notFound
        }
    }

    private static func find(
        _ method: HTTPRequest.Method, _ routes: [HTTPRequest.Method: TemplateRoute]
    ) -> Route.Finding {
        Route.find(method, routes.mapValues { .templates($0) })
    }
}
