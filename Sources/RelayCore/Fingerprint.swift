import Hashing

/// Tells a message that a client sends again, because it lost the 250, from another one: 128 bits of SHA-256.
///
/// Made of the key and either the idempotency key that the client named, or Message-ID, envelope and a hash of the client's header
/// fields and the body. A repeat may differ from the first in its trace fields alone: two alarms with one constant Message-ID
/// are two messages if their subjects or dates differ. So are two that differ in their tags or the time they are scheduled for: a
/// client that lost the 250 changes neither.
public struct Fingerprint: Hashable, Sendable {
    public let bytes: [UInt8]

    /// How long a message is known again after it was accepted.
    public static let memory = Duration.seconds(86_400)

    private static let length = 16

    public init(key: KeyID, idempotencyKey: String) {
        self.init(["idempotency-key", key.text, idempotencyKey])
    }

    /// Of an email of a request over HTTP that the client gave an idempotency key. Never that of a field in a message's header.
    ///
    /// - Parameters:
    ///   - request: the client's idempotency key, without NUL.
    ///   - part: the place of the email in a batch, from 0; nil where the request holds one email.
    public init(key: KeyID, request: String, part: Int? = nil) {
        self.init(["request", key.text, request, part.map(String.init) ?? ""])
    }

    /// - Parameters:
    ///   - digest: of the client's header fields and the body, by ``ContentHash``.
    ///   - tags: as the client gave them, without NUL.
    public init(
        key: KeyID, messageID: String, envelope: Envelope, content digest: [UInt8], tags: [String] = [],
        scheduledAt: Timestamp? = nil
    ) {
        var parts = ["message", key.text, messageID, envelope.reversePath ?? ""] + envelope.recipients
        // No recipient is empty, so what stands behind an empty part is none. Without options it is as it always was: what was
        // remembered before is known again.
        if !tags.isEmpty || scheduledAt != nil {
            parts += ["", scheduledAt.map { String($0.milliseconds) } ?? ""] + tags
        }
        self.init(parts, last: digest)
    }

    private init(_ parts: [String], last: [UInt8] = []) {
        var octets: [UInt8] = []
        octets.reserveCapacity(parts.reduce(last.count) { $0 + $1.utf8.count + 1 })
        for part in parts {
            octets.append(contentsOf: part.utf8)
            // No part holds a NUL, so no two lists of parts look alike.
            octets.append(0)
        }
        octets.append(contentsOf: last)
        bytes = Array(SHA256.digest(of: octets).prefix(Fingerprint.length))
    }
}

/// What a store gives for telling repeats.
public struct RepeatKey: Sendable {
    public var key: ContentHash.Key
    /// Until then a message may repeat one whose content was hashed by SHA-256, before the store had a key; nil: no message may.
    public var formerUntil: Timestamp?

    public init(_ key: ContentHash.Key, formerUntil: Timestamp? = nil) {
        self.key = key
        self.formerUntil = formerUntil
    }
}

/// Hashes a message's content as it comes.
///
/// With a key, as it takes a fifth of the time of SHA-256, and a tenth where the processor has no instructions for that. What the
/// hash must tell apart are contents that one client sends: it never sees a hash, nor the key, and would gain nothing by two messages
/// that pass for one.
public struct ContentHash: Sendable {
    /// The store's: all relays on it must find the same hash for the same content.
    public struct Key: Sendable {
        public static let length = GMAC.Key.length
        fileprivate let key: GMAC.Key

        /// Nil unless there are 16 octets.
        public init?(_ octets: [UInt8]) {
            guard let key = GMAC.Key(octets) else { return nil }
            self.key = key
        }
    }

    private var code: GMAC
    private var former: SHA256?

    /// - Parameter now: the moment at which the content begins to come.
    public init(_ key: RepeatKey, at now: Timestamp) {
        code = GMAC(key.key.key)
        former = key.formerUntil.flatMap { now < $0 ? SHA256() : nil }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        code.update(bytes)
        former?.update(bytes)
    }

    /// `code`: 16 octets. `former`: the 32 octets under which the same content may be remembered from before.
    public func finished() -> (code: [UInt8], former: [UInt8]?) { (code.code(), former?.digest()) }
}
