import Hashing

/// Distinguishes a message that a client sends again, because the client did not receive the reply 250, from a
/// different message. It is 128 bits of a SHA-256.
///
/// It is made from the API key's id and either the client's idempotency key, or the Message-ID, the envelope and a hash
/// of the client's header fields and the body. A repeat may differ from the first message only in its trace fields. Two
/// alerts from a program that always uses the same Message-ID are different messages if their subjects or dates differ.
/// Two messages are also different if their tags or scheduled times differ, because a client that repeats a message
/// sends the same tags and time again.
public struct Fingerprint: Hashable, Sendable {
    /// The 16 octets.
    public let bytes: [UInt8]

    /// How long after a message was accepted a repeat of it is recognised.
    public static let memory = Duration.seconds(86_400)

    private static let length = 16

    /// The fingerprint of a message that has an idempotency key in its header. With another API key, the same
    /// idempotency key gives another fingerprint.
    public init(key: KeyID, idempotencyKey: String) {
        self.init(["idempotency-key", key.text, idempotencyKey])
    }

    /// The fingerprint of an email in an HTTP request to which the client gave an idempotency key. It never equals the
    /// fingerprint of an idempotency key in a message's header.
    ///
    /// - Parameters:
    ///   - request: the client's idempotency key, without NUL.
    ///   - part: the email's position in a batch, from 0; nil if the request is for one email.
    public init(key: KeyID, request: String, part: Int? = nil) {
        self.init(["request", key.text, request, part.map(String.init) ?? ""])
    }

    /// - Parameters:
    ///   - digest: the hash of the client's header fields and the body, by ``ContentHash``.
    ///   - tags: as the client gave them, without NUL.
    public init(
        key: KeyID, messageID: String, envelope: Envelope, content digest: [UInt8], tags: [String] = [],
        scheduledAt: Timestamp? = nil
    ) {
        var parts = ["message", key.text, messageID, envelope.reversePath ?? ""] + envelope.recipients
        // No recipient is empty, so the parts after an empty one are not recipients. Without tags and a scheduled time
        // the hash is the same as in earlier versions, so messages that those versions remembered are recognised.
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
            // No part contains a NUL, so two different lists of parts never give the same octets.
            octets.append(0)
        }
        octets.append(contentsOf: last)
        bytes = Array(SHA256.digest(of: octets).prefix(Fingerprint.length))
    }
}

/// The key that a store provides for recognising repeats.
public struct RepeatKey: Sendable {
    /// The key for the hash of each message's content.
    public var key: ContentHash.Key
    /// Until this time, a message can be a repeat of one whose content was hashed with SHA-256, before the store had a
    /// key. Nil: the store remembers no such message.
    public var formerUntil: Timestamp?

    public init(_ key: ContentHash.Key, formerUntil: Timestamp? = nil) {
        self.key = key
        self.formerUntil = formerUntil
    }
}

/// Hashes a message's content as it arrives.
///
/// It is a keyed hash, because that takes a fifth of the time of SHA-256, and a tenth if the processor has no
/// instructions for SHA-256. The hash must distinguish contents that one client sends. The client never sees a hash or
/// the key, and would gain nothing from two messages with the same hash.
public struct ContentHash: Sendable {
    /// The key belongs to the store: all relays on the same store must compute the same hash for the same content.
    public struct Key: Sendable {
        /// The length of a key in octets.
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

    /// - Parameter now: the moment when the content begins to arrive.
    public init(_ key: RepeatKey, at now: Timestamp) {
        code = GMAC(key.key.key)
        former = key.formerUntil.flatMap { now < $0 ? SHA256() : nil }
    }

    /// Adds the next octets of the content.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        code.update(bytes)
        former?.update(bytes)
    }

    /// The hashes of the whole content. `code`: 16 octets. `former`: the 32 octets under which an earlier version may
    /// have remembered the same content; nil if `RepeatKey/formerUntil` is nil or has passed.
    public func finished() -> (code: [UInt8], former: [UInt8]?) { (code.code(), former?.digest()) }
}
