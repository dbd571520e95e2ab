import StrictJSON
import Testing

@testable import HTTPServer

@Suite("Idempotency keys")
struct IdempotencyKeyTests {
    @Test(
        "The header has the key with or without quotes",
        arguments: [
            ("abc", "abc"), (#""abc""#, "abc"), (#""a\"b\\c""#, #"a"b\c"#), (#""a b""#, "a b"), ("a\"b", "a\"b"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ])
    func header(value: String, key: String) throws {
        #expect(try IdempotencyKey(header: value).text == key)
    }

    @Test(
        "A value that is not a key is refused",
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
        "Documents with the same content have the same digest",
        arguments: [
            (#"{"a":1,"b":[true,null]}"#, #" { "b" : [ true , null ] , "a" : 1 } "#),
            (#""é\n""#, #""\u00e9\u000a""#),
            (#"{"a":{"b":1,"c":2}}"#, #"{"a":{"c":2,"b":1}}"#),
            (#"{"\u0061":1}"#, #"{"a":1}"#), ("{}", #"{"a":null}"#),
            (#"{"a":1,"b":[{"c":2}]}"#, #"{"z":null,"a":1,"b":[{"c":2,"d":null}]}"#),
        ])
    func same(a: String, b: String) throws {
        #expect(try digest(a) == digest(b))
        #expect(try digest(a).count == 16)
    }

    @Test("Documents with different content have different digests")
    func other() throws {
        let documents = [
            "null", "true", "false", "0", "1", "1.0", #""""#, #""1""#, #""true""#, "[]", "[null]", "[[]]", "[[],[]]",
            "[[[]]]", "{}", #"{"a":"b"}"#, #"["a","b"]"#, #"["ab",""]"#, #"["","ab"]"#, #"{"ab":""}"#,
            #"{"a":"b","c":"d"}"#, #"{"a":"b","c":{}}"#, #"[{"a":"b"},"c","d"]"#, "[1,2]", "[2,1]", "[12]",
            "\"e\u{301}\"", "\"\u{E9}\"",
        ]
        let digests = try documents.map { try digest($0) }
        #expect(Set(digests).count == documents.count)
    }

    @Test("The member to leave out does not count at the top level, but counts in a nested object")
    func leavingOut() throws {
        let plain = try digest(#"{"a":1}"#)
        #expect(try digest(#"{"key":"x","a":1}"#, leavingOut: "key") == plain)
        #expect(try digest(#"{"key":"x","a":1}"#) != plain)
        #expect(try digest(#"{"a":{"key":1}}"#, leavingOut: "key") != digest(#"{"a":{}}"#, leavingOut: "key"))
    }
}
