import HTTPTypes
import InternetMessage

/// What a path below `/v1/email/domains` and a method ask for.
enum DomainRoute: Hashable, Sendable {
    /// The only request that needs a body.
    case create
    case act(Action)

    enum Action: Hashable, Sendable {
        case list
        case show(DomainName)
        case verify(DomainName)
    }

    static let path = "/v1/email/domains"

    /// Nil for a path that does not begin with `path`.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Route.Finding? {
        guard path.hasPrefix(DomainRoute.path) else { return nil }
        let rest = path.dropFirst(DomainRoute.path.count)
        if rest.isEmpty {
            switch method {
            case .get, .head: return .found(.domains(.act(.list)))
            case .post: return .found(.domains(.create))
            default: return .otherMethod(allowed: "GET, HEAD, POST")
            }
        }
        let parts = rest.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].isEmpty, let name = name(parts[1]) else { return .notFound }
        switch (parts.count, parts.last) {
        case (2, _):
            return method == .get || method == .head
                ? .found(.domains(.act(.show(name)))) : .otherMethod(allowed: "GET, HEAD")
        case (3, "verify"):
            return method == .post ? .found(.domains(.act(.verify(name)))) : .otherMethod(allowed: "POST")
        default: return .notFound
        }
    }

    /// The name in A-labels or U-labels.
    private static func name(_ part: some StringProtocol) -> DomainName? {
        guard part.utf8.count <= 3 * 1024, let text = PercentEncoding.decoded(part.utf8) else { return nil }
        return DomainName(text: text)
    }
}
