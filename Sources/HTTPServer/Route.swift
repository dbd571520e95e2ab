import HTTPTypes
import RelayCore

/// What a path and a method ask for.
enum Route: Hashable, Sendable {
    case send
    case batch
    case messages
    case message(MessageID)
    case cancel(MessageID)
    case suppressions(SuppressionRoute)
    case webhooks(WebhookRoute)
    case templates(TemplateRoute)
    case tags
    case domains(DomainRoute)
    case openAPI

    enum Finding: Hashable, Sendable {
        case found(Route)
        case notFound
        /// The path exists, but only for these methods.
        case otherMethod(allowed: String)
    }

    /// - Parameter path: the path of the request's target, without its query.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Finding {
        if let finding = SuppressionRoute.find(method, path) ?? WebhookRoute.find(method, path)
            ?? TemplateRoute.find(method, path) ?? DomainRoute.find(method, path)
        {
            return finding
        }
        guard let (route, isPost) = known(path) else { return .notFound }
        switch method {
        case .post where isPost, .get where !isPost, .head where !isPost: return .found(route)
        default: return .otherMethod(allowed: isPost ? "POST" : "GET, HEAD")
        }
    }

    private static func known(_ path: some StringProtocol) -> (Route, isPost: Bool)? {
        switch path {
        case "/v1/email/send": return (.send, true)
        case "/v1/email/batch": return (.batch, true)
        case "/v1/email/messages": return (.messages, false)
        case "/v1/email/tags": return (.tags, false)
        case "/v1/openapi.json": return (.openAPI, false)
        default: break
        }
        let parts = path.split(separator: "/", maxSplits: 6, omittingEmptySubsequences: false)
        guard parts.count >= 5, parts[..<4].elementsEqual(["", "v1", "email", "messages"]),
            let id = MessageID(String(parts[4]))
        else { return nil }
        if parts.count == 5 { return (.message(id), false) }
        if parts.count == 6, parts[5] == "cancel" { return (.cancel(id), true) }
        return nil
    }

    /// The route for a method of a path that supports these methods. HEAD is supported if GET is.
    static func find(_ method: HTTPRequest.Method, _ routes: [HTTPRequest.Method: Route]) -> Finding {
        if let route = routes[method == .head ? .get : method] { return .found(route) }
        let order: [HTTPRequest.Method] = [.get, .post, .patch, .delete]
        let allowed = order.filter { routes[$0] != nil }.flatMap { $0 == .get ? ["GET", "HEAD"] : [$0.rawValue] }
        return .otherMethod(allowed: allowed.joined(separator: ", "))
    }

    /// The scope that a key needs for the route; nil if no key is needed.
    var scope: Scope? {
        switch self {
        case .send, .messages, .message, .cancel, .suppressions, .tags: .send
        case .batch: .batch
        case .webhooks: .webhooks
        case .templates: .templates
        case .domains: .domains
        case .openAPI: nil
        }
    }

    var name: HTTPRouteName {
        switch self {
        case .send: .send
        case .batch: .batch
        case .messages, .message: .messages
        case .cancel: .cancel
        case .suppressions: .suppressions
        case .webhooks: .webhooks
        case .templates: .templates
        case .tags: .tags
        case .domains: .domains
        case .openAPI: .openapi
        }
    }
}
