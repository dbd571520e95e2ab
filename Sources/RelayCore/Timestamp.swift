/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// It is wall-clock time, which can be stored and compared across processes, but steps when the machine's clock does.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    /// The moment `b` later, in whole milliseconds.
    public static func + (a: Timestamp, b: Duration) -> Timestamp {
        Timestamp(milliseconds: a.milliseconds + b.wholeMilliseconds)
    }

    /// The moment `b` earlier, in whole milliseconds.
    public static func - (a: Timestamp, b: Duration) -> Timestamp {
        Timestamp(milliseconds: a.milliseconds - b.wholeMilliseconds)
    }

    /// The time from `b` to `a`; negative if `b` is later.
    public static func - (a: Timestamp, b: Timestamp) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
}

extension Duration {
    /// Milliseconds, rounded toward zero.
    public var wholeMilliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }

    /// Seconds, for measuring and calculating where a rounding error does not matter.
    @inlinable
    public var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// A UTC day, counted from 1970-01-01. Daily caps and usage are kept per UTC day.
public struct UTCDay: Hashable, Comparable, Sendable {
    /// Days since 1970-01-01.
    public var number: Int64

    public init(number: Int64) { self.number = number }

    public static func < (a: UTCDay, b: UTCDay) -> Bool { a.number < b.number }

    /// The first moment of the day.
    public var start: Timestamp { Timestamp(milliseconds: number * UTCDay.milliseconds) }
    /// The day after this one.
    public var next: UTCDay { UTCDay(number: number + 1) }

    static let milliseconds: Int64 = 86_400_000
}

extension Timestamp {
    /// The UTC day that contains this moment.
    public var day: UTCDay {
        var (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: UTCDay.milliseconds)
        if remainder < 0 { quotient -= 1; remainder += UTCDay.milliseconds }
        return UTCDay(number: quotient)
    }
}

/// A timestamp split into the fields of the proleptic Gregorian calendar, UTC.
public struct CivilTime: Hashable, Sendable {
    /// The date and the time of day. Months and days count from 1; hours (0 to 23) and the rest count from 0.
    public var year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, millisecond: Int
    /// The day of the week; 0 is Sunday.
    public var weekday: Int

    /// The date and the time of day in UTC.
    public init(_ time: Timestamp) {
        let days = time.day.number
        let rest = time.milliseconds - time.day.start.milliseconds
        hour = Int(rest / 3_600_000)
        minute = Int(rest / 60_000 % 60)
        second = Int(rest / 1000 % 60)
        millisecond = Int(rest % 1000)
        weekday = Int(((days + 4) % 7 + 7) % 7)
        // Days are counted from 0000-03-01, so that the leap day is the last of a year. An era is 400 years.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
        month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
    }

    static let monthNames: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    static let dayNames: [StaticString] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds: `2026-11-24T14:33:17.042Z`.
    public var rfc3339: String {
        let c = CivilTime(self)
        return String(unsafeUninitializedCapacity: 40) { buffer in
            var text = TextWriter(buffer)
            text.write(c.year, width: 4)
            text.write("-")
            text.write(c.month, width: 2)
            text.write("-")
            text.write(c.day, width: 2)
            text.write("T")
            text.write(clock: c)
            text.write(".")
            text.write(c.millisecond, width: 3)
            text.write("Z")
            return text.count
        }
    }

    /// RFC 5322 section 3.3 date-time in UTC: `Tue, 24 Nov 2026 14:33:17 +0000`.
    public var rfc5322: String { dayFirst(dayWidth: 1, zone: " +0000") }

    /// RFC 9110 section 5.6.7, IMF-fixdate: `Tue, 24 Nov 2026 14:33:17 GMT`.
    public var httpDate: String { dayFirst(dayWidth: 2, zone: " GMT") }

    private func dayFirst(dayWidth: Int, zone: StaticString) -> String {
        let c = CivilTime(self)
        return String(unsafeUninitializedCapacity: 48) { buffer in
            var text = TextWriter(buffer)
            text.write(CivilTime.dayNames[c.weekday])
            text.write(", ")
            text.write(c.day, width: dayWidth)
            text.write(" ")
            text.write(CivilTime.monthNames[c.month - 1])
            text.write(" ")
            text.write(c.year, width: 4)
            text.write(" ")
            text.write(clock: c)
            text.write(zone)
            return text.count
        }
    }

    public var description: String { rfc3339 }
}

/// Writes the text of a time directly into a string's buffer. Each message has one or two such texts, and a String for
/// each number in them would cost more than everything else.
private struct TextWriter {
    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

    mutating func write(_ text: StaticString) {
        text.withUTF8Buffer { octets in
            for octet in octets { write(octet) }
        }
    }

    /// Writes a number with at least this many digits. A year has at most 9 digits and a sign, so it fits into the
    /// buffer.
    mutating func write(_ number: Int, width: Int) {
        if number < 0 { write(UInt8(ascii: "-")) }
        write(digits: number.magnitude, width: width)
    }

    mutating func write(clock: CivilTime) {
        write(clock.hour, width: 2)
        write(UInt8(ascii: ":"))
        write(clock.minute, width: 2)
        write(UInt8(ascii: ":"))
        write(clock.second, width: 2)
    }

    private mutating func write(digits number: UInt, width: Int) {
        if number >= 10 || width > 1 { write(digits: number / 10, width: width - 1) }
        write(UInt8(ascii: "0") + UInt8(number % 10))
    }

    private mutating func write(_ octet: UInt8) {
        buffer[count] = octet
        count += 1
    }
}
