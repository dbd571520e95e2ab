/// The relay's id of a message. Ids are ordered by the time of acceptance and unique across the relays that share a
/// store.
///
/// An id has 63 bits: 41 for milliseconds since 2020, 10 for the relay instance, and 12 for a sequence number. As text
/// it has 13 characters of Crockford's base 32 in lower case, in the same order as the number. SMTP replies, logs and
/// commands use this text. The HTTP API puts ``prefix`` in front, as the vendor's API does. Both forms are accepted
/// everywhere.
public struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    /// Nil for negative numbers.
    public init?(rawValue: Int64) {
        guard rawValue >= 0 else { return nil }
        self.rawValue = rawValue
    }

    public static func < (a: MessageID, b: MessageID) -> Bool { a.rawValue < b.rawValue }

    /// The lowest number that an id assigned at `moment` or later can have.
    public static func first(at moment: Timestamp) -> Int64 {
        max(0, moment.milliseconds - MessageIDGenerator.epoch) << 22
    }

    /// When the id was assigned, to the millisecond; slightly later if many ids were assigned at once.
    public var moment: Timestamp { Timestamp(milliseconds: rawValue >> 22 + MessageIDGenerator.epoch) }

    /// The relay instance that assigned the id, 0 to 1,023.
    public var instance: Int64 { rawValue >> 12 & (MessageIDGenerator.instances - 1) }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    static let textLength = 13
    /// The prefix of an id in the HTTP API.
    public static let prefix = "msg_"

    /// Reads an id with or without ``prefix``, in upper or lower case; nil for anything else.
    public init?(_ text: String) {
        let hasPrefix = text.utf8.starts(with: MessageID.prefix.utf8)
        let digits = text.utf8.dropFirst(hasPrefix ? MessageID.prefix.utf8.count : 0)
        guard digits.count == MessageID.textLength else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            // Octet by octet: Unicode's lower case would turn the KELVIN SIGN into "k".
            let lowered = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            guard let digit = MessageID.alphabet.firstIndex(of: lowered), value >> 58 == 0 else { return nil }
            value = value << 5 | UInt64(digit)
        }
        self.init(rawValue: Int64(bitPattern: value))
    }

    /// The id as the HTTP API writes it: ``prefix`` and ``description``.
    public var external: String { MessageID.prefix + description }

    public var description: String {
        String(unsafeUninitializedCapacity: MessageID.textLength) { buffer in
            for i in 0..<MessageID.textLength {
                let shift = 5 * (MessageID.textLength - 1 - i)
                buffer[i] = MessageID.alphabet[Int(truncatingIfNeeded: rawValue >> shift & 31)]
            }
            return MessageID.textLength
        }
    }
}

/// Assigns message ids for one relay. It never assigns the same id twice, even if the clock steps back or was set back
/// while the relay was down. Each id is greater than the previous one, even if the relay gets another instance number.
public struct MessageIDGenerator: Sendable {
    /// The instance number of the last id.
    private var instance: Int64 = 0
    private var last: Int64 = 0
    private var sequence: Int64 = 0

    /// 2020-01-01T00:00:00Z. 41 bits of milliseconds last until 2089.
    static let epoch: Int64 = 1_577_836_800_000
    /// The number of relay instances that ids can distinguish.
    public static let instances: Int64 = 1024
    static let sequences: Int64 = 4096

    /// - Parameter newest: the newest id in the store. All new ids are greater.
    public init(after newest: MessageID? = nil) {
        guard let newest else { return }
        // Start in the next millisecond. Another relay may have assigned the newest id, and this relay may have
        // assigned ids in the same millisecond.
        last = newest.rawValue >> 22 + 1
        sequence = -1
    }

    /// - Parameter instance: the relay's current number, which no other live relay on the same store has. It is used
    ///   modulo 1,024.
    public mutating func next(at now: Timestamp, instance number: Int64) -> MessageID {
        let moment = min(max(now.milliseconds - Self.epoch, 0), 1 << 41 - 1)
        let number = (number % Self.instances + Self.instances) % Self.instances
        if number != instance {
            // Within the millisecond of the last id, a new id with a lower instance number would sort before the last
            // id.
            if sequence >= 0 { last += 1 }
            sequence = -1
            instance = number
        }
        if moment > last {
            last = moment
            sequence = 0
        } else {
            sequence += 1
            if sequence == Self.sequences {
                // More than 4,096 ids in a millisecond, or the clock stands still: use the next millisecond early.
                last += 1
                sequence = 0
            }
        }
        guard let id = MessageID(rawValue: last << 22 | instance << 12 | sequence) else {
            // All three parts are non-negative, and `last` fits in 41 bits until 2089.
            preconditionFailure("a message id of 63 bits")
        }
        return id
    }
}
