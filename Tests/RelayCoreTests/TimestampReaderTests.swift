import RelayCore
import Testing

@Suite struct TimestampReaderTests {
    @Test(
        arguments: [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01t09:00:00z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01 10:00:00.5+01:00", "2026-12-01T09:00:00.500Z"),
            ("2026-12-01T09:00:00.1234567Z", "2026-12-01T09:00:00.123Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"),
            ("2028-02-29T23:59:60Z", "2028-03-01T00:00:00.000Z"),
            ("1969-12-31T23:59:59-00:00", "1969-12-31T23:59:59.000Z"),
            ("2000-02-29T00:00:00-12:30", "2000-02-29T12:30:00.000Z"),
        ])
    func rfc3339(_ text: String, _ expected: String) {
        #expect(Timestamp(rfc3339: text.utf8)?.rfc3339 == expected)
    }

    @Test(
        arguments: [
            "", "2026-12-01", "2026-12-01T09:00:00", "2026-12-01T09:00Z", "2026-13-01T09:00:00Z",
            "2026-02-29T09:00:00Z", "2100-02-29T09:00:00Z", "2026-04-31T00:00:00Z", "2026-00-01T00:00:00Z",
            "2026-12-00T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-01T09:60:00Z", "2026-12-01T09:00:61Z",
            "2026-12-01T09:00:00+24:00", "2026-12-01T09:00:00+0100", "2026-12-01T09:00:00.Z",
            "2026-12-01T09:00:00Z ", " 2026-12-01T09:00:00Z", "26-12-01T09:00:00Z", "2026-12-01T09:00:00ZZ",
            "0000-12-01T09:00:00Z", "2026\u{2010}12-01T09:00:00Z", "1764579600", "tomorrow",
            "2026-12-01T09:00:00." + String(repeating: "0", count: 200) + "Z",
        ])
    func whatIsNoRFC3339(_ text: String) {
        #expect(Timestamp(rfc3339: text.utf8) == nil)
    }

    @Test(
        arguments: [
            ("Tue, 1 Dec 2026 09:00:00 +0000", "2026-12-01T09:00:00.000Z"),
            ("tue,01 dec 2026 10:00:00 +0100", "2026-12-01T09:00:00.000Z"),
            ("1 Dec 2026 09:00 GMT", "2026-12-01T09:00:00.000Z"),
            ("Tue, 1 Dec 2026 04:00:00 EST", "2026-12-01T09:00:00.000Z"),
            ("Tue, 01 Dec 2026\r\n 09:00:00 -0000 (UTC)", "2026-12-01T09:00:00.000Z"),
            ("Thu, 31 Dec 2026 23:30:00 -0130", "2027-01-01T01:00:00.000Z"),
        ])
    func rfc5322(_ text: String, _ expected: String) {
        #expect(Timestamp(rfc5322: text.utf8)?.rfc3339 == expected)
    }

    @Test(
        arguments: [
            "", "Tue", "Mon, 1 Dec 2026 09:00:00 +0000", "Tue 1 Dec 2026 09:00:00 +0000", "1 Dec 2026",
            "1 Dec 2026 09:00:00", "1 Dec 26 09:00:00 +0000", "31 Nov 2026 09:00:00 +0000",
            "1 December 2026 09:00:00 +0000", "1 Dec 2026 09:00:00 +01:00", "1 Dec 2026 09:00:00 CET",
            "1 Dec 2026 09:00:00 +0000 (", "1 Dec 2026 09:00:00 +0000 x", "1Dec2026 09:00:00 +0000",
            "1 Dec 2026 9:00:00 +0000", "1 Dec 2026 25:00:00 +0000",
        ])
    func whatIsNoRFC5322(_ text: String) {
        #expect(Timestamp(rfc5322: text.utf8) == nil)
    }

    /// Times that are written can be read back, over eight hundred years.
    @Test func writtenTimestampsAreReadBack() {
        var time = Timestamp(rfc3339: "1600-01-01T00:00:00Z".utf8) ?? Timestamp(milliseconds: 0)
        while time.rfc3339 < "2400" {
            #expect(Timestamp(rfc3339: time.rfc3339.utf8) == time)
            let whole = Timestamp(milliseconds: time.milliseconds - Int64(CivilTime(time).millisecond))
            #expect(Timestamp(rfc5322: time.rfc5322.utf8) == whole)
            time = time + .seconds(86_400 * 3 + 7219) + .milliseconds(17)
        }
    }
}
