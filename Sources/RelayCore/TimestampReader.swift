/// Reads a date and time in the forms that people and programs write: RFC 3339, and the date-time of RFC 5322.
///
/// Text that different readers read differently is refused, such as a date without a zone, or a day that the month does
/// not have.
extension Timestamp {
    /// RFC 3339 section 5.6: `2026-12-01T09:00:00Z`, `2026-12-01 10:00:00.5+01:00`. Nil for anything else. Digits
    /// beyond milliseconds are cut off. A leap second counts as the first moment of the next minute.
    public init?(rfc3339 text: some Collection<UInt8>) {
        guard text.count <= TimeReader.maximumLength else { return nil }
        var reader = TimeReader(Array(text))
        guard let year = reader.number(digits: 4), reader.take("-"), let month = reader.number(digits: 2),
            reader.take("-"), let day = reader.number(digits: 2),
            reader.take("T") || reader.take("t") || reader.take(" "), let hour = reader.number(digits: 2),
            reader.take(":"), let minute = reader.number(digits: 2), reader.take(":"),
            let second = reader.number(digits: 2)
        else { return nil }
        guard let milliseconds = reader.fraction(), let offset = reader.offset3339(), reader.isAtEnd else { return nil }
        self.init(
            CivilTime(
                year: year, month: month, day: day, hour: hour, minute: minute, second: second,
                millisecond: milliseconds), offsetMinutes: offset)
    }

    /// RFC 5322 section 3.3: `Tue, 1 Dec 2026 09:00:00 +0000`, with the zone names and comments of section 4.3 that are
    /// still in use (`GMT`, `EST`, `(CET)`). Nil for anything else, also if the name of the day does not match the
    /// date.
    public init?(rfc5322 text: some Collection<UInt8>) {
        guard text.count <= TimeReader.maximumLength else { return nil }
        var reader = TimeReader(Array(text))
        reader.skipBlanks()
        let weekday = reader.name(of: CivilTime.dayNames)
        if weekday != nil {
            reader.skipBlanks()
            guard reader.take(",") else { return nil }
        }
        reader.skipBlanks()
        guard let day = reader.number(digits: 1...2), reader.skipBlanks(),
            let month = reader.name(of: CivilTime.monthNames), reader.skipBlanks(),
            let year = reader.number(digits: 4), reader.skipBlanks(), let hour = reader.number(digits: 2),
            reader.take(":"), let minute = reader.number(digits: 2)
        else { return nil }
        var second = 0
        if reader.take(":") {
            guard let read = reader.number(digits: 2) else { return nil }
            second = read
        }
        guard reader.skipBlanks(), let offset = reader.offset5322() else { return nil }
        reader.skipBlanks()
        reader.skipComment()
        guard reader.isAtEnd else { return nil }
        let civil = CivilTime(
            year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second, millisecond: 0)
        self.init(civil, offsetMinutes: offset)
        let local = self + .seconds(offset * 60)
        if let weekday, CivilTime(local).weekday != weekday { return nil }
    }

    /// A time on a clock that is this many minutes ahead of UTC; nil if there is no such time.
    private init?(_ civil: CivilTime?, offsetMinutes: Int) {
        guard let civil else { return nil }
        let days = civil.daysSinceEpoch
        let seconds = (civil.hour * 60 + civil.minute - offsetMinutes) * 60 + civil.second
        self.init(milliseconds: days * UTCDay.milliseconds + Int64(seconds * 1000 + civil.millisecond))
    }
}

extension CivilTime {
    /// Nil if the calendar has no such time. Second 60 is accepted, as in RFC 3339 section 5.7. The weekday is not set.
    fileprivate init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, millisecond: Int) {
        guard (1...9999).contains(year), (1...12).contains(month), hour < 24, minute < 60, second <= 60 else {
            return nil
        }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[month - 1]).contains(day) else { return nil }
        self.init(Timestamp(milliseconds: 0))
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second, self.millisecond) = (hour, minute, second, millisecond)
    }

    /// The days since 1970-01-01: the inverse of ``CivilTime/init(_:)``.
    fileprivate var daysSinceEpoch: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        // Years begin in March, so that the leap day is the last of a year. The year is not negative.
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era) * 146_097 + Int64(dayOfEra) - 719_468
    }
}

/// Reads the octets of a date in order.
private struct TimeReader {
    /// The most octets. A date with a comment is shorter.
    static let maximumLength = 200

    private let octets: [UInt8]
    private var index = 0

    init(_ octets: [UInt8]) { self.octets = octets }

    var isAtEnd: Bool { index == octets.count }

    private var next: UInt8? { index < octets.count ? octets[index] : nil }

    mutating func take(_ character: Character) -> Bool {
        guard let next, next == character.asciiValue else { return false }
        index += 1
        return true
    }

    mutating func number(digits: Int) -> Int? { number(digits: digits...digits) }

    mutating func number(digits: ClosedRange<Int>) -> Int? {
        var value = 0
        var count = 0
        while count < digits.upperBound, let next, (0x30...0x39).contains(next) {
            value = value * 10 + Int(next - 0x30)
            count += 1
            index += 1
        }
        return digits.contains(count) ? value : nil
    }

    /// The milliseconds after a decimal point; 0 if there is none, nil if no digit follows it.
    mutating func fraction() -> Int? {
        guard take(".") else { return 0 }
        var (value, scale, count) = (0, 100, 0)
        while let next, (0x30...0x39).contains(next) {
            value += Int(next - 0x30) * scale
            scale /= 10
            count += 1
            index += 1
        }
        return count > 0 ? value : nil
    }

    /// The offset in minutes ahead of UTC; nil if there is none.
    mutating func offset3339() -> Int? {
        if take("Z") || take("z") { return 0 }
        guard let sign = sign(), let hours = number(digits: 2), take(":"), let minutes = number(digits: 2),
            hours < 24, minutes < 60
        else { return nil }
        return sign * (hours * 60 + minutes)
    }

    /// The offset in minutes ahead of UTC, from four digits or from a name of RFC 5322 section 4.3; nil if there is
    /// none.
    mutating func offset5322() -> Int? {
        if let sign = sign() {
            guard let hours = number(digits: 2), let minutes = number(digits: 2), hours < 24, minutes < 60 else {
                return nil
            }
            return sign * (hours * 60 + minutes)
        }
        let names: [(StaticString, Int)] = [
            ("GMT", 0), ("UTC", 0), ("UT", 0), ("EST", -5), ("EDT", -4), ("CST", -6), ("CDT", -5), ("MST", -7),
            ("MDT", -6), ("PST", -8), ("PDT", -7),
        ]
        return name(of: names.map(\.0)).map { names[$0].1 * 60 }
    }

    private mutating func sign() -> Int? { take("+") ? 1 : take("-") ? -1 : nil }

    /// Skips the name at this position, in upper or lower case. Returns its index in `names`; nil if no name is there.
    mutating func name(of names: [StaticString]) -> Int? {
        let word = octets[index...].prefix { (0x41...0x5A).contains($0 & 0xDF) }.map { $0 | 0x20 }
        let found = names.firstIndex { name in
            name.withUTF8Buffer { $0.map { $0 | 0x20 } == word }
        }
        if found != nil { index += word.count }
        return found
    }

    /// Skips white space and the ends of folded lines. Returns whether there was any.
    @discardableResult
    mutating func skipBlanks() -> Bool {
        let start = index
        while let next, next == 0x20 || next == 0x09 || next == 0x0D || next == 0x0A { index += 1 }
        return index > start
    }

    /// Skips a comment in parentheses, which can't contain another comment, and the white space after it.
    mutating func skipComment() {
        guard next == UInt8(ascii: "("), let end = octets[index...].firstIndex(of: UInt8(ascii: ")")) else { return }
        index = end + 1
        skipBlanks()
    }
}
