import Testing

@testable import StrictJSON

/// What a document is read as, or the sentence with which it is refused.
private func read(_ text: String, limits: JSONLimits = JSONLimits()) -> Result<JSON, JSONError> {
    read(Array(text.utf8), limits: limits)
}

private func read(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) -> Result<JSON, JSONError> {
    Result { () throws(JSONError) in try JSON(reading: bytes, limits: limits) }
}

private func sentence(of result: Result<JSON, JSONError>) -> String? {
    if case .failure(let error) = result { error.description } else { nil }
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
        // Two ways to compose a letter are two names.
        ("{\"\u{E9}\":1,\"e\u{301}\":2}", ["\u{E9}": 1, "e\u{301}": 2]),
        (#"{"a":{"a":1},"b":{"a":1}}"#, ["a": ["a": 1], "b": ["a": 1]]),
    ]

    @Test("A value is what is written", arguments: documents)
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

    static let refusals: [(String, String)] = [
        ("", "line 1, column 1: The document is empty; a JSON value is expected"),
        (" \n ", "line 2, column 2: The document is empty; a JSON value is expected"),
        ("nul", "line 1, column 1: There is n where null is expected; text must be in double quotes"),
        ("True", "line 1, column 1: There is T where \(expectation)"),
        ("NaN", "line 1, column 1: There is N where \(expectation)"),
        ("[Infinity]", "line 1, column 2: There is I where \(expectation)"),
        ("'a'", "line 1, column 1: There is ' where \(expectation)"),
        ("/* */ 1", "line 1, column 1: There is / where \(expectation)"),
        ("1 2", "line 1, column 3: There is 2 after the end of the document; send one JSON value only"),
        ("{}}", "line 1, column 3: There is } after the end of the document; send one JSON value only"),
        ("truee", "line 1, column 5: There is e after the end of the document; send one JSON value only"),
        ("[1,]", "line 1, column 4: There is a comma after an array's last element; leave it out"),
        ("[,1]", "line 1, column 2: There is , where \(expectation)"),
        ("[1,,2]", "line 1, column 4: There is , where \(expectation)"),
        ("[1 2]", "line 1, column 4: There is 2 where a comma or ] is expected after an array's element"),
        ("[1}", "line 1, column 3: There is } where a comma or ] is expected after an array's element"),
        ("[", "line 1, column 2: The document ends too early: \(expectation)"),
        ("[1", "line 1, column 3: The document ends too early: a comma or ] is expected after an array's element"),
        (#"{"a":1,}"#, "line 1, column 8: There is a comma after an object's last member; leave it out"),
        ("{a:1}", "line 1, column 2: There is a where a member's name in double quotes is expected"),
        ("{1:1}", "line 1, column 2: There is 1 where a member's name in double quotes is expected"),
        (#"{"a" 1}"#, "line 1, column 6: There is 1 where a colon is expected after a member's name"),
        (#"{"a":}"#, "line 1, column 6: There is } where \(expectation)"),
        (#"{"a"}"#, "line 1, column 5: There is } where a colon is expected after a member's name"),
        (#"{"a":1 "b":2}"#, "line 1, column 8: There is \" where a comma or } is expected after an object's member"),
        (
            #"{"a":1"#,
            "line 1, column 7: The document ends too early: a comma or } is expected after an object's member"
        ),
        (#"{"a""#, "line 1, column 5: The document ends too early: a colon is expected after a member's name"),
        (
            #"{"to":1,"to":2}"#,
            #"line 1, column 9: The name "to" occurs twice in one object; leave one of them out"#
        ),
        (
            "{\r\n\"a\": {\n \"é\": 1,\r \"\\u00e9\": 2}}",
            #"line 4, column 2: The name "é" occurs twice in one object; leave one of them out"#
        ),
        ("01", "line 1, column 1: A number begins with a 0 that is followed by a digit; leave the 0 out"),
        ("-01", "line 1, column 1: A number begins with a 0 that is followed by a digit; leave the 0 out"),
        ("-", "line 1, column 2: The document ends too early: a digit is expected in a number"),
        ("+1", "line 1, column 1: There is + where \(expectation)"),
        (".5", "line 1, column 1: There is . where \(expectation)"),
        ("[1.]", "line 1, column 4: There is ] where a digit is expected after a number's decimal point"),
        ("[1e]", "line 1, column 4: There is ] where a digit is expected in a number's exponent"),
        ("[1e+]", "line 1, column 5: There is ] where a digit is expected in a number's exponent"),
        ("0x10", "line 1, column 2: There is x after the end of the document; send one JSON value only"),
        ("[-a]", "line 1, column 3: There is a where a digit is expected in a number"),
        (#""a"#, "line 1, column 1: A string that begins here has no closing double quote"),
        (#""a\"#, "line 1, column 4: The document ends within a string"),
        ("\"a\nb\"", #"line 1, column 3: A string holds a line end; write \n for it"#),
        ("\"a\tb\"", #"line 1, column 3: A string holds a tab; write \t for it"#),
        ("\"\0\"", #"line 1, column 2: A string holds a control character; write \u0000 for it"#),
        ("\"\u{1f}\"", #"line 1, column 2: A string holds a control character; write \u001f for it"#),
        (#""\x""#, "line 1, column 2: \(escape)"),
        (#""\U0041""#, "line 1, column 2: \(escape)"),
        (#""\'""#, "line 1, column 2: \(escape)"),
        (#""\u12g4""#, #"line 1, column 2: An escape \u needs four hexadecimal digits"#),
        (#""\u12"#, #"line 1, column 2: An escape \u needs four hexadecimal digits"#),
        (#""\ud800""#, "line 1, column 2: \(surrogate)"),
        (#""\udc00""#, "line 1, column 2: \(surrogate)"),
        (#""\ud800x""#, "line 1, column 2: \(surrogate)"),
        (#""\ud800\n""#, "line 1, column 2: \(surrogate)"),
        (#""\ud800\ud800""#, "line 1, column 2: \(surrogate)"),
        (#""\ud800\u0041""#, "line 1, column 2: \(surrogate)"),
        (#""\udc00\ud800""#, "line 1, column 2: \(surrogate)"),
        (#"{"\ud800":1}"#, "line 1, column 3: \(surrogate)"),
        ("\u{FEFF}{}", "line 1, column 1: The document begins with a byte order mark; leave it out"),
        ("[\u{A0}1]", "line 1, column 2: There is a non-ASCII character where \(expectation)"),
        ("[\u{B}1]", "line 1, column 2: There is a control character where \(expectation)"),
    ]

    private static let expectation =
        "a value is expected: a string in double quotes, a number, an object, an array, true, false or null"
    private static let escape =
        #"A backslash in a string begins an escape that JSON does not have; write \\ for a backslash itself"#
    private static let surrogate =
        "An escape is half of a surrogate pair, which is not a character by itself; write the character, or both halves"

    @Test("A mistake is told with its place", arguments: refusals)
    func refusal(text: String, words: String) {
        #expect(sentence(of: read(text)) == words)
    }

    @Test(
        "Octets that are not UTF-8 are refused where they stand",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xE0, 0x9F, 0xBF], [0xE1, 0x80],
            [0xE2, 0x82, 0x20], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF1, 0x80, 0x80], [0xF1, 0x80, 0x80, 0x20], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
        ] as [[UInt8]])
    func notUTF8(octets: [UInt8]) {
        for padding in 0..<17 {
            let text = Array("\"" + String(repeating: "x", count: padding))
            let bytes = text.map { $0.asciiValue ?? 0 } + octets + Array("\"".utf8)
            #expect(
                sentence(of: read(bytes))
                    == "line 1, column \(padding + 2): A string holds octets that are not UTF-8")
        }
    }

    @Test("A special octet is seen wherever it stands in a long string")
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

    @Test("The offset counts octets from the beginning of what was given")
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
            #expect(sentence(of: read(text))?.contains("\"n\(repeated)\" occurs twice") == true)
        }
    }

    @Test("A name in a sentence is short, and moves no cursor")
    func excerpts() {
        #expect(JSONString("to").excerpt == "\"to\"")
        #expect(JSONString("a\u{1B}[2J\u{202E}\n").excerpt == #""a\u{1b}[2J\u{202e}\u{a}""#)
        let long = JSONString(String(repeating: "ü", count: 1000))
        #expect(long.excerpt == "\"" + String(repeating: "ü", count: 64) + "…\"")
    }

    @Test("Depth is bounded, and counts what is open only")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try read(nested(32)).get() }
        #expect(
            sentence(of: read(nested(33)))
                == "line 1, column 33: Arrays and objects are nested more than 32 deep")
        #expect(
            sentence(of: read(String(repeating: "[", count: 1_000_000)))?.contains("more than 32") == true)
        #expect(
            sentence(of: read(String(repeating: #"{"a":"#, count: 100_000)))?.contains("more than 32")
                == true)
        #expect(throws: Never.self) { try read("[\(nested(2)),\(nested(2))]", limits: JSONLimits(depth: 3)).get() }
        #expect(throws: JSONError.self) { try read(nested(600), limits: JSONLimits(depth: 10_000)).get() }
        #expect(throws: Never.self) { try read("1", limits: JSONLimits(depth: 0)).get() }
    }

    @Test("The number of values is bounded")
    func valueCount() throws {
        let limits = JSONLimits(values: 4)
        #expect(throws: Never.self) { try read(#"[1,{"a":2}]"#, limits: limits).get() }
        #expect(
            sentence(of: read("[1,2,3,4]", limits: limits))
                == "line 1, column 8: The document has more than 4 values; send less at once")
    }

    @Test("The length of a number is bounded")
    func numberLength() {
        #expect(throws: Never.self) { try read(String(repeating: "1", count: 256)).get() }
        #expect(
            sentence(of: read(String(repeating: "1", count: 257)))
                == "line 1, column 1: A number is longer than 256 characters")
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
