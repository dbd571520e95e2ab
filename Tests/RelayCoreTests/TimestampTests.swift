import Testing

@testable import RelayCore

@Suite("Time")
struct TimestampTests {
    @Test(
        "Known moments",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000"),
            (-1000, "1969-12-31T23:59:59.000Z", "Wed, 31 Dec 1969 23:59:59 +0000"),
            (-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (-2_203_977_600_000, "1900-02-28T00:00:00.000Z", "Wed, 28 Feb 1900 00:00:00 +0000"),
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z", "Thu, 1 Mar 1900 00:00:00 +0000"),
            (1_709_208_000_000, "2024-02-29T12:00:00.000Z", "Thu, 29 Feb 2024 12:00:00 +0000"),
            (1_677_628_800_000, "2023-03-01T00:00:00.000Z", "Wed, 1 Mar 2023 00:00:00 +0000"),
            (1_795_530_797_042, "2026-11-24T14:33:17.042Z", "Tue, 24 Nov 2026 14:33:17 +0000"),
            (2_147_483_648_000, "2038-01-19T03:14:08.000Z", "Tue, 19 Jan 2038 03:14:08 +0000"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z", "Sun, 28 Feb 2100 23:59:59 +0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon, 1 Mar 2100 00:00:00 +0000"),
            (-11_670_998_400_000, "1600-02-29T00:00:00.000Z", "Tue, 29 Feb 1600 00:00:00 +0000"),
            (13_574_563_200_000, "2400-02-29T00:00:00.000Z", "Tue, 29 Feb 2400 00:00:00 +0000"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z", "Mon, 1 Jan 0001 00:00:00 +0000"),
            (.max, "292278994-08-17T07:12:55.807Z", "Sun, 17 Aug 292278994 07:12:55 +0000"),
        ] as [(Int64, String, String)])
    func known(milliseconds: Int64, rfc3339: String, rfc5322: String) {
        let time = Timestamp(milliseconds: milliseconds)
        #expect(time.rfc3339 == rfc3339)
        #expect(time.description == rfc3339)
        #expect(time.rfc5322 == rfc5322)
        // The HTTP date differs in two things: the day has two digits, and the zone has a name.
        let fields = rfc5322.split(separator: " ").map(String.init)
        let day = fields[1].count == 1 ? "0" + fields[1] : fields[1]
        #expect(time.httpDate == ([fields[0], day] + fields[2...4] + ["GMT"]).joined(separator: " "))
    }

    @Test("Every day of 800 years follows the one before it, also before 1970")
    func calendar() {
        let start = CivilTime(Timestamp(milliseconds: -135_140 * 86_400_000))
        #expect((start.year, start.month, start.day) == (1600, 1, 1))
        var (year, month, day, weekday) = (start.year, start.month, start.day, start.weekday)
        for number in Int64(-135_140)..<(-135_140 + 292_194) {
            let civil = CivilTime(Timestamp(milliseconds: number * 86_400_000 + 86_399_999))
            let isSame =
                civil.year == year && civil.month == month && civil.day == day && civil.weekday == weekday
                && civil.hour == 23 && civil.minute == 59 && civil.second == 59 && civil.millisecond == 999
            if !isSame {
                Issue.record("day \(number) is \(civil), not \(year)-\(month)-\(day)")
                return
            }
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            weekday = (weekday + 1) % 7
            day += 1
            if day > lengths[month - 1] {
                day = 1
                month += 1
            }
            if month > 12 {
                month = 1
                year += 1
            }
        }
        #expect((year, month, day) == (2400, 1, 1))
    }

    @Test(
        "Days begin at midnight UTC",
        arguments: [(0, 0), (86_399_999, 0), (86_400_000, 1), (-1, -1), (-86_400_000, -1), (-86_400_001, -2)]
            as [(Int64, Int64)])
    func days(milliseconds: Int64, expected: Int64) {
        let day = Timestamp(milliseconds: milliseconds).day
        #expect(day.number == expected)
        #expect(day.start.milliseconds == expected * 86_400_000)
        #expect(day.start <= Timestamp(milliseconds: milliseconds))
        #expect(Timestamp(milliseconds: milliseconds) < day.next.start)
    }

    @Test(
        "Durations count in whole milliseconds, rounded toward zero",
        arguments: [
            (.zero, 0), (.seconds(1), 1000), (.milliseconds(-1), -1), (.microseconds(1999), 1),
            (.microseconds(-1999), -1),
            (.nanoseconds(999_999), 0), (.seconds(-2), -2000), (.milliseconds(1500), 1500),
            (.seconds(365 * 86_400), 31_536_000_000),
        ] as [(Duration, Int64)])
    func durations(duration: Duration, expected: Int64) {
        #expect(duration.wholeMilliseconds == expected)
        let time = Timestamp(milliseconds: 1_000_000)
        #expect((time + duration).milliseconds == 1_000_000 + expected)
        #expect((time - duration).milliseconds == 1_000_000 - expected)
        #expect((time + duration) - time == .milliseconds(expected))
    }
}
