/// A key that a client shows to authenticate, and the place of the key in the protocol. It is possible that this is not
/// a key at all.
public struct PresentedKey: Sendable {
    /// The place where the client put the key. A refusal names it.
    public enum Place: Hashable, Sendable {
        /// The password in SMTP's AUTH.
        case password
        /// `Authorization: Bearer` in HTTP.
        case bearerToken

        var words: String {
            switch self {
            case .password: "password"
            case .bearerToken: "Bearer token"
            }
        }
    }

    /// Where the client put the key.
    public var place: Place
    /// The key as it was received.
    public var octets: [UInt8]
    /// The user name. It is used only to describe a mistake.
    public var userName: [UInt8]

    public init(place: Place, octets: [UInt8], userName: [UInt8] = []) {
        self.place = place
        self.octets = octets
        self.userName = userName
    }
}
