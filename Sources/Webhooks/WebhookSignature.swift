import Hashing
import RelayCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The header fields that show a receiver that a request comes from the relay and is not a replay.
struct WebhookSignature: Hashable, Sendable {
    /// Standard Webhooks: the event's id, which is the same at each attempt.
    let id: String
    /// The time of this attempt in seconds since 1970.
    let timestamp: Int64
    /// `v1,` and base64, once for each secret, separated by spaces.
    let standard: String
    /// The vendor's `X-Hiveku-Signature`: the HMAC-SHA256 of the body in hexadecimal.
    let hiveku: String

    /// - Parameter secrets: at least one, the newest first. The vendor's field has room for only one signature, which
    ///   uses the newest secret.
    init(id: String, body: [UInt8], secrets: [WebhookSecret], at now: Timestamp) {
        self.id = id
        timestamp = now.milliseconds / 1000
        let signed = Array("\(id).\(timestamp).".utf8) + body
        standard = secrets.map { secret in
            let code = HMACSHA256.code(for: signed, key: secret.octets)
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
        // The vendor calls the text that is shown "the secret", so the whole text is the key here.
        hiveku =
            secrets.first.map { secret in
                HMACSHA256.code(for: body, key: secret.text.utf8).hexadecimal
            } ?? ""
    }

    var fields: [(name: String, value: String)] {
        [
            ("webhook-id", id), ("webhook-timestamp", String(timestamp)), ("webhook-signature", standard),
            ("X-Hiveku-Signature", hiveku),
        ]
    }
}
