import RelayCore

/// What clients of the HTTP face are held to.
public struct HTTPServerConfiguration: Sendable {
    /// Octets of a composed message.
    public var maximumMessageSize: Int
    public var maximumRecipients: Int
    /// Networks whose `X-Forwarded-For` is believed, and that may speak HTTP in the clear.
    public var trustedProxies: [NetworkBlock]

    public init(maximumMessageSize: Int, maximumRecipients: Int, trustedProxies: [NetworkBlock] = []) {
        self.maximumMessageSize = maximumMessageSize
        self.maximumRecipients = maximumRecipients
        self.trustedProxies = trustedProxies
    }
}
