import Foundation
import TestSupport
import Testing

@testable import InternetMessage

/// Makes headers that are nearly right out of the corpus, always the same ones.
private struct HeaderMutator {
    private var generator = SeededGenerator(seed: 2026)
    private let fields: [[UInt8]]
    private let words: [[UInt8]]

    private static let tokens: [String] = [
        "<", ">", "(", ")", "@", ",", ";", ":", "\"", "\\", ".", " ", "\\t", "\\r\\n ", "\\r\\n\\t", "[", "]", "=?",
        "?=", "=",
        "\\\"", "\\\\", "\\0", "\\xC3", "\\u{F6}", "\\u{A0}", "\\u{202E}", "a", "x.y", "@evil.example",
        "<ceo@evil.example>",
        "ceo@evil.example", "ceo@evil.example,", ", <ceo@evil.example>", "(ceo@evil.example)", "\"ceo@evil.example\"",
        "\\\"ceo@evil.example\\\"", "=?utf-8?q?x?=", "=?utf-8?q?=40?=", "=?utf-8?q?=3C?=", "=?utf-8?q?=22?=",
        "=?utf-8?b?PGNlb0BldmlsLmV4YW1wbGU+?=", "=?utf-8?q?ceo=40evil=2Eexample?=", "=?utf-8?q?=28?=",
        "=?utf-8?q?=2C?=",
        "=?iso-8859-1?q?=F6?=", "=?us-ascii?q?x_y?=", "Team:", "mailto:", "From:", "(x)", "\"x y\"", "''", "'",
    ]

    init(_ cases: [CorpusCase]) {
        var fields: [[UInt8]] = []
        for test in cases {
            let message = text(test.message)
            guard let header = message.range(of: "\r\n\r\n").map({ message[..<$0.lowerBound] }) else { continue }
            for line in header.replacing("\r\n ", with: "\u{1}").components(separatedBy: "\r\n") {
                guard line.lowercased().hasPrefix("from:"), line.utf8.count < 400 else { continue }
                fields.append(Array(line.dropFirst(5).replacing("\u{1}", with: "\r\n ").utf8))
            }
        }
        self.fields = fields
        words = Self.tokens.map { octets($0) }
    }

    private mutating func position(_ field: [UInt8]) -> Int { Int.random(in: 0...field.count, using: &generator) }

    private mutating func fieldBody() -> [UInt8] {
        guard var field = fields.randomElement(using: &generator) else { return [] }
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                field.insert(contentsOf: words.randomElement(using: &generator) ?? [], at: position(field))
            case 5:
                let start = position(field)
                field.removeSubrange(start..<min(field.count, start + Int.random(in: 1...4, using: &generator)))
            case 6:
                let start = position(field)
                let piece = Array(field[start..<min(field.count, start + Int.random(in: 1...12, using: &generator))])
                field.insert(contentsOf: piece, at: position(field))
            case 7:
                guard let other = fields.randomElement(using: &generator) else { continue }
                field = Array(field[..<position(field)]) + other[position(other)...]
            case 8:
                guard field.count > 1 else { continue }
                let index = Int.random(in: 0..<(field.count - 1), using: &generator)
                field.swapAt(index, index + 1)
            default:
                if let blank = field.indices.filter({ field[$0] == 0x20 }).randomElement(using: &generator) {
                    field.replaceSubrange(blank...blank, with: [0x0D, 0x0A, 0x20])
                }
            }
        }
        return field
    }

    mutating func message() -> [UInt8] {
        var lines: [[UInt8]] = [Array("From:".utf8) + fieldBody(), Array("Subject: x".utf8)]
        if Int.random(in: 0..<4, using: &generator) == 0 {
            let names = ["Sender:", "Resent-From:", "Resent-Sender:", "From:", "From :", "X-Other:", "sender:"]
            let line = Array((names.randomElement(using: &generator) ?? "").utf8) + fieldBody()
            lines.insert(line, at: Int.random(in: 0...2, using: &generator))
        }
        return Array(lines.joined(separator: [0x0D, 0x0A])) + octets(#"\r\n\r\nHello.\r\n"#)
    }
}

/// What `Support/read_mailboxes.py` says of a message.
private struct Reading: Decodable {
    struct Field: Decodable {
        var name: String
        var mailboxes: [[String]]

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            name = try container.decode(String.self)
            mailboxes = try container.decode([[String]].self)
        }
    }

    var parser: [Field]
    var parseaddr: String
    var decoded: String
    var problem: String?
}

@Suite("Other readers of the same octets")
struct OtherReadersTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Support/read_mailboxes.py")

    /// One process reads all; its input comes from a file, so that neither side can wait for the other.
    private static func read(_ messages: [[UInt8]]) throws -> [Reading] {
        let input = FileManager.default.temporaryDirectory.appendingPathComponent("mailboxes-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: input) }
        var data = Data()
        for message in messages {
            withUnsafeBytes(of: UInt32(message.count).bigEndian) { data.append(contentsOf: $0) }
            data.append(contentsOf: message)
        }
        try data.write(to: input)
        let output = Pipe()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["PYTHON"] ?? "python3", script.path]
        process.standardInput = try FileHandle(forReadingFrom: input)
        process.standardOutput = output
        try process.run()
        let lines = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "python3 is needed for this test")
        return try lines.split(separator: UInt8(ascii: "\n")).map { try JSONDecoder().decode(Reading.self, from: $0) }
    }

    /// Local part and domain as a reader that takes the quotes off would have them.
    private static func parts(_ address: AddrSpec) -> [String] {
        var local = address.localPart
        if local.hasPrefix("\"") {
            local = String(local.dropFirst().dropLast()).replacing("\\\"", with: "\"").replacing("\\\\", with: "\\")
        }
        return [local, address.domain.text]
    }

    private static func normalised(_ mailbox: [String]) -> [String] {
        mailbox.count == 2 ? [mailbox[0], mailbox[1].lowercased()] : mailbox
    }

    /// Why the reading is not what was checked; nil when it is.
    private static func difference(_ reading: Reading, _ summary: HeaderSummary) -> String? {
        if let problem = reading.problem { return "it gives up: \(problem)" }
        let from = reading.parser.filter { $0.name == "from" }
        guard from.count == 1, from[0].mailboxes.map(normalised) == [parts(summary.from)] else {
            return "From is \(from.map(\.mailboxes)), not \(summary.from)"
        }
        let senders = reading.parser.filter { $0.name != "from" }
        guard senders.map({ $0.mailboxes.map(normalised) }) == summary.senders.map({ [parts($0)] }) else {
            return "the senders are \(senders.map(\.mailboxes)), not \(summary.senders)"
        }
        // These two go wrong in many ways, at folds and at an @ in a name; but they must not find another domain.
        for (reader, found) in [
            ("parseaddr", reading.parseaddr), ("parseaddr over the decoded field", reading.decoded),
        ] {
            let own = summary.from.domain.text
            guard domain(found).map({ $0 == own || !$0.contains(".") }) ?? true else {
                return "\(reader) takes \(found), not \(summary.from)"
            }
        }
        return nil
    }

    /// What stands behind the last `@`, without what may be left of the field's syntax; nil when there is none.
    private static func domain(_ found: String) -> String? {
        guard let at = found.lastIndex(of: "@") else { return nil }
        return found[found.index(after: at)...].lowercased().trimmingCharacters(in: .init(charactersIn: " \t\r\n>\"'."))
    }

    private static func compare(_ accepted: [(message: [UInt8], summary: HeaderSummary)]) throws {
        let readings = try read(accepted.map(\.message))
        try #require(readings.count == accepted.count)
        for (reading, (message, summary)) in zip(readings, accepted) {
            if let difference = difference(reading, summary) {
                Issue.record("\(text(message.prefix(400)).debugDescription): \(difference)")
            }
        }
    }

    private static let context = PreparationContext(
        received: "from client.test ([192.0.2.1])\r\n by relay.test; Tue, 24 Nov 2026 14:33:17 +0000",
        date: plainContext.date, messageID: plainContext.messageID)

    private static func accepted(_ messages: some Sequence<[UInt8]>) -> [(message: [UInt8], summary: HeaderSummary)] {
        messages.compactMap { message in
            let prepared = prepare([message], PreparationPolicy(), context)
            return prepared.summary.map { (prepared.output, $0) }
        }
    }

    @Test("Python's parsers find in every accepted header of the corpus what was checked")
    func corpus() throws {
        let accepted = Self.accepted(try Corpus.cases.get().map(\.message))
        #expect(accepted.count > 100)
        try Self.compare(accepted)
    }

    @Test("And in every accepted one of thousands that are nearly right")
    func mutations() throws {
        var mutator = HeaderMutator(try Corpus.cases.get())
        let accepted = Self.accepted((0..<6000).map { _ in mutator.message() })
        // Both ways of going wrong are tried: too many refused would make the test empty.
        #expect(accepted.count > 800 && accepted.count < 5000, "\(accepted.count)")
        try Self.compare(accepted)
    }
}
