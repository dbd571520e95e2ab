import RelayCore

/// What clients of the HTTP face are held to.
public struct HTTPServerConfiguration: Sendable {
    /// Octets of a composed message.
    public var maximumMessageSize: Int
    /// Of one email, in `to`, `cc` and `bcc` together.
    public var maximumRecipients: Int
    /// Networks that may speak HTTP in the clear, and whose `X-Forwarded-For` is believed.
    public var trustedProxies: [NetworkBlock]
    /// A directory for large bodies while they come: files that have no name and go by themselves.
    public var scratchDirectory: String
    /// Where webhooks may be sent to.
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

    /// Octets of a request's body: what a message of the largest size needs in base64, with room for the rest of the document.
    public var maximumBodySize: Int { maximumMessageSize / 3 * 4 + (1 << 20) }
}
