/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Wall-clock time: it goes into records and is compared across processes, so it may step when the machine's clock does.
public struct Timestamp: Hashable, Comparable, Sendable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    public static func + (a: Timestamp, b: Duration) -> Timestamp {
        Timestamp(milliseconds: a.milliseconds + b.wholeMilliseconds)
    }

    public static func - (a: Timestamp, b: Duration) -> Timestamp {
        Timestamp(milliseconds: a.milliseconds - b.wholeMilliseconds)
    }

    public static func - (a: Timestamp, b: Timestamp) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
}

extension Duration {
    /// Rounded toward zero.
    public var wholeMilliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }

    /// For measuring and reckoning, where a rounding error does not matter.
    public var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// A UTC day, counted from 1970-01-01: the unit in which daily caps and usage are kept.
public struct UTCDay: Hashable, Comparable, Sendable {
    public var number: Int64

    public init(number: Int64) { self.number = number }

    public static func < (a: UTCDay, b: UTCDay) -> Bool { a.number < b.number }

    public var start: Timestamp { Timestamp(milliseconds: number * UTCDay.milliseconds) }
    public var next: UTCDay { UTCDay(number: number + 1) }

    static let milliseconds: Int64 = 86_400_000
}

extension Timestamp {
    public var day: UTCDay {
        var (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: UTCDay.milliseconds)
        if remainder < 0 { quotient -= 1; remainder += UTCDay.milliseconds }
        return UTCDay(number: quotient)
    }
}

/// A timestamp taken apart in the proleptic Gregorian calendar, UTC.
public struct CivilTime: Hashable, Sendable {
    public var year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, millisecond: Int
    /// 0 is Sunday.
    public var weekday: Int

    public init(_ time: Timestamp) {
        let days = time.day.number
        let rest = time.milliseconds - time.day.start.milliseconds
        hour = Int(rest / 3_600_000)
        minute = Int(rest / 60_000 % 60)
        second = Int(rest / 1000 % 60)
        millisecond = Int(rest % 1000)
        weekday = Int(((days + 4) % 7 + 7) % 7)
        // Days are counted from 0000-03-01, so that the leap day ends a year; an era is 400 years.
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

    static let monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    static let dayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds: `2026-11-24T14:33:17.042Z`.
    public var rfc3339: String {
        let c = CivilTime(self)
        return "\(pad(c.year, 4))-\(pad(c.month, 2))-\(pad(c.day, 2))T"
            + "\(pad(c.hour, 2)):\(pad(c.minute, 2)):\(pad(c.second, 2)).\(pad(c.millisecond, 3))Z"
    }

    /// RFC 5322 section 3.3 date-time in UTC: `Tue, 24 Nov 2026 14:33:17 +0000`.
    public var rfc5322: String {
        let c = CivilTime(self)
        return "\(CivilTime.dayNames[c.weekday]), \(c.day) \(CivilTime.monthNames[c.month - 1]) \(pad(c.year, 4)) "
            + "\(pad(c.hour, 2)):\(pad(c.minute, 2)):\(pad(c.second, 2)) +0000"
    }

    public var description: String { rfc3339 }
}

private func pad(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return digits.utf8.count >= width ? digits : String(repeating: "0", count: width - digits.utf8.count) + digits
}
