import TestSupport
import Testing

@testable import StrictJSON

/// The value that a document is read as, or why the document is refused.
private func read(_ text: String, limits: JSONLimits = JSONLimits()) -> Result<JSON, JSONError> {
    read(Array(text.utf8), limits: limits)
}

private func read(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) -> Result<JSON, JSONError> {
    Result { () throws(JSONError) in try JSON(reading: bytes, limits: limits) }
}

private func sentence(of result: Result<JSON, JSONError>) -> String? {
    if case .failure(let error) = result { error.description } else { nil }
}

/// Whether a document is refused for a mistake at this place, with a sentence that names the place and these facts.
private func isRefused(_ result: Result<JSON, JSONError>, line: Int, column: Int, _ facts: [String]) -> Bool {
    guard case .failure(let error) = result, error.line == line, error.column == column else { return false }
    return error.description.mentions("\(line)", "\(column)") && error.description.contains(error.explanation)
        && error.explanation.mentions(facts)
}

@Suite("Reading JSON")
struct ReadingTests {
    static let documents: [(String, JSON)] = [
        ("null", nil),
        (" \t\r\n true \n", true),
        ("false", false),
        ("[]", []),
        ("{}", [:]),
        ("[ ]", []),
        ("{ }", [:]),
        (#""""#, ""),
        (#""a""#, "a"),
        (#"[1,"2",[3],{"4":5}]"#, [1, "2", [3], ["4": 5]]),
        (#" { "a" : [ 1 , 2 ] , "b" : null } "#, ["a": [1, 2], "b": nil]),
        (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
        (#""\u0041\u00e9\u00E9\u20ac\ud83d\ude00""#, "Aéé€😀"),
        (#""\u0000""#, "\0"),
        (#""text \u0041 text""#, "text A text"),
        (#""12345678\"12345678""#, "12345678\"12345678"),
        ("\"\u{7F}\"", "\u{7F}"),
        (#""é€😀\#u{10FFFF}\#u{FEFF}\#u{FFFE}""#, "é€😀\u{10FFFF}\u{FEFF}\u{FFFE}"),
        (#"{"":1}"#, ["": 1]),
        // Two encodings of the same letter are two different names.
        ("{\"\u{E9}\":1,\"e\u{301}\":2}", ["\u{E9}": 1, "e\u{301}": 2]),
        (#"{"a":{"a":1},"b":{"a":1}}"#, ["a": ["a": 1], "b": ["a": 1]]),
    ]

    @Test("A document is read as the value that is written in it", arguments: documents)
    func document(text: String, value: JSON) throws {
        #expect(try read(text).get() == value)
    }

    @Test(
        "A number is kept as it is written",
        arguments: [
            "0", "-0", "1", "-1", "10", "0.5", "-0.05", "1e5", "1E+5", "1e-5", "0e0", "1.50",
            "123456789012345678901234567890.123456789", "1e400", "-1E-400",
        ])
    func number(text: String) throws {
        guard case .number(let number) = try read("[\(text)]").get().elements?.first else {
            Issue.record("not a number")
            return
        }
        #expect(number.text == text)
    }

    /// Documents that are refused: the line and the column of the mistake, and what the sentence names.
    static let refusals: [(String, Int, Int, [String])] = [
        ("", 1, 1, ["empty"]),
        (" \n ", 2, 2, ["empty"]),
        ("nul", 1, 1, [" n ", "null", "double quotes"]),
        ("True", 1, 1, valueExpected(" T ")),
        ("NaN", 1, 1, valueExpected("N")),
        ("[Infinity]", 1, 2, valueExpected(" I ")),
        ("'a'", 1, 1, valueExpected("'")),
        ("/* */ 1", 1, 1, valueExpected("/")),
        ("1 2", 1, 3, ["2", "end", "one"]),
        ("{}}", 1, 3, ["}", "end", "one"]),
        ("truee", 1, 5, [" e ", "end", "one"]),
        ("[1,]", 1, 4, ["comma", "last", "element"]),
        ("[,1]", 1, 2, valueExpected(",")),
        ("[1,,2]", 1, 4, valueExpected(",")),
        ("[1 2]", 1, 4, ["2", "comma", "]", "element"]),
        ("[1}", 1, 3, ["}", "comma", "]", "element"]),
        ("[", 1, 2, valueExpected("ends")),
        ("[1", 1, 3, ["ends", "comma", "]", "element"]),
        (#"{"a":1,}"#, 1, 8, ["comma", "last", "member"]),
        ("{a:1}", 1, 2, [" a ", "name", "double quotes"]),
        ("{1:1}", 1, 2, ["1", "name", "double quotes"]),
        (#"{"a" 1}"#, 1, 6, ["1", "colon", "name"]),
        (#"{"a":}"#, 1, 6, valueExpected("}")),
        (#"{"a"}"#, 1, 5, ["}", "colon", "name"]),
        (#"{"a":1 "b":2}"#, 1, 8, ["\"", "comma", "}", "member"]),
        (#"{"a":1"#, 1, 7, ["ends", "comma", "}", "member"]),
        (#"{"a""#, 1, 5, ["ends", "colon", "name"]),
        (#"{"to":1,"to":2}"#, 1, 9, [#""to""#, "twice"]),
        ("{\r\n\"a\": {\n \"é\": 1,\r \"\\u00e9\": 2}}", 4, 2, [#""é""#, "twice"]),
        ("01", 1, 1, ["number", "0", "digit"]),
        ("-01", 1, 1, ["number", "0", "digit"]),
        ("-", 1, 2, ["ends", "digit", "number"]),
        ("+1", 1, 1, valueExpected("+")),
        (".5", 1, 1, valueExpected(".")),
        ("[1.]", 1, 4, ["]", "digit", "decimal point"]),
        ("[1e]", 1, 4, ["]", "digit", "exponent"]),
        ("[1e+]", 1, 5, ["]", "digit", "exponent"]),
        ("0x10", 1, 2, ["x", "end", "one"]),
        ("[-a]", 1, 3, [" a ", "digit", "number"]),
        (#""a"#, 1, 1, ["string", "closing"]),
        (#""a\"#, 1, 4, ["ends", "within", "string"]),
        ("\"a\nb\"", 1, 3, ["string", "line end", #"\n"#]),
        ("\"a\tb\"", 1, 3, ["string", "tab", #"\t"#]),
        ("\"\0\"", 1, 2, ["string", "control character", #"\u0000"#]),
        ("\"\u{1f}\"", 1, 2, ["string", "control character", #"\u001f"#]),
        (#""\x""#, 1, 2, escape),
        (#""\U0041""#, 1, 2, escape),
        (#""\'""#, 1, 2, escape),
        (#""\u12g4""#, 1, 2, [#"\u"#, "four", "digits"]),
        (#""\u12"#, 1, 2, [#"\u"#, "four", "digits"]),
        (#""\ud800""#, 1, 2, surrogate),
        (#""\udc00""#, 1, 2, surrogate),
        (#""\ud800x""#, 1, 2, surrogate),
        (#""\ud800\n""#, 1, 2, surrogate),
        (#""\ud800\ud800""#, 1, 2, surrogate),
        (#""\ud800\u0041""#, 1, 2, surrogate),
        (#""\udc00\ud800""#, 1, 2, surrogate),
        (#"{"\ud800":1}"#, 1, 3, surrogate),
        ("\u{FEFF}{}", 1, 1, ["byte order mark"]),
        ("[\u{A0}1]", 1, 2, valueExpected("non-ASCII character")),
        ("[\u{B}1]", 1, 2, valueExpected("control character")),
    ]

    /// The parts of a sentence about something that is in the place of a value: what is there, and all kinds of
    /// values.
    private static func valueExpected(_ found: String) -> [String] {
        [found, "value", "string", "double quotes", "number", "object", "array", "true", "false", "null"]
    }

    private static let escape = ["backslash", "escape", #"\\"#]
    private static let surrogate = ["half", "surrogate"]

    @Test("A mistake is reported with its place", arguments: refusals)
    func refusal(text: String, line: Int, column: Int, facts: [String]) {
        let result = read(text)
        #expect(isRefused(result, line: line, column: column, facts), "\(result)")
    }

    @Test(
        "Octets that are not UTF-8 are refused with their place",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xE0, 0x9F, 0xBF], [0xE1, 0x80],
            [0xE2, 0x82, 0x20], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF1, 0x80, 0x80], [0xF1, 0x80, 0x80, 0x20], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
        ] as [[UInt8]])
    func notUTF8(octets: [UInt8]) {
        for padding in 0..<17 {
            let text = Array("\"" + String(repeating: "x", count: padding))
            let bytes = text.map { $0.asciiValue ?? 0 } + octets + Array("\"".utf8)
            #expect(isRefused(read(bytes), line: 1, column: padding + 2, ["string", "UTF-8"]))
        }
    }

    @Test("A special octet is found at each position in a long string")
    func alignments() throws {
        for length in 0..<40 {
            for place in 0...length {
                let before = String(repeating: "a", count: place)
                let after = String(repeating: "b", count: length - place)
                #expect(try read("\"\(before)\\n\(after)\"").get() == .string(JSONString(before + "\n" + after)))
                #expect(try read("\"\(before)€\(after)\"").get() == .string(JSONString(before + "€" + after)))
                #expect(throws: JSONError.self) { try read("\"\(before)\u{1}\(after)\"").get() }
                let tail = read("\"\(before)\"\(after)")
                if place == length {
                    #expect(try tail.get() == .string(JSONString(before)))
                } else {
                    #expect(throws: JSONError.self) { try tail.get() }
                }
            }
        }
    }

    @Test("The offset counts octets from the beginning of the input")
    func offset() throws {
        let document = Array("....{\"é\": x}".utf8).dropFirst(4)
        let error = try #require(throws: JSONError.self) { try JSON(reading: document) }
        #expect(error.offset == 7)
        #expect(error.column == 7)
    }

    @Test("A name that occurs twice is found among many", arguments: [1, 15, 16, 17, 200])
    func manyNames(count: Int) throws {
        let members = (0..<count).map { "\"n\($0)\":\($0)" }
        let object = try read("{\(members.joined(separator: ","))}").get()
        #expect(object.members?.count == count)
        for repeated in [0, count / 2, count - 1] {
            let text = "{\((members + ["\"n\(repeated)\":1"]).joined(separator: ","))}"
            #expect(sentence(of: read(text)).mentions("\"n\(repeated)\"", "twice"))
        }
    }

    @Test("A name in a sentence is shortened, and its control characters are escaped")
    func excerpts() {
        #expect(JSONString("to").excerpt == "\"to\"")
        #expect(JSONString("a\u{1B}[2J\u{202E}\n").excerpt == #""a\u{1b}[2J\u{202e}\u{a}""#)
        let long = JSONString(String(repeating: "ü", count: 1000))
        #expect(long.excerpt == "\"" + String(repeating: "ü", count: 64) + "…\"")
    }

    @Test("Depth is bounded, and only open arrays and objects count")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try read(nested(32)).get() }
        #expect(isRefused(read(nested(33)), line: 1, column: 33, ["nested", "32"]))
        #expect(sentence(of: read(String(repeating: "[", count: 1_000_000))).mentions("nested", "32"))
        #expect(sentence(of: read(String(repeating: #"{"a":"#, count: 100_000))).mentions("nested", "32"))
        #expect(throws: Never.self) { try read("[\(nested(2)),\(nested(2))]", limits: JSONLimits(depth: 3)).get() }
        #expect(throws: JSONError.self) { try read(nested(600), limits: JSONLimits(depth: 10_000)).get() }
        #expect(throws: Never.self) { try read("1", limits: JSONLimits(depth: 0)).get() }
    }

    @Test("The number of values is bounded")
    func valueCount() throws {
        let limits = JSONLimits(values: 4)
        #expect(throws: Never.self) { try read(#"[1,{"a":2}]"#, limits: limits).get() }
        #expect(isRefused(read("[1,2,3,4]", limits: limits), line: 1, column: 8, ["4", "values"]))
    }

    @Test("The length of a number is bounded")
    func numberLength() {
        #expect(throws: Never.self) { try read(String(repeating: "1", count: 256)).get() }
        #expect(isRefused(read(String(repeating: "1", count: 257)), line: 1, column: 1, ["number", "256"]))
    }

    @Test("A string without escapes is not copied")
    func slice() throws {
        let document = Array(#"{"content":"AAAA","other":"a\nb"}"#.utf8)
        guard case .object(let object) = try JSON(reading: document), case .string(let content) = object["content"]
        else {
            Issue.record("no content")
            return
        }
        #expect(content.utf8 == document[12..<16] && content.utf8.startIndex == 12)
        #expect(object["other"] == "a\nb")
        #expect(object["nothing"] == nil)
    }
}

extension JSON {
    fileprivate var elements: [JSON]? { if case .array(let elements) = self { elements } else { nil } }
    fileprivate var members: [JSONObject.Member]? { if case .object(let object) = self { object.members } else { nil } }
}
