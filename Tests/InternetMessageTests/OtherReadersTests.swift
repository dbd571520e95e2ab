import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import InternetMessage

/// Makes small changes to From fields of the corpus.
private struct FieldMutator {
    private var generator: SeededGenerator
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

    init(_ cases: [CorpusCase], seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        fields = cases.flatMap(Self.fields)
        words = Self.tokens.map { octets($0) }
    }

    /// The bodies of the From fields of a case.
    static func fields(of test: CorpusCase) -> [[UInt8]] {
        var fields: [[UInt8]] = []
        var isFrom = false
        var start = 0
        for index in test.message.indices where index + 1 < test.message.count {
            guard test.message[index] == 0x0D, test.message[index + 1] == 0x0A else { continue }
            let line = test.message[start..<index]
            start = index + 2
            if line.isEmpty { break }
            if line.first == 0x20 || line.first == 0x09 {
                if isFrom { fields[fields.count - 1] += [0x0D, 0x0A] + line }
                continue
            }
            isFrom = text(line.prefix(5)).lowercased() == "from:"
            if isFrom { fields.append(Array(line.dropFirst(5))) }
        }
        return fields.filter { $0.count < 4000 }
    }

    private mutating func position(_ field: [UInt8]) -> Int { Int.random(in: 0...field.count, using: &generator) }

    mutating func fieldBody() -> [UInt8] {
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
}

/// Makes From fields from the parts of known attacks on readers of mail.
private struct FieldGenerator {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private static let addresses = [
        "a@acme.co", "app@shop.example", "user@good.example", "a.b+c@acme.co", "ceo%evil.example@acme.co",
        "evil.example!x@acme.co",
        "\"a b\"@acme.co", "\"a@evil.example\"@acme.co", "\"a\\\"b\"@acme.co", "a@sub.acme.co", "root@localhost",
        "a@ACME.co",
    ]
    /// Texts that other readers could read as an address, or that change the domain before them.
    private static let baits = [
        "ceo@evil.example", "ceo@acme.co", "jm@kunde.example", "<ceo@evil.example>", "@evil.example:", "@", "ceo@",
        "@evil.example",
        ".evil.example", "m", "x", "example", ".m", "\u{3002}evil", "ceo@evil\u{3002}example",
        "ceo@evil\u{FF0E}example",
        "ceo@evil\u{FF61}example", "a@acme.co", "a@acme.co.", "evil.example", "ceo @ evil . example",
        "Caf\u{E9} @ Home",
        "ceo\u{FF20}evil.example", "ceo@[192.0.2.1]", "ceo@(x)evil.example", "mailto:ceo@evil.example", "=40", "=?",
        "?=",
        "'ceo@evil.example'", "\u{200B}", "\u{AD}", "\u{A0}",
    ]
    private static let words = [
        "J\u{FC}rgen", "Some", "One", "Dr.", "O'Neil", "ACME", "\u{5C71}\u{7530}", "\u{5E9}\u{5DC}", "via", "-", "&",
        "1", "a.b",
    ]
    private static let specials = [
        "(", ")", "<", ">", "\"", "\\", ",", ";", ":", "[", "]", ".", "@", "\\\"", "\\)", "''", "()", "\"\"", ">,",
        "),", "\",",
    ]
    private static let blanks = [" ", "  ", "\t", "\r\n ", " \r\n\t", ""]
    private static let charsets = [
        "utf-8", "UTF-8", "utf8", "us-ascii", "iso-8859-1", "ISO-8859-15", "windows-1252", "iso-2022-jp", "ISO-2022-JP",
        "gb2312",
        "gbk", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "koi8-r", "utf-8*en", "utf-7", "utf-16be",
        "iso-2022-kr",
        "iso-2022-cn", "iso-2022-jp-2", "hz-gb-2312", "x-mine", "cp037", "unknown-8bit",
    ]
    /// Shift and escape sequences, overlong forms, and parts of multi-octet characters.
    private static let rawPieces: [[UInt8]] = [
        [0x1B, 0x28, 0x42], [0x1B, 0x28, 0x4A], [0x1B, 0x24, 0x42], [0x1B, 0x24, 0x40],
        [0x1B, 0x24, 0x42, 0x3A, 0x34, 0x1B, 0x28, 0x42],
        [0x1B, 0x28, 0x49], [0x1B, 0x24, 0x29, 0x43], [0x1B, 0x2E, 0x41], [0x1B, 0x4E], [0x0E], [0x0F], [0x1B],
        [0xC0, 0xAE],
        [0xC1, 0x80], [0xE0, 0x80, 0xAE], [0xC0, 0xBC], [0x81], [0xE3, 0x80], [0x82], [0xFF], [0x80], [0x8E],
        [0xA1, 0xA3], [0x00],
        [0x0D, 0x0A], [0x0A], [0xC2, 0x85],
    ]

    private mutating func chance(_ one: Int, in all: Int) -> Bool { Int.random(in: 0..<all, using: &generator) < one }

    private mutating func any(_ list: [String]) -> [UInt8] { Array((list.randomElement(using: &generator) ?? "").utf8) }

    /// Random text that may contain some of `baits`.
    private mutating func text() -> [UInt8] {
        var result: [UInt8] = []
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            switch Int.random(in: 0..<12, using: &generator) {
            case 0..<4: result += any(Self.words)
            case 4..<8: result += any(Self.baits)
            case 8..<10: result += any(Self.specials)
            case 10 where chance(1, in: 3): result += Self.rawPieces.randomElement(using: &generator) ?? []
            default: result.append(0x20)
            }
            if chance(1, in: 3) { result.append(0x20) }
        }
        return result
    }

    private mutating func encodedWord() -> [UInt8] {
        let payload = text()
        var word = Array("=?".utf8)
        word += chance(1, in: 2) ? Array("utf-8".utf8) : any(Self.charsets)
        if chance(1, in: 2) {
            word += Array("?q?".utf8)
            for byte in payload {
                switch byte {
                case 0x20: word.append(0x5F)
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: word.append(byte)
                default:
                    // Some encoders leave characters unencoded that they must encode.
                    if byte < 0x7F, byte > 0x20, chance(1, in: 12) {
                        word.append(byte)
                    } else {
                        word +=
                            Array((byte < 16 ? "=0" : "=").utf8) + Array(String(byte, radix: 16, uppercase: true).utf8)
                    }
                }
            }
        } else {
            word += Array("?b?".utf8) + Array(Data(payload).base64EncodedString().utf8)
            if chance(1, in: 10) { while word.last == 0x3D { word.removeLast() } }
        }
        return word + Array((chance(1, in: 20) ? "?" : "?=").utf8)
    }

    private mutating func quoted() -> [UInt8] {
        var content: [UInt8] = []
        for byte in text() where byte >= 0x20 {
            if byte == 0x22 || byte == 0x5C { content.append(0x5C) }
            content.append(byte)
        }
        if chance(1, in: 8) { content += encodedWord() }
        if chance(1, in: 12) { content += Array("\r\n ".utf8) + text().filter { $0 >= 0x20 && $0 != 0x22 } }
        return [0x22] + content + [0x22]
    }

    private mutating func comment() -> [UInt8] {
        var content = chance(1, in: 2) ? encodedWord() : text().filter { $0 >= 0x20 }
        if !chance(1, in: 8) { content.removeAll { $0 == 0x28 || $0 == 0x29 || $0 == 0x5C } }
        return [0x28] + content + [0x29]
    }

    /// One piece of a display name.
    private mutating func piece() -> [UInt8] {
        switch Int.random(in: 0..<16, using: &generator) {
        case 0..<3: any(Self.words)
        case 3..<8: encodedWord()
        case 8..<11: quoted()
        case 11..<13: comment()
        case 13: any(Self.baits)
        case 14: any(Self.specials)
        default: text()
        }
    }

    mutating func fieldBody() -> [UInt8] {
        var field: [UInt8] = [0x20]
        let isBare = chance(1, in: 4)
        if !isBare || chance(1, in: 6) {
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                field += piece()
                field += any(chance(1, in: 5) ? Self.blanks : [" "])
            }
        }
        let address = any(chance(5, in: 6) ? Array(Self.addresses.prefix(3)) : Self.addresses)
        if isBare {
            field += address
        } else {
            field.append(0x3C)
            if chance(1, in: 30) { field += Array("@evil.example:".utf8) }
            if chance(1, in: 30) { field.append(0x20) }
            field += address
            field += chance(1, in: 40) ? Array("> <a@acme.co>".utf8) : [0x3E]
        }
        if chance(isBare ? 3 : 1, in: 4) { field += any([" ", " ", " ", "", "\r\n "]) + comment() }
        if chance(1, in: 12) { field += any([" ", ""]) + piece() }
        if chance(1, in: 40) { field += any([",", ";", ", ", "."]) }
        return field
    }
}

/// A program that reads mail, and the command that starts it. `Support/Readers/README.md` describes its input and
/// output.
private struct Reader {
    var name: String
    var arguments: [String]

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Support/Readers").path
    private static let python = ProcessInfo.processInfo.environment["PYTHON"] ?? "python3"

    static let java = Reader(
        name: "JavaMail",
        arguments: [
            "java", "-cp", "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar", "\(folder)/Read.java",
        ])
    static let others = [
        Reader(name: "Python", arguments: [python, "\(folder)/read.py"]),
        Reader(name: "Perl", arguments: ["perl", "\(folder)/read.pl"]),
        Reader(name: "Ruby", arguments: ["ruby", "\(folder)/read.rb"]),
        Reader(name: "Go", arguments: ["go", "run", "\(folder)/read.go"]),
    ]

    /// The addresses that each of `readers` finds in each of `fields`. Each reader is one process, which reads all
    /// fields. All processes run at once. They write into files, so that none has to wait for another.
    static func read(_ fields: [[UInt8]], _ readers: [Reader]) throws -> [[[String]]] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("readers-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var data = Data()
        for field in fields {
            withUnsafeBytes(of: UInt32(field.count).bigEndian) { data.append(contentsOf: $0) }
            data.append(contentsOf: field)
        }
        let input = folder.appendingPathComponent("fields")
        try data.write(to: input)
        var processes: [(ChildProcess, URL)] = []
        for reader in readers {
            let output = folder.appendingPathComponent(reader.name)
            try Data().write(to: output)
            let process = try ChildProcess(
                reader.arguments, input: FileHandle(forReadingFrom: input), output: FileHandle(forWritingTo: output))
            processes.append((process, output))
        }
        return try zip(readers, processes).map { reader, started in
            try #require(
                started.0.wait() == 0, "\(reader.name) is needed for this test: \(reader.arguments)")
            let text = String(decoding: try Data(contentsOf: started.1), as: UTF8.self)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            try #require(lines.count == fields.count)
            return lines.map { line in line.split(separator: " ").map(address) }
        }
    }

    private static func address(_ hexadecimal: Substring) -> String {
        if hexadecimal == "none" { return "" }
        let digits = Array(hexadecimal.utf8)
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16) ?? 0
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

@Suite("Other readers of the same octets")
struct OtherReadersTests {
    /// The number of fields of the long form. `make readers` sets it, and uses another seed each day.
    private static let count = ProcessInfo.processInfo.environment["FROM_FIELDS"].flatMap { Int($0) }
    private static let seed = ProcessInfo.processInfo.environment["FROM_SEED"].flatMap { UInt64($0) } ?? 2026

    /// A From field and the relay's result for it.
    private struct Case {
        var body: [UInt8]
        var summary: HeaderSummary?
        var rejection: MessageRejection?

        /// The domains that must be on a key's list, and no others. Nil if a key with a list of domains cannot send the
        /// message.
        var domains: Set<String>? {
            guard let summary, summary.ambiguity == nil else { return nil }
            return Set([summary.from.domain.text] + summary.otherAuthors.map(\.text))
        }

        /// Prepares a message with `body` as its From field. Keeps the field in the form in which it goes to SES.
        init(_ body: [UInt8]) {
            // A line over the limit is folded. The fold may split the address.
            let prepared = prepare([Array("From:".utf8) + body + octets(#"\r\n\r\nHello.\r\n"#)])
            summary = prepared.summary
            rejection = prepared.rejection
            self.body = summary == nil ? body : Self.firstBody(prepared.output)
        }

        private static func firstBody(_ message: [UInt8]) -> [UInt8] {
            var index = 5
            while index + 2 < message.count {
                if message[index] == 0x0D, message[index + 1] == 0x0A, message[index + 2] != 0x20,
                    message[index + 2] != 0x09
                {
                    break
                }
                index += 1
            }
            return Array(message[5..<index])
        }
    }

    /// The domain of an address that a person could send to or trust. Characters of the field's syntax around the
    /// domain are removed. Nil if the domain has no dot or still contains such characters: a reader that finds no
    /// address may return the whole field.
    private static func domain(_ found: String) -> String? {
        guard let at = found.lastIndex(of: "@") else { return nil }
        let domain = found[found.index(after: at)...].lowercased().trimmingCharacters(
            in: .init(charactersIn: " \t\r\n<>()\"'.,;:"))
        guard !domain.contains(where: { " \t\r\n<>()\",;:\\".contains($0) }),
            domain.hasPrefix("[") == domain.hasSuffix("]")
        else { return nil }
        return domain.unicodeScalars.contains { ".\u{3002}\u{FF0E}\u{FF61}".unicodeScalars.contains($0) } ? domain : nil
    }

    /// The reason why the relay refuses an address that JavaMail accepts. SES cannot send for any of these addresses.
    /// Nil if there is no reason.
    private static func exception(_ address: String) -> String? {
        let bytes = Array(address.utf8)
        let at = address.lastIndex(of: "@") ?? address.endIndex
        let labels = address[at...].dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        if bytes.contains(where: { $0 >= 0x80 }) {
            return "only ASCII; domains in their xn-- form (no SMTPUTF8)"
        }
        if bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            return "a control character within quotes (RFC 5321 section 4.1.2)"
        }
        if address[at...].hasPrefix("@[") || address.contains("@[") {
            return "an address literal, which is no identity"
        }
        if !address.hasPrefix("\""), address.contains("\\") {
            return "a backslash outside quotes (RFC 5321 section 4.1.2)"
        }
        if address.hasPrefix("\"\"@") { return "nothing before the @" }
        if labels.last?.allSatisfy(\.isNumber) == true { return "an IPv4 address without its brackets" }
        if labels.last?.hasSuffix("]") == true { return "no host name" }
        if labels.contains(where: { $0.hasPrefix("-") || $0.hasSuffix("-") || $0.utf8.count > 63 }) {
            return "no host name"
        }
        if bytes.count > 254 || address[..<at].utf8.count > 64 { return "over the lengths of RFC 5321 section 4.5.3.1" }
        return nil
    }

    private static func compare(_ cases: [Case]) throws {
        // A key without a list of domains may send exactly those fields that JavaMail reads as one mailbox.
        let java = try Reader.read(cases.map(\.body), [.java])[0]
        for (test, found) in zip(cases, java) {
            let shown = text(test.body).debugDescription
            let own = found.first ?? ""
            switch (test.summary, test.rejection) {
            case (.some(let summary), _):
                // The relay drops a route, and it may drop quotes. JavaMail reads a fold within quotes as a tab or as a
                // space.
                let route = own.hasPrefix("@") ? own.drop { $0 != ":" }.dropFirst() : own[...]
                #expect(
                    (try? AddrSpec(parsing: route.replacing("\t", with: " ").utf8)) == summary.from,
                    "\(shown): JavaMail finds \(own), not \(summary.from)")
            case (_, .some(.from(let explanation)))
            where !own.isEmpty && exception(own) == nil && test.body.count < LineLimiter.limit
                && !explanation.contains("From fields"):
                Issue.record("\(shown): JavaMail accepts \(own), but the relay refuses it: \(explanation)")
            default: break
            }
        }
        // The key may send for exactly the domains that the relay found. Each reader must find no other domain.
        let known = zip(cases, java).filter { $0.0.domains != nil }
        let readings = try Reader.read(known.map(\.0.body), Reader.others)
        for (index, (test, found)) in known.enumerated() {
            let domains = test.domains ?? []
            for (reader, addresses) in [("JavaMail", Array(found.dropFirst()))]
                + zip(Reader.others.map(\.name), readings.map { $0[index] })
            {
                for address in addresses {
                    guard let domain = domain(address), !domains.contains(domain) else { continue }
                    Issue.record(
                        """
                        \(text(test.body).debugDescription): \(reader) finds \(address.debugDescription), \
                        not in \(domains.sorted())
                        """)
                }
            }
        }
    }

    @Test("In each From field of the corpus, all readers find the author that the relay finds")
    func corpus() throws {
        let cases = try Corpus.cases.get().flatMap { FieldMutator.fields(of: $0) }.map(Case.init)
        #expect(cases.count(where: { $0.domains != nil }) > 130)
        try Self.compare(cases)
    }

    @Test("All readers agree with the relay on thousands of fields made from attacks and from the corpus")
    func generated() throws {
        let count = Self.count ?? 4000
        var generator = FieldGenerator(seed: Self.seed)
        var mutator = FieldMutator(try Corpus.cases.get(), seed: Self.seed)
        let cases = (0..<count).map { Case($0.isMultiple(of: 3) ? mutator.fieldBody() : generator.fieldBody()) }
        // There must be enough fields of each kind. If too many were refused or ambiguous, the test would check little.
        let known = cases.count { $0.domains != nil }
        let taken = cases.count { $0.summary != nil }
        #expect(known > count / 5, "\(known)")
        #expect(taken - known > count / 10, "\(taken)")
        #expect(count - taken > count / 10, "\(taken)")
        try Self.compare(cases)
    }
}
