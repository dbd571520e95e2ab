/// The relay's id of a message: ordered by time of acceptance, unique across the relays that share a store.
///
/// 63 bits: 41 of milliseconds since 2020, 10 of the relay instance, 12 of a sequence. As text it is 13 characters of
/// Crockford's base 32 in lower case, ordered as the number is. SMTP replies, logs and commands write it so; the HTTP API puts
/// ``prefix`` in front, as the vendor's does. Both are read everywhere.
public struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    /// Nil for negative numbers.
    public init?(rawValue: Int64) {
        guard rawValue >= 0 else { return nil }
        self.rawValue = rawValue
    }

    public static func < (a: MessageID, b: MessageID) -> Bool { a.rawValue < b.rawValue }

    /// Lower than any id that is given out at `moment` or later.
    public static func first(at moment: Timestamp) -> Int64 {
        max(0, moment.milliseconds - MessageIDGenerator.epoch) << 22
    }

    /// When it was given out, to the millisecond; a little later where many were given out at once.
    public var moment: Timestamp { Timestamp(milliseconds: rawValue >> 22 + MessageIDGenerator.epoch) }

    /// The relay instance that gave it out, 0 to 1,023.
    public var instance: Int64 { rawValue >> 12 & (MessageIDGenerator.instances - 1) }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    static let textLength = 13
    /// In front of an id in the HTTP API.
    public static let prefix = "msg_"

    /// Reads an id with or without ``prefix``, in either case of its letters; nil for anything else.
    public init?(_ text: String) {
        let hasPrefix = text.utf8.starts(with: MessageID.prefix.utf8)
        let digits = text.utf8.dropFirst(hasPrefix ? MessageID.prefix.utf8.count : 0)
        guard digits.count == MessageID.textLength else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            // Octet by octet: Unicode's lower case makes a "k" of the KELVIN SIGN.
            let lowered = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            guard let digit = MessageID.alphabet.firstIndex(of: lowered), value >> 58 == 0 else { return nil }
            value = value << 5 | UInt64(digit)
        }
        self.init(rawValue: Int64(bitPattern: value))
    }

    /// As the HTTP API writes it: ``prefix`` and ``description``.
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

/// Hands out message ids for one relay. Never the same twice, also when the clock steps back, or was put back while the relay was
/// down. Each is beyond the one before, also when the relay gets another instance number.
public struct MessageIDGenerator: Sendable {
    /// Of the last id.
    private var instance: Int64 = 0
    private var last: Int64 = 0
    private var sequence: Int64 = 0

    /// 2020-01-01T00:00:00Z; 41 bits of milliseconds reach to 2089.
    static let epoch: Int64 = 1_577_836_800_000
    public static let instances: Int64 = 1024
    static let sequences: Int64 = 4096

    /// - Parameter newest: the newest id in the store. Those that follow are beyond it.
    public init(after newest: MessageID? = nil) {
        guard let newest else { return }
        // The next millisecond: in its own, another relay may have been the newest, and this one not the first either.
        last = newest.rawValue >> 22 + 1
        sequence = -1
    }

    /// - Parameter instance: the relay's number as it is now, unlike that of every other live relay on the same store; it counts modulo
    ///   1,024.
    public mutating func next(at now: Timestamp, instance number: Int64) -> MessageID {
        let moment = min(max(now.milliseconds - Self.epoch, 0), 1 << 41 - 1)
        let number = (number % Self.instances + Self.instances) % Self.instances
        if number != instance {
            // Within the millisecond of the last id, one with a lower number would be before it.
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
                // More than 4,096 in a millisecond, or the clock stands still: borrow from the future.
                last += 1
                sequence = 0
            }
        }
        guard let id = MessageID(rawValue: last << 22 | instance << 12 | sequence) else {
            // All three parts are non-negative and `last` keeps to 41 bits until 2089.
            preconditionFailure("a message id of 63 bits")
        }
        return id
    }
}
