import COpenSSL

/// SHA-256 (FIPS 180-4), computed by the system's OpenSSL. Octets can be added in pieces.
///
/// It is a value: a copy is independent of the original.
public struct SHA256: Sendable {
    /// The length of a digest in octets.
    public static let length = 32

    private var state = State()

    public init() {}

    /// Adds octets.
    public mutating func update(_ octets: UnsafeRawBufferPointer) {
        if !isKnownUniquelyReferenced(&state) { state = state.copy() }
        state.update(octets)
    }

    /// Adds octets.
    public mutating func update(_ octets: some Sequence<UInt8>) {
        withOctets(of: octets) { update($0) }
    }

    /// Returns the digest of all octets so far, 32 octets.
    public func digest() -> [UInt8] { state.copy().finish() }

    /// Returns the digest of these octets, 32 octets.
    public static func digest(of octets: some Sequence<UInt8>) -> [UInt8] {
        withOctets(of: octets) { octets in
            let state = State()
            state.update(octets)
            return state.finish()
        }
    }

    // Looked up once, because OpenSSL searches its providers each time an algorithm is requested by name. The value
    // never changes afterwards, and OpenSSL counts its users with atomics.
    fileprivate nonisolated(unsafe) static let algorithm = available(EVP_MD_fetch(nil, "SHA2-256", nil))

    // A `SHA256` updates its state only while no other `SHA256` refers to it. So `@unchecked` is sound.
    private final class State: @unchecked Sendable {
        private let context: OpaquePointer = available(EVP_MD_CTX_new())

        init() { succeed(EVP_DigestInit_ex2(context, SHA256.algorithm, nil)) }

        private init(copying other: State) { succeed(EVP_MD_CTX_copy_ex(context, other.context)) }

        deinit { EVP_MD_CTX_free(context) }

        func copy() -> State { State(copying: self) }

        func update(_ octets: UnsafeRawBufferPointer) {
            succeed(EVP_DigestUpdate(context, octets.baseAddress, octets.count))
        }

        /// May be called only once, at the end.
        func finish() -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: SHA256.length) { buffer, count in
                succeed(EVP_DigestFinal_ex(context, buffer.baseAddress, nil))
                count = SHA256.length
            }
        }
    }
}

/// HMAC (RFC 2104) with SHA-256, computed by the system's OpenSSL.
public enum HMACSHA256 {
    /// Returns the code, 32 octets.
    public static func code(for octets: some Sequence<UInt8>, key: some Sequence<UInt8>) -> [UInt8] {
        withOctets(of: key) { key in
            withOctets(of: octets) { octets in
                [UInt8](unsafeUninitializedCapacity: SHA256.length) { buffer, count in
                    // OpenSSL treats an empty key with a null address as missing.
                    var empty: UInt8 = 0
                    succeed(
                        withUnsafePointer(to: &empty) { empty in
                            HMAC(
                                SHA256.algorithm, key.baseAddress ?? UnsafeRawPointer(empty), Int32(key.count),
                                octets.bindMemory(to: UInt8.self).baseAddress ?? empty, octets.count,
                                buffer.baseAddress,
                                nil)
                        } == nil ? 0 : 1)
                    count = SHA256.length
                }
            }
        }
    }
}
