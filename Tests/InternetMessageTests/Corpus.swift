import Foundation
import InternetMessage
import TestSupport
import Testing

/// A case of the corpus; `Corpus/FORMAT.md` describes the files.
struct CorpusCase: Sendable, CustomTestStringConvertible {
    enum Verdict: Equatable, Sendable {
        case accepted(from: String, senders: [String])
        /// Accepted for a key whose domains include `others` too.
        case withOthers(from: String, senders: [String], others: [String])
        /// Accepted only for keys without a list of domains. The explanation mentions `parts`.
        case ambiguous(from: String, parts: [String])
        /// Refused with this kind of rejection. The explanation mentions `parts`.
        case refused(kind: String, parts: [String])
    }

    var file: String
    var name: String
    /// The message with its body.
    var message: [UInt8]
    var verdict: Verdict

    var testDescription: String { "\(file): \(name)" }
}

enum Corpus {
    struct FormatError: Error, CustomStringConvertible {
        var description: String
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus")

    static let files = ["fields", "syntax", "octets", "encoded-words", "clients", "authors"]

    /// All cases except those of `ses.txt`, or the error if a file cannot be read or has a wrong form.
    static let cases = Result { try files.flatMap(read) }

    /// The cases of `ses.txt`. Their messages, refused or accepted, are about MIME parts and about fields other than
    /// From. Tests that compare readings of From skip them.
    static let sesCases = Result { try read("ses") }

    private static func read(_ file: String) throws -> [CorpusCase] {
        let data = try Data(contentsOf: folder.appendingPathComponent(file + ".txt"))
        var cases: [CorpusCase] = []
        var name: Substring?
        var message: [UInt8] = []
        var isRaw = false
        for (index, line) in String(decoding: data, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false
        )
        .enumerated() {
            let problem = { (what: String) in FormatError(description: "\(file).txt:\(index + 1): \(what)") }
            if line.hasPrefix("== ") {
                guard name == nil else { throw problem("the case before has no verdict") }
                name = line.dropFirst(3)
                message = []
                isRaw = false
            } else if line == "raw" {
                isRaw = true
            } else if line.hasPrefix("|") {
                let content = line.dropFirst(2)
                message += content.hasSuffix("\\.") ? octets(content.dropLast(2)) : octets(content) + [0x0D, 0x0A]
            } else if line.hasPrefix("=> ") {
                guard let title = name else { throw problem("a verdict without a case") }
                guard let verdict = verdict(line.dropFirst(3)) else { throw problem("no such verdict") }
                if !isRaw { message += octets(#"\r\nHello.\r\n"#) }
                cases.append(CorpusCase(file: file, name: String(title), message: message, verdict: verdict))
                name = nil
            } else if !line.isEmpty, !line.hasPrefix("#") {
                throw problem("not a line of a case")
            }
        }
        guard name == nil else { throw FormatError(description: "\(file).txt: the last case has no verdict") }
        return cases
    }

    private static func verdict(_ line: Substring) -> CorpusCase.Verdict? {
        let parts = line.split(separator: " ", maxSplits: 1)
        guard let kind = parts.first else { return nil }
        let rest = parts.count == 2 ? String(parts[1]) : ""
        switch kind {
        case "accepted":
            guard rest.hasPrefix("from="), rest.hasSuffix("]"),
                let bracket = rest.range(of: " senders=[", options: .backwards)
            else { return nil }
            let senders = rest[bracket.upperBound...].dropLast().split(separator: ", ").map(String.init)
            let from = String(rest[..<bracket.lowerBound].dropFirst(5))
            guard let others = from.range(of: " others=[") else { return .accepted(from: from, senders: senders) }
            return .withOthers(
                from: String(from[..<others.lowerBound]), senders: senders,
                others: from[others.upperBound...].dropLast().split(separator: ", ").map(String.init))
        case "ambiguous":
            guard rest.hasPrefix("from="), let blank = rest.firstIndex(of: " ") else { return nil }
            return .ambiguous(
                from: String(rest[..<blank].dropFirst(5)), parts: mentioned(rest[rest.index(after: blank)...]))
        case "from", "malformed", "duplicate", "too-large", "line-too-long", "address", "mime", "attachment", "loop":
            return .refused(kind: String(kind), parts: mentioned(rest[...]))
        default: return nil
        }
    }

    /// The texts of a verdict, which are separated by " ... ".
    private static func mentioned(_ text: Substring) -> [String] {
        text.components(separatedBy: " ... ").filter { !$0.isEmpty }
    }
}

extension MessageRejection {
    /// The kind's name in the corpus.
    var kind: String {
        switch self {
        case .from: "from"
        case .malformedHeader: "malformed"
        case .duplicateField: "duplicate"
        case .relayField: "relay"
        case .headerTooLarge: "too-large"
        case .lineTooLong: "line-too-long"
        case .address: "address"
        case .mime: "mime"
        case .attachment: "attachment"
        case .loop: "loop"
        }
    }
}

@Suite("Hostile headers")
struct CorpusTests {
    @Test("The corpus has enough cases, and each name occurs once")
    func corpus() throws {
        let cases = try Corpus.cases.get()
        #expect(cases.count >= 160)
        #expect(Set(cases.map(\.testDescription)).count == cases.count)
    }

    @Test(
        "Every case gets its verdict, as one piece and octet by octet",
        arguments: try Corpus.cases.get() + Corpus.sesCases.get())
    func verdict(_ test: CorpusCase) {
        let whole = prepare([test.message])
        switch (whole.result, test.verdict) {
        case (.success(let summary), .accepted(let from, let senders)):
            #expect(summary.from.text == from)
            #expect(summary.senders.map(\.text) == senders)
            #expect(summary.otherAuthors == [])
            #expect(summary.ambiguity == nil)
        case (.success(let summary), .withOthers(let from, let senders, let others)):
            #expect(summary.from.text == from)
            #expect(summary.senders.map(\.text) == senders)
            #expect(summary.otherAuthors.map(\.text) == others)
            #expect(summary.ambiguity == nil)
        case (.success(let summary), .ambiguous(let from, let parts)):
            #expect(summary.from.text == from)
            #expect(summary.ambiguity?.explanation.mentions(parts) == true, "\(summary)")
            #expect(summary.ambiguity?.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) } != false)
        case (.failure(let rejection), .refused(let kind, let parts)):
            #expect(rejection.kind == kind, "\(rejection.explanation)")
            #expect(
                rejection.explanation.lowercased().mentions(parts.map { $0.lowercased() }),
                "\(rejection.explanation)")
            #expect(rejection.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        case (let result, _): Issue.record("\(result)")
        }
        #expect(prepare(test.message.map { [$0] }).result == whole.result)
        if whole.rejection == nil { #expect(prepare(test.message.map { [$0] }).output == whole.output) }
    }

    @Test("No explanation of a message of the corpus quotes an address of From")
    func explanationsQuoteNoSender() throws {
        for test in try Corpus.cases.get() {
            let prepared = prepare([test.message])
            for rejection in [prepared.rejection, prepared.summary?.ambiguity] {
                for word in ["evil", "good.example", "ceo"] {
                    #expect(rejection?.explanation.contains(word) != true, "\(test.testDescription)")
                }
            }
        }
    }

    @Test("A prepared message is accepted again, unchanged and with the same senders")
    func idempotent() throws {
        for test in try Corpus.cases.get() + Corpus.sesCases.get() {
            let once = prepare([test.message])
            guard once.rejection == nil else { continue }
            let twice = prepare([once.output])
            #expect(twice.output == once.output, "\(test.testDescription)")
            #expect(twice.summary?.from == once.summary?.from)
            #expect(twice.summary?.senders == once.summary?.senders)
            #expect(twice.summary?.otherAuthors == once.summary?.otherAuthors)
            #expect(twice.summary?.ambiguity == once.summary?.ambiguity)
        }
    }
}
