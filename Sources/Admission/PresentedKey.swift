/// What a client shows to be let in: a key, as far as it is one, and where it stands in the protocol.
public struct PresentedKey: Sendable {
    /// Where the client has put the key, so that a refusal can name that place.
    public enum Place: Hashable, Sendable {
        /// The password of SMTP's AUTH.
        case password
        /// HTTP's `Authorization: Bearer`.
        case bearerToken

        var words: String {
            switch self {
            case .password: "password"
            case .bearerToken: "Bearer token"
            }
        }
    }

    public var place: Place
    /// The key as it came.
    public var octets: [UInt8]
    /// Only serves to name a mistake.
    public var userName: [UInt8]

    public init(place: Place, octets: [UInt8], userName: [UInt8] = []) {
        self.place = place
        self.octets = octets
        self.userName = userName
    }
}
