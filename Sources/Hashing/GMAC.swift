import COpenSSL

/// GMAC (NIST SP 800-38D) with AES-128 and one nonce for all, by the system's OpenSSL: a keyed hash at the speed of memory on each
/// processor that has instructions for AES.
///
/// With the nonce always the same it is no signature: a client that sees codes could find out what makes others. It tells contents apart
/// where the codes are shown to nobody: two contents of n octets that nobody chose with the key in hand have the same code with a
/// probability of at most n / 2^132.
public struct GMAC: Sendable {
    /// What the codes depend on: 16 octets from a generator of random numbers, kept where nobody but the relay reads them.
    public struct Key: Sendable {
        public static let length = 16
        fileprivate let octets: [UInt8]

        /// Nil unless there are 16 octets.
        public init?(_ octets: [UInt8]) {
            guard octets.count == Key.length else { return nil }
            self.octets = octets
        }
    }

    /// Octets of a code.
    public static let length = 16

    private let state: State
    /// Octets so far.
    private var position = 0

    public init(_ key: Key) { state = State(key) }

    /// - Precondition: no copy of this value was given octets that this one was not. OpenSSL 3.0 can't copy what it
    ///   remembers of a GMAC, so copies share it.
    public mutating func update(_ octets: UnsafeRawBufferPointer) {
        state.update(octets, at: position)
        position += octets.count
    }

    /// The code of all octets: 16 octets. Afterwards none can be added.
    public func code() -> [UInt8] { state.finish(at: position) }

    // As with SHA-256: looked up once, never changed, and its users are counted with atomics.
    fileprivate nonisolated(unsafe) static let algorithm = available(EVP_CIPHER_fetch(nil, "AES-128-GCM", nil))

    // Copies of a `GMAC` share it, and no two of them add octets: a message's content is added by one thread at a time, and the position
    // stops the process where a copy went on by itself. So nothing is read while it is written: `@unchecked` is sound.
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
            // OpenSSL counts in 32 bits.
            while !octets.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: octets.prefix(1 << 30))
                var written: Int32 = 0
                // What has no place for a cipher text is authenticated only.
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
