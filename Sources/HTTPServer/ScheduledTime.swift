import RelayCore

/// The member `scheduled_at` of an email: when it is to be sent.
enum ScheduledTime {
    /// How far ahead an email can be scheduled.
    static let horizon = Duration.seconds(30 * 86_400)

    /// Reads a date and time of RFC 3339 section 5.6, which names its zone: `2026-12-01T09:00:00Z`, `2026-12-01t10:00:00.5+01:00`.
    /// A leap second counts as the second behind it. Fractions are cut to milliseconds.
    ///
    /// Nil for anything else.
    static func read(_ text: some StringProtocol) -> Timestamp? {
        var reader = Reader(octets: Array(text.utf8.prefix(64)))
        guard text.utf8.count <= 64,
            let year = reader.number(digits: 4), reader.take("-"),
            let month = reader.number(digits: 2), (1...12).contains(month), reader.take("-"),
            let day = reader.number(digits: 2), (1...days(in: month, of: year)).contains(day),
            reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(digits: 2), hour < 24, reader.take(":"),
            let minute = reader.number(digits: 2), minute < 60, reader.take(":"),
            let second = reader.number(digits: 2), second <= 60,
            let millisecond = reader.fraction(), let offset = reader.offset(), reader.isAtEnd
        else { return nil }
        let seconds = ((dayNumber(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second
        return Timestamp(milliseconds: Int64(seconds * 1000 + millisecond))
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01 in the Gregorian calendar; a year begins with its March, so that the leap day is its last one.
    private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month > 2 ? year : year - 1
        let monthFromMarch = (month + 9) % 12
        let leapDays = year / 4 - year / 100 + year / 400
        return 365 * year + leapDays + (153 * monthFromMarch + 2) / 5 + day - 1 - 719_468
    }

    private struct Reader {
        let octets: [UInt8]
        private var index = 0

        init(octets: [UInt8]) { self.octets = octets }

        var isAtEnd: Bool { index == octets.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard !isAtEnd, octets[index] == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        mutating func digit() -> Int? {
            guard !isAtEnd, (0x30...0x39).contains(octets[index]) else { return nil }
            defer { index += 1 }
            return Int(octets[index]) - 0x30
        }

        mutating func number(digits: Int) -> Int? {
            var value = 0
            for _ in 0..<digits {
                guard let digit = digit() else { return nil }
                value = value * 10 + digit
            }
            return value
        }

        /// Milliseconds; 0 where there is no fraction.
        mutating func fraction() -> Int? {
            guard take(".") else { return 0 }
            guard var digit = digit() else { return nil }
            var value = 0
            var weight = 100
            while true {
                value += digit * weight
                weight /= 10
                guard let next = self.digit() else { return value }
                digit = next
            }
        }

        /// Minutes by which the clock of the zone is ahead of UTC.
        mutating func offset() -> Int? {
            if take("Z") || take("z") { return 0 }
            let sign: Int
            if take("+") {
                sign = 1
            } else if take("-") {
                sign = -1
            } else {
                return nil
            }
            guard let hour = number(digits: 2), hour < 24, take(":"), let minute = number(digits: 2), minute < 60 else {
                return nil
            }
            return sign * (hour * 60 + minute)
        }
    }
}
