import Foundation
import ProcessSupport
import StrictJSON
import TestSupport
import Testing

/// Compares this reader of JSON with Python's. One Python process reads all documents.
@Suite("Agreement with another reader of JSON")
struct OtherReaderTests {
    private static let documents: [String] = [
        #"{"from":"Acme <a@example.com>","to":["b@example.net",null,true],"subject":"s\u00e9\n","n":-1.5e3}"#,
        #"[[],{},"",0,-0,1e5,[[[1]]],{"a":{"b":[false]}}]"#, #"{"é€😀":"\ud83d\ude00\\\"\/","x":[1,2,3]}"#,
        #" [ 1 , "two" , { "three" : null } ] "#, #""a string""#, "-12.75E+2", "true",
    ]

    /// Documents with a few changed octets. The changes come from a fixed seed.
    private static func mutations(_ count: Int) -> [[UInt8]] {
        var random = SeededGenerator(seed: 0x4A53_4F4E)
        let pieces = [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "\\u", "d800", "\u{1}", "é", "0", ".", "e", "-", " ", "null",
            "\n",
        ]
        .map { Array($0.utf8) }
        return (0..<count).map { _ in
            var bytes = Array(documents.randomElement(using: &random)!.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: place)
                case 1 where place < bytes.count: bytes.remove(at: place)
                case 2 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
                default:
                    let end = min(bytes.count, place + Int.random(in: 0...8, using: &random))
                    bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
                }
            }
            return bytes
        }
    }

    /// Python's reader, made as strict as this one about names that occur twice, halves of surrogate pairs, NaN, and
    /// the encoding, which Python otherwise guesses. White space and the grammar of numbers are the same in both.
    private static let script = """
        import json, sys
        def members(pairs):
            if len({name for name, _ in pairs}) != len(pairs): raise ValueError("twice")
            return dict(pairs)
        def refuse(word): raise ValueError(word)
        def number(text): return {"number": text}
        for line in sys.stdin:
            try:
                text = bytes.fromhex(line).decode("utf-8")
                value = json.loads(text, object_pairs_hook=members, parse_constant=refuse, parse_int=number, parse_float=number)
                written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                written.encode("utf-8")
                print(written.encode("utf-8").hex())
            except (ValueError, RecursionError):
                print("refused")
        """

    /// The value as the script prints it: a number is an object with the number's text.
    private static func shown(_ value: JSON) -> JSON {
        switch value {
        case .number(let number): ["number": JSON(number.text)]
        case .array(let elements): .array(elements.map(shown))
        case .object(let object):
            .object(JSONObject(object.members.map { JSONObject.Member($0.name, shown($0.value)) }))
        default: value
        }
    }

    @Test("Both readers agree on thousands of changed documents")
    func agreement() throws {
        let inputs = Self.mutations(6000)
        let lines = inputs.map { $0.map { hexadecimal($0) }.joined() + "\n" }.joined()
        let directory = try TemporaryDirectory()
        let file = URL(filePath: directory.path).appending(path: "documents")
        try Data(lines.utf8).write(to: file)
        let output = Pipe()
        let process = try ChildProcess(
            [ProcessInfo.processInfo.environment["PYTHON"] ?? "python3", "-c", Self.script],
            input: FileHandle(forReadingFrom: file), output: output.fileHandleForWriting)
        // The output ends when the last handle for writing to it is closed.
        try output.fileHandleForWriting.close()
        let answers = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            .split(separator: "\n")
        try #require(process.wait() == 0 && answers.count == inputs.count)

        var taken = 0
        for (input, answer) in zip(inputs, answers) {
            let value = try? JSON(reading: input)
            let ours = value.map { Self.shown($0).bytes.map { hexadecimal($0) }.joined() } ?? "refused"
            if value != nil { taken += 1 }
            #expect(ours == answer, "\(String(decoding: input, as: UTF8.self).debugDescription)")
        }
        // If nearly all documents were accepted, or nearly all refused, they could not show a difference between the
        // readers.
        #expect(taken > 500 && taken < inputs.count - 500)
    }

    private func hexadecimal(_ octet: UInt8) -> String { (octet < 16 ? "0" : "") + String(octet, radix: 16) }
}
