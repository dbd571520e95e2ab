import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import InternetMessage

/// Makes small changes to messages of the corpus. Each run makes the same messages.
private struct SESMutator {
    private var generator = SeededGenerator(seed: 13)
    private let messages: [[UInt8]]

    private static let tokens: [[UInt8]] = [
        "<", ">", "(", ")", "@", ",", ";", ":", "\"", "\\\\", ".", "..", " ", "\\t", "\\r\\n ", "\\r\\n\\t", "[", "]",
        "=",
        "/", "?", "-", "--", "*", "'", "%2E", "\\\\\"", "\\\\\\r\\n ", "a", "x.y", "@x.example", "<u@x.example>",
        "u@x.example",
        "u@x.example, ", "; b@x.example", "(x)", "(", "\"x y\"", "\"u\"@", "Team:", "Team: ", ":;", "@one.example:",
        "=?utf-8?q?x?=", "\\u{F6}", "\\xE4", "\\x7F", "root", "text/plain", "; name=a", "; filename=a b",
        "; boundary=b",
        "; boundary=c", "; name*0=a; name*1*=%2Eexe", "; filename*=utf-8''a%2Eexe", ".exe", "\\r\\n--b\\r\\n",
        "\\r\\n--b--\\r\\n", "\\r\\n--c\\r\\n", "\\r\\n--b\\r\\nContent-Type: text\\r\\n\\r\\n",
        "\\r\\nContent-Disposition: inline; filename=a b\\r\\n",
        "\\r\\nContent-Type: multipart/mixed; boundary=c\\r\\n\\r\\n",
        "\\r\\n\\r\\n", "\\r\\nTo: ", "\\r\\nCc: ", "multipart/mixed",
    ].map { octets($0) }

    init(_ cases: [CorpusCase]) { messages = cases.map(\.message) }

    private mutating func position(_ message: [UInt8]) -> Int {
        // The first line, which is the From field, stays unchanged.
        let start = (message.firstIndex(of: .lf) ?? -1) + 1
        return Int.random(in: min(start, message.count)...message.count, using: &generator)
    }

    /// A changed message in which every line ends with CRLF. The relay refuses other line ends while it receives a
    /// message.
    mutating func message() -> [UInt8] {
        while true {
            let message = mutated()
            let hasBareLineEnd = message.indices.contains { index in
                switch message[index] {
                case .cr: index + 1 == message.count || message[index + 1] != .lf
                case .lf: index == 0 || message[index - 1] != .cr
                default: false
                }
            }
            if !hasBareLineEnd { return message }
        }
    }

    private mutating func mutated() -> [UInt8] {
        guard var message = messages.randomElement(using: &generator) else { return [] }
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let at = position(message)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                message.insert(contentsOf: Self.tokens.randomElement(using: &generator) ?? [], at: at)
            case 6:
                message.removeSubrange(at..<min(message.count, at + Int.random(in: 1...4, using: &generator)))
            case 7:
                let piece = Array(message[at..<min(message.count, at + Int.random(in: 1...12, using: &generator))])
                message.insert(contentsOf: piece, at: position(message))
            default:
                guard at + 1 < message.count else { continue }
                message.swapAt(at, at + 1)
            }
        }
        return message
    }
}

/// JavaMail's parser, used as SES seems to use it.
private enum Oracle {
    struct Reading {
        enum Verdict {
            case taken, none
            case refused(String)
        }

        var verdict: Verdict
        var fileNames: [String]
    }

    private static let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Support/ReadAsSES.java")
    private static let libraries = ["javax.mail", "javax.activation"].map { "/usr/share/java/\($0).jar" }

    static func read(_ messages: [[UInt8]]) throws -> [Reading] {
        var input = Data()
        for message in messages {
            withUnsafeBytes(of: UInt32(message.count).bigEndian) { input.append(contentsOf: $0) }
            input.append(contentsOf: message)
        }
        let files = FileManager.default
        let directory = files.temporaryDirectory.appendingPathComponent("oracle-\(UUID().uuidString)")
        try files.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: directory) }
        // Files are used instead of pipes, because both sides may write more than a pipe holds.
        let inputFile = directory.appendingPathComponent("input")
        let outputFile = directory.appendingPathComponent("output")
        try input.write(to: inputFile)
        try Data().write(to: outputFile)
        let process = try ChildProcess(
            ["java", "-cp", libraries.joined(separator: ":"), program.path],
            input: FileHandle(forReadingFrom: inputFile), output: FileHandle(forWritingTo: outputFile))
        try #require(
            process.wait() == 0, "libmail-java and openjdk-17-jdk-headless are needed for this test")
        return String(decoding: try Data(contentsOf: outputFile), as: UTF8.self).split(separator: "\n").map { line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let verdict: Reading.Verdict =
                switch fields[0] {
                case "ok": .taken
                case "none": .none
                default: .refused(fields[0])
                }
            return Reading(verdict: verdict, fileNames: Array(fields.dropFirst()))
        }
    }
}

/// A case in which the relay refuses a message that JavaMail accepts.
private struct Stricter {
    /// What the explanation mentions.
    var parts: [String]
    /// Why the relay refuses it, for the reader of this test.
    var reason: String

    static let all = [
        Stricter(
            parts: ["non-ASCII"],
            reason: "The relay does not offer SMTPUTF8, because SES refuses non-ASCII addresses"),
        Stricter(
            parts: ["nested multiparts"],
            reason: "The relay checks parts in bounded memory as they stream by, so it limits their nesting"),
        Stricter(
            parts: ["Content", "\(PartScanner.maximumFieldSize) octets"],
            reason: "The relay checks parts in bounded memory as they stream by, so it limits the size of a field"),
    ]

    static func allows(_ rejection: MessageRejection) -> Bool {
        all.contains { rejection.explanation.mentions($0.parts) }
    }
}

@Suite("Agreement with SES's parser")
struct OracleTests {
    /// This policy allows all attachments, because SES's parser does not check the endings of file names.
    private static let policy = PreparationPolicy(refusedAttachments: AttachmentEndings([]))

    private static func concernsSES(_ rejection: MessageRejection) -> Bool {
        switch rejection {
        case .address, .mime: true
        default: false
        }
    }

    /// Compares both readings of each message. Returns how many messages both accept, and how many both refuse.
    private static func compare(_ messages: [[UInt8]]) throws -> (accepted: Int, refused: Int) {
        let prepared = messages.map { prepare([$0], policy) }
        // JavaMail reads the message that SES would get. If the relay refuses the message, JavaMail reads the message
        // that the relay got.
        let readings = try Oracle.read(
            zip(messages, prepared).map { $1.rejection == nil ? $1.output : withoutBlankLines($0) })
        try #require(readings.count == messages.count)
        var counts = (accepted: 0, refused: 0)
        for ((message, prepared), reading) in zip(zip(messages, prepared), readings) {
            switch (prepared.rejection, reading.verdict) {
            case (nil, .taken): counts.accepted += 1
            case (nil, .refused(let refusal)):
                Issue.record("Only JavaMail refuses this message: \(refusal): \(text(message).debugDescription)")
            case (let rejection?, .refused) where concernsSES(rejection): counts.refused += 1
            case (let rejection?, .taken) where concernsSES(rejection):
                guard !Stricter.allows(rejection) else { continue }
                Issue.record(
                    "Only the relay refuses this message: \(rejection.explanation): \(text(message).debugDescription)"
                )
            default: break
            }
            try checkNames(message, reading)
        }
        return counts
    }

    /// The message without the lines of its header that hold only blanks. The relay never passes such lines on.
    private static func withoutBlankLines(_ message: [UInt8]) -> [UInt8] {
        let headerEnd = message.firstRange(of: octets(#"\r\n\r\n"#))?.lowerBound ?? message.endIndex
        var kept: [UInt8] = []
        var index = 0
        while index < headerEnd {
            let end = message[index...].firstIndex(of: .lf).map { $0 + 1 } ?? message.endIndex
            if !message[index..<end].dropLast(2).allSatisfy(\.isBlank) { kept += message[index..<end] }
            index = end
        }
        return kept + message[index...]
    }

    /// If JavaMail finds a file name whose ending SES refuses, the relay must refuse the message.
    private static func checkNames(_ message: [UInt8], _ reading: Oracle.Reading) throws {
        let refused = AttachmentEndings.refusedBySES.contains { ending in
            reading.fileNames.contains { $0.lowercased().hasSuffix("." + ending) }
        }
        guard refused else { return }
        #expect(prepare([message]).rejection != nil, "\(reading.fileNames) in \(text(message).debugDescription)")
    }

    @Test("JavaMail agrees with every verdict of the corpus")
    func corpus() throws {
        let cases = try Corpus.sesCases.get()
        let counts = try Self.compare(cases.map(\.message))
        #expect(counts.accepted >= 50 && counts.refused >= 60, "\(counts)")
    }

    @Test("JavaMail agrees with the verdict on thousands of messages with small changes")
    func mutations() throws {
        var mutator = SESMutator(try Corpus.sesCases.get())
        let counts = try Self.compare((0..<20_000).map { _ in mutator.message() })
        // There must be enough messages of each kind. Otherwise the test would check little.
        #expect(counts.accepted > 4000 && counts.refused > 4000, "\(counts)")
    }
}
