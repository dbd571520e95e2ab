internal import COpenSSL
private import Synchronization

/// The keys that seal session tickets (RFC 5077, RFC 8446 section 4.6.1).
///
/// Several contexts can use the same `TLSTicketKeys`. So tickets of an old context stay valid with the new context
/// after a reload of certificates. ``rotate()`` makes a new key. Until the next rotation, tickets that were sealed with
/// the previous key are accepted and replaced. For forward secrecy of TLS 1.2 sessions, call `rotate()` once or twice a
/// day. A stolen key then opens only the sessions whose tickets were sealed with that key.
///
/// The keys come from OpenSSL's private random generator, never leave the process, and are wiped at the end.
///
/// This uses OpenSSL's callback, not `SSL_CTX_set_tlsext_ticket_keys`, for two reasons. That function sets a single key
/// for a context, so a rotation would make every ticket invalid at once. And it would be a data race to change the key
/// of a context while other threads use it. The callback gets the current key each time, and also accepts tickets of
/// the previous key.
public final class TLSTicketKeys: Sendable, CustomStringConvertible, CustomReflectable {
    private struct Keys: Sendable {
        var current: TicketKey
        var previous: TicketKey?
    }
    private let keys: Mutex<Keys>

    /// Makes a random key.
    /// - Throws: ``TLSConfigurationError`` if the system gives no randomness.
    public init() throws(TLSConfigurationError) {
        self.keys = Mutex(Keys(current: try TicketKey(), previous: nil))
    }

    /// Seals new tickets with a new key from now on. It may be called on any thread while connections are made.
    /// - Throws: ``TLSConfigurationError`` if the system provides no randomness. The keys then stay unchanged.
    public func rotate() throws(TLSConfigurationError) {
        let fresh = try TicketKey()
        self.keys.withLock { $0 = Keys(current: fresh, previous: $0.current) }
    }

    public var description: String { "TLSTicketKeys(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Answers OpenSSL's callback. The results are those of `SSL_CTX_set_tlsext_ticket_key_evp_cb`.
    func prepare(
        name: UnsafeMutablePointer<UInt8>, vector: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer,
        mac: OpaquePointer, sealing: Bool
    ) -> Int32 {
        let keys = self.keys.withLock { $0 }
        if sealing {
            guard RAND_bytes(vector, EVP_MAX_IV_LENGTH) == 1,
                keys.current.start(cipher: cipher, vector: vector, mac: mac, sealing: true)
            else { return -1 }
            keys.current.copyName(to: name)
            return 1
        }
        if keys.current.hasName(name) {
            // 1: the ticket is valid, and no new one is needed. TLS 1.3 replaces it in any case.
            return keys.current.start(cipher: cipher, vector: vector, mac: mac, sealing: false) ? 1 : -1
        }
        if let previous = keys.previous, previous.hasName(name) {
            // 2: the ticket is valid, but the client must get a new one.
            return previous.start(cipher: cipher, vector: vector, mac: mac, sealing: false) ? 2 : -1
        }
        return 0  // The ticket is not ours: OpenSSL does a full handshake.
    }
}

/// One ticket key: a public name of 16 octets, an AES-256 key and an HMAC-SHA-256 key.
///
/// `@unchecked Sendable` is correct. The memory is written only in `init`, before other code can have a reference, and
/// is wiped in `deinit`, when no reference is left. In between it is only read.
private final class TicketKey: @unchecked Sendable {
    private static let nameLength = 16
    private static let keyLength = 32

    private let storage: UnsafeMutablePointer<UInt8>
    private static let storageLength = nameLength + 2 * keyLength

    init() throws(TLSConfigurationError) {
        OpenSSLErrorQueue.clear()
        self.storage = .allocate(capacity: Self.storageLength)
        self.storage.initialize(repeating: 0, count: Self.storageLength)
        guard RAND_bytes(self.storage, Int32(Self.nameLength)) == 1,
            RAND_priv_bytes(self.storage + Self.nameLength, Int32(2 * Self.keyLength)) == 1
        else {
            throw TLSConfigurationError(
                .internalFailure, "no random numbers for ticket keys: \(OpenSSLErrorQueue.drainedText())")
        }
    }

    deinit {
        OPENSSL_cleanse(self.storage, Self.storageLength)
        self.storage.deallocate()
    }

    func copyName(to target: UnsafeMutablePointer<UInt8>) {
        target.update(from: self.storage, count: Self.nameLength)
    }

    /// The name is public, so the comparison need not take constant time.
    func hasName(_ name: UnsafePointer<UInt8>) -> Bool {
        UnsafeBufferPointer(start: name, count: Self.nameLength)
            .elementsEqual(UnsafeBufferPointer(start: self.storage, count: Self.nameLength))
    }

    func start(
        cipher: OpaquePointer, vector: UnsafePointer<UInt8>, mac: OpaquePointer, sealing: Bool
    ) -> Bool {
        let cipherKey = self.storage + Self.nameLength
        let macKey = cipherKey + Self.keyLength
        return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, cipherKey, vector, sealing ? 1 : 0) == 1
            && COpenSSL_ticket_mac_init(mac, macKey, Self.keyLength) == 1
    }
}
