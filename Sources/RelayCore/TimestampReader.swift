/// Reads a date and time as people and programs write them: RFC 3339, and the date-time of RFC 5322.
///
/// What reads differently to different readers is no time here: a date without a zone, a day that the month has not got.
extension Timestamp {
    /// RFC 3339 section 5.6: `2026-12-01T09:00:00Z`, `2026-12-01 10:00:00.5+01:00`. Nil for anything else. What is finer than a
    /// millisecond is cut off; a leap second counts as the first moment of the next minute.
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

    /// RFC 5322 section 3.3: `Tue, 1 Dec 2026 09:00:00 +0000`, with the zone names and comments of section 4.3 that are still
    /// written (`GMT`, `EST`, `(CET)`). Nil for anything else. A day name that does not fit the date is an error.
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

    /// A time on the clock of a place that is so many minutes ahead of UTC; nil when there is no such time.
    private init?(_ civil: CivilTime?, offsetMinutes: Int) {
        guard let civil else { return nil }
        let days = civil.daysSinceEpoch
        let seconds = (civil.hour * 60 + civil.minute - offsetMinutes) * 60 + civil.second
        self.init(milliseconds: days * UTCDay.milliseconds + Int64(seconds * 1000 + civil.millisecond))
    }
}

extension CivilTime {
    /// Nil when the calendar has no such time. A 60th second is taken, as RFC 3339 section 5.7 has it. The weekday is not told.
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

    /// Days since 1970-01-01, by the same count as ``CivilTime/init(_:)``, the other way around.
    fileprivate var daysSinceEpoch: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        // From March on, so that the leap day ends a year. The year is not negative.
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era) * 146_097 + Int64(dayOfEra) - 719_468
    }
}

/// Steps through the octets of a date.
private struct TimeReader {
    /// In octets; a date with a comment is shorter.
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

    /// Milliseconds behind a full stop; 0 where there is none, nil where no digit follows it.
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

    /// Minutes ahead of UTC.
    mutating func offset3339() -> Int? {
        if take("Z") || take("z") { return 0 }
        guard let sign = sign(), let hours = number(digits: 2), take(":"), let minutes = number(digits: 2),
            hours < 24, minutes < 60
        else { return nil }
        return sign * (hours * 60 + minutes)
    }

    /// Minutes ahead of UTC: four digits, or a name of RFC 5322 section 4.3.
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

    /// The index of the name that stands here, in any case of its letters.
    mutating func name(of names: [StaticString]) -> Int? {
        let word = octets[index...].prefix { (0x41...0x5A).contains($0 & 0xDF) }.map { $0 | 0x20 }
        let found = names.firstIndex { name in
            name.withUTF8Buffer { $0.map { $0 | 0x20 } == word }
        }
        if found != nil { index += word.count }
        return found
    }

    /// Blanks and the ends of folded lines. Returns whether there was one.
    @discardableResult
    mutating func skipBlanks() -> Bool {
        let start = index
        while let next, next == 0x20 || next == 0x09 || next == 0x0D || next == 0x0A { index += 1 }
        return index > start
    }

    /// A comment in parentheses, without another one in it, and the blanks behind it.
    mutating func skipComment() {
        guard next == UInt8(ascii: "("), let end = octets[index...].firstIndex(of: UInt8(ascii: ")")) else { return }
        index = end + 1
        skipBlanks()
    }
}
