#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension WebhookSecret {
    /// The text that is shown once: `whsec_` and base64 (Standard Webhooks, "Signature scheme").
    public var text: String { WebhookSecret.prefix + Data(octets).base64EncodedString() }

    /// The beginning of `text` (Standard Webhooks, "Signature scheme").
    public static let prefix = "whsec_"
}

extension Webhook {
    /// The secrets that the webhook's requests are signed with, the newest first.
    public func secrets(at now: Timestamp) -> [WebhookSecret] {
        guard let previousSecret, let previousSecretUntil, now < previousSecretUntil else { return [secret] }
        return [secret, previousSecret]
    }

    /// Gives the webhook a new secret. Requests are also signed with the old one for ``rotationGrace``.
    public mutating func rotate(to new: WebhookSecret, now: Timestamp) {
        previousSecret = secret
        previousSecretUntil = now + Webhook.rotationGrace
        secret = new
    }
}
