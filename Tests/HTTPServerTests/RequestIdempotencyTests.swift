import RelayCore
import StrictJSON
import Testing

@testable import HTTPServer

@Suite("Idempotency keys")
struct IdempotencyKeyTests {
    @Test(
        "The header has the key bare or as a string",
        arguments: [
            ("abc", "abc"), (#""abc""#, "abc"), (#""a\"b\\c""#, #"a"b\c"#), (#""a b""#, "a b"), ("a\"b", "a\"b"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ])
    func header(value: String, key: String) throws {
        #expect(try IdempotencyKey(header: value).text == key)
    }

    @Test(
        "What is no key is refused",
        arguments: [
            "", #""""#, #"""#, #""abc"#, #""abc";p=1"#, #""abc" "#, #""a\c""#, #""abc\""#, "é", "\"é\"", "a\u{7F}",
            "a\tb",
            String(repeating: "x", count: 257), "\"" + String(repeating: "x", count: 257) + "\"",
        ])
    func refused(value: String) {
        #expect(throws: IdempotencyKey.Mistake.self) { try IdempotencyKey(header: value) }
    }

    @Test("A key is up to 256 characters long")
    func length() throws {
        let key = String(repeating: "x", count: 256)
        #expect(try IdempotencyKey(header: "\"\(key)\"").text == key)
        #expect(try IdempotencyKey(key).text == key)
    }
}

@Suite("The digest of a document")
struct DigestTests {
    private func digest(_ text: String, leavingOut name: String? = nil) throws -> [UInt8] {
        try JSON(reading: Array(text.utf8)).digest(leavingOut: name)
    }

    @Test(
        "Documents that say the same have one digest",
        arguments: [
            (#"{"a":1,"b":[true,null]}"#, #" { "b" : [ true , null ] , "a" : 1 } "#),
            (#""é\n""#, #""\u00e9\u000a""#),
            (#"{"a":{"b":1,"c":2}}"#, #"{"a":{"c":2,"b":1}}"#),
            (#"{"\u0061":1}"#, #"{"a":1}"#),
        ])
    func same(a: String, b: String) throws {
        #expect(try digest(a) == digest(b))
        #expect(try digest(a).count == 16)
    }

    @Test("Others have others")
    func other() throws {
        let documents = [
            "null", "true", "false", "0", "1", "1.0", #""""#, #""1""#, #""true""#, "[]", "[null]", "[[]]", "[[],[]]",
            "[[[]]]", "{}", #"{"a":null}"#, #"{"a":"b"}"#, #"["a","b"]"#, #"["ab",""]"#, #"["","ab"]"#, #"{"ab":""}"#,
            #"{"a":"b","c":"d"}"#, #"{"a":"b","c":{}}"#, #"[{"a":"b"},"c","d"]"#, "[1,2]", "[2,1]", "[12]",
            "\"e\u{301}\"", "\"\u{E9}\"",
        ]
        let digests = try documents.map { try digest($0) }
        #expect(Set(digests).count == documents.count)
    }

    @Test("A member that is left out does not count, but deeper down it does")
    func leavingOut() throws {
        let plain = try digest(#"{"a":1}"#)
        #expect(try digest(#"{"key":"x","a":1}"#, leavingOut: "key") == plain)
        #expect(try digest(#"{"key":"x","a":1}"#) != plain)
        #expect(try digest(#"{"a":{"key":1}}"#, leavingOut: "key") != digest(#"{"a":{}}"#, leavingOut: "key"))
    }
}

@Suite("Times in a request")
struct ScheduledTimeTests {
    @Test(
        "A date and time with its zone",
        arguments: [
            ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01t09:00:00z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01 09:00:00Z", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01T10:30:00+01:30", "2026-12-01T09:00:00.000Z"),
            ("2026-12-01T09:00:00-00:00", "2026-12-01T09:00:00.000Z"),
            ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000Z"),
            ("2026-12-01T09:00:00.5Z", "2026-12-01T09:00:00.500Z"),
            ("2026-12-01T09:00:00.123456789Z", "2026-12-01T09:00:00.123Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"),
        ])
    func times(text: String, moment: String) {
        #expect(ScheduledTime.read(text)?.rfc3339 == moment)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "2026-12-01", "2026-12-01T09:00:00", "2026-12-01T09:00Z", "2026-12-01T09:00:00+0100",
            "2026-12-01T09:00:00+01", "2026-12-01T09:00:00 Z", "2026-13-01T09:00:00Z", "2026-00-01T09:00:00Z",
            "2026-02-29T09:00:00Z", "1900-02-29T09:00:00Z", "2026-04-31T09:00:00Z", "2026-12-00T09:00:00Z",
            "2026-12-01T24:00:00Z", "2026-12-01T09:60:00Z", "2026-12-01T09:00:61Z", "2026-12-01T09:00:00.Z",
            "2026-12-01T09:00:00Z ", " 2026-12-01T09:00:00Z", "26-12-01T09:00:00Z", "2026-12-01T09:00:00+24:00",
            "2026-12-01T09:00:00+01:60", "2026-12-01T09:00:00é", "1795824000", "in 2 hours",
            "2026-12-01T09:00:00." + String(repeating: "1", count: 100) + "Z",
        ])
    func refused(text: String) { #expect(ScheduledTime.read(text) == nil) }

    @Test("Every moment reads back from its text")
    func roundTrip() {
        for day in stride(from: -719_162, through: 2_932_896, by: 97) as StrideThrough<Int64> {
            let moment = Timestamp(milliseconds: day * 86_400_000 + (day & 0xFFFF) * 1000 + 7)
            #expect(ScheduledTime.read(moment.rfc3339) == moment)
        }
    }
}
