/// Calls `body` with the octets where they are, or with a copy where they are not in one piece.
func withOctets<Result>(of octets: some Sequence<UInt8>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    octets.withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) }
        ?? Array(octets).withUnsafeBytes { body($0) }
}

/// What OpenSSL made, or has.
///
/// It fails where there is no memory, as Swift does, and for an OpenSSL without SHA-256 or AES-GCM. With such a one there is no
/// TLS 1.3 either, without which the relay takes no mail.
func available<Made>(_ made: Made?) -> Made {
    guard let made else { preconditionFailure("OpenSSL has no memory, or lacks SHA-256 or AES-128-GCM") }
    return made
}

/// As ``available(_:)``: none of the calls fails for other reasons.
func succeed(_ status: Int32) {
    precondition(status == 1, "OpenSSL has no memory, or lacks SHA-256 or AES-128-GCM")
}
