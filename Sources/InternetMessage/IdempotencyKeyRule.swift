/// The rule for idempotency keys over SMTP and HTTP: 1 to 256 printable ASCII characters.
package enum IdempotencyKeyRule {
    /// The allowed lengths in octets.
    package static let lengths = 1...256

    package static func holds(_ octets: some Collection<UInt8>) -> Bool {
        lengths.contains(octets.count) && octets.allSatisfy { 0x20...0x7E ~= $0 }
    }
}
