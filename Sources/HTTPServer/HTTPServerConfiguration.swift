import RelayCore

/// The limits and rules for clients of the HTTP face.
public struct HTTPServerConfiguration: Sendable {
    /// The largest number of octets of a composed message.
    public var maximumMessageSize: Int
    /// The largest number of recipients of one email, in `to`, `cc` and `bcc` together.
    public var maximumRecipients: Int
    /// Networks that may use HTTP without TLS, and whose `X-Forwarded-For` is trusted.
    public var trustedProxies: [NetworkBlock]
    /// A directory for large bodies while they arrive. The files have no names and disappear by themselves.
    public var scratchDirectory: String
    /// The addresses that webhooks may reach.
    public var webhookAddresses: WebhookAddressPolicy

    public init(
        maximumMessageSize: Int, maximumRecipients: Int, trustedProxies: [NetworkBlock] = [], scratchDirectory: String,
        webhookAddresses: WebhookAddressPolicy = WebhookAddressPolicy()
    ) {
        self.maximumMessageSize = maximumMessageSize
        self.maximumRecipients = maximumRecipients
        self.trustedProxies = trustedProxies
        self.scratchDirectory = scratchDirectory
        self.webhookAddresses = webhookAddresses
    }

    /// The largest number of octets of a request's body: the base64 of a message of the largest size, with room for the
    /// rest of the document.
    public var maximumBodySize: Int { maximumMessageSize / 3 * 4 + (1 << 20) }
}
