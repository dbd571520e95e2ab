/// Calls `body` with the octets in place, or with a copy if they are not contiguous.
func withOctets<Result>(of octets: some Sequence<UInt8>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    octets.withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) }
        ?? Array(octets).withUnsafeBytes { body($0) }
}

/// Returns `made`, an object that OpenSSL made or has.
///
/// It stops the process when there is no memory, as Swift does, or when OpenSSL lacks SHA-256 or AES-GCM. Every OpenSSL
/// with TLS 1.3 has both.
func available<Made>(_ made: Made?) -> Made {
    guard let made else { preconditionFailure("OpenSSL has no memory, or lacks SHA-256 or AES-128-GCM") }
    return made
}

/// Stops the process, as ``available(_:)`` does, if `status` is not 1. The calls fail for no other reasons.
func succeed(_ status: Int32) {
    precondition(status == 1, "OpenSSL has no memory, or lacks SHA-256 or AES-128-GCM")
}
