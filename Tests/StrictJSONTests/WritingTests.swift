import StrictJSON
import Testing

@Suite("Writing JSON")
struct WritingTests {
    static let documents: [(JSON, String)] = [
        (nil, "null"), (true, "true"), (false, "false"), (0, "0"), (-12, "-12"), ("", #""""#),
        ([], "[]"), ([1, [2], "3"], #"[1,[2],"3"]"#),
        ([:], "{}"), (["b": 1, "a": [nil]], #"{"b":1,"a":[null]}"#),
        ("\"\\/\u{8}\u{C}\n\r\t\0\u{1F}\u{7F}é€😀\u{2028}", #""\"\\/\b\f\n\r\t\u0000\u001f\#u{7F}é€😀\#u{2028}""#),
        (["a\"b": "c"], #"{"a\"b":"c"}"#),
        (JSON("x" as String?), #""x""#), (JSON(nil as String?), "null"), (JSON(nil as Int?), "null"),
    ]

    @Test("A value is written without white space, and reads back as itself", arguments: documents)
    func document(value: JSON, text: String) throws {
        #expect(String(decoding: value.bytes, as: UTF8.self) == text)
        #expect(try JSON(reading: value.bytes) == value)
    }

    @Test("Every ASCII character in a string reads back", arguments: 0..<40)
    func characters(length: Int) throws {
        for scalar in 0..<128 as Range<UInt8> {
            let padding = String(repeating: "x", count: length)
            let value = JSON.string(JSONString(padding + String(UnicodeScalar(scalar)) + padding))
            #expect(try JSON(reading: value.bytes) == value)
        }
    }

    @Test(
        "A number is written as short as it can be",
        arguments: [(1.0, "1"), (-0.5, "-0.5"), (1e300, "1e+300"), (10, "10"), (0.1, "0.1")])
    func doubles(value: Double, text: String) throws {
        let number = try #require(JSONNumber(value))
        #expect(number.text == text)
        #expect(try JSON(reading: JSON.number(number).bytes) == .number(number))
    }

    @Test("NaN and infinity can't be written as numbers", arguments: [Double.nan, .infinity, -.infinity])
    func notNumbers(value: Double) {
        #expect(JSONNumber(value) == nil)
    }

}

@Suite("JSON pointers")
struct PointerTests {
    static let pointers: [(JSONPointer, String, String)] = [
        (.root, "", "#"),
        (.root.appending("to").appending(0), "/to/0", "#/to/0"),
        (.root.appending("a/b").appending("m~n"), "/a~1b/m~0n", "#/a~1b/m~0n"),
        (.root.appending(""), "/", "#/"),
        (.root.appending("c%d e^\"é"), "/c%d e^\"é", "#/c%25d%20e%5E%22%C3%A9"),
        (.root.appending("a#?\n"), "/a#?\n", "#/a%23?%0A"),
    ]

    @Test("A pointer is written as text and as a fragment of a URI", arguments: pointers)
    func forms(pointer: JSONPointer, text: String, fragment: String) {
        #expect(pointer.description == text)
        #expect(pointer.fragment == fragment)
    }
}
