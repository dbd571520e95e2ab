import COpenSSL

/// GMAC (NIST SP 800-38D) with AES-128 and a constant nonce, computed by the system's OpenSSL. It is a keyed hash that
/// is as fast as memory on processors with AES instructions.
///
/// Because the nonce is constant, the code is not a signature: a client that sees codes could compute the codes of
/// other contents. GMAC distinguishes contents as long as the codes are kept secret. Two contents of n octets that were
/// chosen without knowledge of the key have the same code with a probability of at most n / 2^132.
public struct GMAC: Sendable {
    /// The key of the codes: 16 octets from a random number generator. It must be readable by the relay only.
    public struct Key: Sendable {
        /// The length of a key in octets.
        public static let length = 16
        fileprivate let octets: [UInt8]

        /// Returns nil if there are not exactly 16 octets.
        public init?(_ octets: [UInt8]) {
            guard octets.count == Key.length else { return nil }
            self.octets = octets
        }
    }

    /// The length of a code in octets.
    public static let length = 16

    private let state: State
    /// The number of octets so far.
    private var position = 0

    /// The state before the first octet.
    public init(_ key: Key) { state = State(key) }

    /// Adds octets.
    ///
    /// - Precondition: this value has got all octets that were added to copies of it. OpenSSL 3.0 can't copy the state
    ///   of a GMAC, so copies share it.
    public mutating func update(_ octets: UnsafeRawBufferPointer) {
        state.update(octets, at: position)
        position += octets.count
    }

    /// Returns the code of all octets, 16 octets. Afterwards no octets can be added.
    public func code() -> [UInt8] { state.finish(at: position) }

    // As with SHA-256, the algorithm is looked up once and never changed, and OpenSSL counts its users with atomics.
    fileprivate nonisolated(unsafe) static let algorithm = available(EVP_CIPHER_fetch(nil, "AES-128-GCM", nil))

    // Copies of a `GMAC` share this state, and only one of them may add octets. One thread at a time adds a message's
    // content. The position stops the process if another copy has added octets. So the state is never read while it is
    // written, and `@unchecked` is sound.
    private final class State: @unchecked Sendable {
        private let context: OpaquePointer = available(EVP_CIPHER_CTX_new())
        private var position = 0
        private var code: [UInt8]?

        init(_ key: Key) {
            let nonce = [UInt8](repeating: 0, count: 12)
            succeed(EVP_EncryptInit_ex2(context, GMAC.algorithm, key.octets, nonce, nil))
        }

        deinit { EVP_CIPHER_CTX_free(context) }

        func update(_ octets: UnsafeRawBufferPointer, at position: Int) {
            precondition(position == self.position && code == nil, "a copy of this GMAC went on by itself")
            var octets = octets[...]
            // OpenSSL counts the octets of one call in 32 bits.
            while !octets.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: octets.prefix(1 << 30))
                var written: Int32 = 0
                // Data without a buffer for ciphertext is only authenticated.
                succeed(
                    EVP_EncryptUpdate(
                        context, nil, &written, piece.bindMemory(to: UInt8.self).baseAddress, Int32(piece.count)))
                octets = octets.dropFirst(piece.count)
                self.position += piece.count
            }
        }

        func finish(at position: Int) -> [UInt8] {
            precondition(position == self.position, "a copy of this GMAC went on by itself")
            if let code { return code }
            let code = [UInt8](unsafeUninitializedCapacity: GMAC.length) { buffer, count in
                var written: Int32 = 0
                succeed(EVP_EncryptFinal_ex(context, buffer.baseAddress, &written))
                succeed(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(GMAC.length), buffer.baseAddress))
                count = GMAC.length
            }
            self.code = code
            return code
        }
    }
}
