import HTTPTypes
import InternetMessage
import MessageComposition

/// What a path below `/v1/email/suppressions` and a method ask for.
enum SuppressionRoute: Hashable, Sendable {
    case list
    /// The only request that needs a body.
    case create
    /// The address in the form in which it is listed.
    case show(String)
    case remove(String)

    static let path = "/v1/email/suppressions"

    /// Nil for a path that does not begin with `path`.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Route.Finding? {
        guard path.hasPrefix(SuppressionRoute.path) else { return nil }
        let rest = path.dropFirst(SuppressionRoute.path.count)
        if rest.isEmpty {
            switch method {
            case .get, .head: return .found(.suppressions(.list))
            case .post: return .found(.suppressions(.create))
            default: return .otherMethod(allowed: "GET, HEAD, POST")
            }
        }
        // An address may contain a slash, which not every client encodes.
        guard rest.first == "/", let address = address(rest.dropFirst()) else { return .notFound }
        switch method {
        case .get, .head: return .found(.suppressions(.show(address)))
        case .delete: return .found(.suppressions(.remove(address)))
        default: return .otherMethod(allowed: "GET, HEAD, DELETE")
        }
    }

    /// The address that a part of a path names; nil if it is not one.
    private static func address(_ part: some StringProtocol) -> String? {
        guard part.utf8.count <= 3 * Mailbox.maximumLength, let decoded = PercentEncoding.decoded(part.utf8),
            !decoded.isEmpty, decoded.utf8.count <= Mailbox.maximumLength
        else { return nil }
        // An address that SES reported may be invalid by the relay's rules.
        return (try? Mailbox(parsing: decoded))?.address.text ?? decoded
    }

    /// The path of the entry for an address.
    static func path(of address: String) -> String { path + "/" + PercentEncoding.encoded(address.utf8) }
}
