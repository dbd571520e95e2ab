import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import InternetMessage

/// Runs `Support/read_message.py`, which reads messages with Python's email package.
private enum PythonReader {
    struct Reading: Decodable {
        struct Part: Decodable {
            var name: String?
            var type: String
            /// Nil if Python does not keep the octets of the part.
            var size: Int?
            var attached: Bool
        }

        struct Field: Decodable {
            var name: String
            /// Nil if the script cannot compare the value (see its function `field_of`).
            var value: String?
        }

        var fields: [Field]
        var text: String?
        var html: String?
        var parts: [Part]
    }

    private static let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Support/read_message.py").path
    private static let python = ProcessInfo.processInfo.environment["PYTHON"] ?? "python3"

    static func read(_ messages: [[UInt8]]) throws -> [Reading] {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("readable-\(UUID().uuidString)")
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: folder) }
        var data = Data()
        for message in messages {
            withUnsafeBytes(of: UInt32(message.count).bigEndian) { data.append(contentsOf: $0) }
            data.append(contentsOf: message)
        }
        // Files, not pipes: both sides may write more than a pipe holds.
        let input = folder.appendingPathComponent("input")
        let output = folder.appendingPathComponent("output")
        try data.write(to: input)
        try Data().write(to: output)
        let process = try ChildProcess(
            [python, program], input: FileHandle(forReadingFrom: input), output: FileHandle(forWritingTo: output))
        try #require(process.wait() == 0, "Python is needed for this test")
        let lines = try Data(contentsOf: output).split(separator: 0x0A)
        try #require(lines.count == messages.count)
        return try lines.map { try JSONDecoder().decode(Reading.self, from: $0) }
    }
}

private struct Sample {
    var octets: [UInt8]
    /// Whether each multipart has a part, a boundary that no other multipart has, and a closing delimiter. For other
    /// messages, Python may add or leave out a line end at the end of a text.
    var isWhole = true
}

/// Makes multipart messages from pieces, some of which do not fit together. Each run makes the same messages.
private struct MessageMaker {
    private var generator = SeededGenerator(seed: 17)
    private var isWhole = true

    private static let fields = [
        "Subject: =?utf-8?q?J=C3=BCrgen?= and =?iso-8859-1?q?=E4?=", "Subject: plain words", "X-A: a\\r\\n b\\r\\n\\tc",
        "To: \"A, B\" <a@x.example>", "From: =?utf-8?b?SsO8cmdlbg==?= <j@x.example>", "Subject: J\\u{FC}rgen",
        "Subject: J\\xFCrgen",
        "MIME-Version: 1.0",
    ]
    private static let types = [
        "text/plain", "text/plain; charset=utf-8", "text/plain; charset=\"ISO-8859-1\"",
        "text/html; charset=windows-1252",
        "text/html", "TEXT/Plain; charset=us-ascii", "text/plain; charset=iso-8859-15; format=flowed",
        "image/png; name=\"a b.png\"",
        "application/octet-stream", "text/plain; charset=koi8-r", "text/html; charset=iso-8859-2",
        "text/plain; charset=x-mine",
        "text/plain; charset=windows-1250", "text/csv; name=x.csv", "text",
    ]
    private static let dispositions = [
        "inline", "attachment", "attachment; filename=a.txt", "attachment; filename=\"a b.txt\"",
        "attachment; filename*=utf-8''J%C3%BC.txt", "inline; filename=\"=?utf-8?q?J=C3=BC.png?=\"",
        "attachment;\\r\\n filename*0=long;\\r\\n filename*1=er.txt",
    ]
    private static let lines = [
        "Hello.", "", "J\\u{FC}rgen \\u{20AC} \\u{1F600}", "\\xFC\\xE4 \\x80\\x93", "-- ", "--", "--x", "=41=C3=BC=",
        "=4", "= a", "a\\tb  ",
        "<p>Hi</p>", "SGVsbG8sIHdvcmxkLg==", "SsO8cmdlbg", "SGVs bG8s", "From me", "A: b", "\\{80*long }",
        "\\e\\0\\x07",
    ]

    private mutating func chance(_ one: Int, in all: Int) -> Bool { Int.random(in: 0..<all, using: &generator) < one }

    private mutating func any(_ list: [String]) -> String { list.randomElement(using: &generator) ?? "" }

    private mutating func body(_ encoding: String?) -> String {
        var lines = (0..<Int.random(in: 0...5, using: &generator)).map { _ in any(Self.lines) }
        // Python does not decode base64 that has surplus digits, so the body is complete base64 here.
        if encoding == "base64" {
            let text = octets(lines.joined(separator: "\\r\\n"))
            lines = [
                Data(text).base64EncodedString(options: [
                    .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
                ])
                .replacing("\r\n", with: "\\r\\n")
            ]
        }
        return lines.joined(separator: "\\r\\n") + (chance(1, in: 2) ? "\\r\\n" : "")
    }

    /// - Parameter outer: The boundaries of the multiparts around the entity.
    private mutating func entity(_ outer: [String]) -> String {
        var header: [String] = []
        if outer.count < 4, chance(outer.isEmpty ? 4 : 1, in: 5) {
            let boundary = any(["b", "bb", "b\(outer.count)", "=_x y", "c"])
            if outer.contains(boundary) { isWhole = false }
            header.append(
                "Content-Type: multipart/\(any(["mixed", "alternative", "related", "report", "signed"]));\\r\\n\\tboundary=\"\(boundary)\""
            )
            var body = chance(1, in: 4) ? "preamble\\r\\n" : ""
            let count = chance(1, in: 20) ? 0 : Int.random(in: 1...3, using: &generator)
            if count == 0 { isWhole = false }
            for _ in 0..<count {
                body += "--\(boundary)\(chance(1, in: 12) ? " " : "")\\r\\n\(entity(outer + [boundary]))\\r\\n"
            }
            if chance(1, in: 10) {
                isWhole = false
            } else {
                body += "--\(boundary)--\(chance(1, in: 8) ? " \\t" : "")"
            }
            if chance(1, in: 3) { body += "\\r\\nepilogue\\r\\n" }
            return header.joined() + "\\r\\n\\r\\n" + body
        }
        if chance(4, in: 5) { header.append("Content-Type: " + any(Self.types)) }
        let encoding =
            chance(1, in: 2) ? any(["7bit", "8bit", "binary", "base64", "quoted-printable", "Quoted-Printable"]) : nil
        if let encoding { header.append("Content-Transfer-Encoding: " + encoding) }
        if chance(1, in: 3) { header.append("Content-Disposition: " + any(Self.dispositions)) }
        if chance(1, in: 6) { header.append("Content-ID: <i@x>") }
        header.shuffle(using: &generator)
        return header.map { $0 + "\\r\\n" }.joined() + "\\r\\n" + body(encoding)
    }

    mutating func message() -> Sample {
        isWhole = true
        let fields = (0..<Int.random(in: 0...4, using: &generator)).map { _ in any(Self.fields) + "\\r\\n" }
        var message = octets(fields.joined() + entity([]))
        if chance(1, in: 8) {
            message.removeLast(Int.random(in: 0...message.count / 2, using: &generator))
            // A CR without its LF is not a line end.
            if message.last == .cr { message.removeLast() }
            isWhole = false
        }
        return Sample(octets: message, isWhole: isWhole)
    }
}

@Suite("The relay reads messages as Python's email package does")
struct ReadableOracleTests {
    private static func isSame(_ one: String?, _ other: String?, _ sample: Sample) -> Bool {
        guard !sample.isWhole, let one, let other else { return one == other }
        return one == other || one + "\n" == other || one == other + "\n"
    }

    private static func compare(_ samples: [Sample]) throws -> (fields: Int, texts: Int, html: Int, parts: Int) {
        var counts = (fields: 0, texts: 0, html: 0, parts: 0)
        for (sample, python) in zip(samples, try PythonReader.read(samples.map(\.octets))) {
            let read = ReadableMessage(sample.octets)
            let shown = text(sample.octets).debugDescription
            #expect(read.fields.map(\.name) == python.fields.map(\.name), "\(shown)")
            for (field, other) in zip(read.fields, python.fields) {
                guard let value = other.value, value.unicodeScalars.count <= 4000 else { continue }
                counts.fields += 1
                #expect(field.value == value, "\(shown)")
            }
            #expect(isSame(read.text, python.text, sample), "\(shown)")
            #expect(isSame(read.html?.text, python.html, sample), "\(shown)")
            #expect(read.parts.map(\.type) == python.parts.map(\.type), "\(shown)")
            for (part, other) in zip(read.parts, python.parts) {
                // If a quoted string does not end, Python treats the opening quote as a part of it.
                if sample.isWhole { #expect(part.name == other.name, "\(shown)") }
                guard let size = other.size else { continue }
                #expect(sample.isWhole ? part.size == size : abs(part.size - size) <= 2, "\(shown)")
            }
            #expect(!read.isCutOff || python.fields.contains { $0.value?.count ?? 0 > 4000 })
            counts.texts += read.text?.isEmpty == false ? 1 : 0
            counts.html += read.html == nil ? 0 : 1
            counts.parts += read.parts.count
        }
        return counts
    }

    @Test("Python and the relay read the same in each message of the corpus that the relay accepts")
    func corpus() throws {
        // The relay stores the prepared message, so that form is compared.
        let prepared = (try Corpus.cases.get() + Corpus.sesCases.get()).map { prepare([$0.message]) }
        let kept = prepared.filter { $0.rejection == nil }.map(\.output)
        let counts = try Self.compare(
            // Most multiparts of the corpus are not whole.
            kept.map { Sample(octets: $0, isWhole: !text($0).lowercased().contains("multipart/")) })
        #expect(counts.texts >= 100 && counts.fields >= 300, "\(counts) of \(kept.count)")
    }

    @Test("Python and the relay read the same in thousands of generated messages with parts")
    func made() throws {
        var maker = MessageMaker()
        let counts = try Self.compare((0..<5000).map { _ in maker.message() })
        // If there were too few values of one kind, the test would check little.
        #expect(counts.fields > 5000 && counts.texts > 2000 && counts.html > 500 && counts.parts > 3000, "\(counts)")
    }
}
