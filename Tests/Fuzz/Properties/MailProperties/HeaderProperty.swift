import FuzzSupport
import InternetMessage

extension Property {
    /// The prepared message has exactly the one From field that was checked, by the rules of every reader. Nothing else
    /// in the message changes.
    public static let header = Property("header") { input in
        let choice = fingerprint(input)
        let isFolding = choice & 1 == 0
        let policy = PreparationPolicy(
            longLines: isFolding ? .fold : .refuse, maximumHeaderSize: 2048, addReceived: choice & 2 == 0)
        guard let prepared = try preparedAlike(input, policy) else { return }
        try checkForm(prepared)
        try checkReaders(prepared)
        if !isFolding { try checkBody(prepared, input) }

        // When a prepared message is prepared again, it must not change.
        let again = PreparationPolicy(longLines: policy.longLines, maximumHeaderSize: 16_384, addReceived: false)
        guard let second = prepare([prepared.octets[...]], again).success else {
            throw Violation("\(shown(prepared.octets)) is refused the second time")
        }
        try require(second.octets == prepared.octets, "\(shown(prepared.octets)) becomes \(shown(second.octets))")
        try require(
            second.summary.from == prepared.summary.from && second.summary.senders == prepared.summary.senders
                && second.summary.otherAuthors == prepared.summary.otherAuthors
                && second.summary.ambiguity == prepared.summary.ambiguity,
            "the sender of \(shown(prepared.octets)) changes to \(second.summary.from)")
    }

    /// The same as ``header``, but the input is the body of a From field.
    public static let from = Property("from") { input in
        try Property.header.check(Array("From: ".utf8) + input + Array("\r\n\r\nBody\r\n".utf8))
    }

    /// Prepares the message in different pieces, which must all give the same output or the same rejection. Nil if the
    /// message is rejected.
    private static func preparedAlike(_ input: [UInt8], _ policy: PreparationPolicy) throws -> Prepared? {
        var first: Preparation?
        for chunks in chunkings(of: input) {
            let result = prepare(chunks, policy)
            if let first {
                try require(result == first, "\(shown(input)) in \(chunks.count) pieces: \(result), not \(first)")
            }
            first = result
        }
        return first?.success
    }

    private static func checkForm(_ prepared: Prepared) throws {
        let lines = Lines.byCRLF(prepared.octets[...])
        try require(
            lines.allSatisfy { $0.count <= 998 }, "a line of \(lines.map(\.count).max() ?? 0) octets is passed on")
        try require(
            prepared.header.suffix(4).elementsEqual("\r\n\r\n".utf8),
            "the header section has no end: \(shown(prepared.header))")
        try require(
            prepared.summary.subject.map { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } }
                ?? true,
            "the subject has control characters")
    }

    /// Reads the header with three definitions of a line and four ways to find an address.
    private static func checkReaders(_ prepared: Prepared) throws {
        let own = prepared.summary.from
        let domains = [own.domainName].compactMap { $0 } + prepared.summary.otherAuthors
        for split in [Lines.byCRLF, Lines.byCROrLF, Lines.byUnicode] {
            let lines = split(prepared.header)
            let end = lines.firstIndex(where: \.isEmpty) ?? lines.endIndex
            try require(
                lines[end...].allSatisfy(\.isEmpty),
                "some readers find an end within the header: \(shown(prepared.header))")
            let fields = Lines.fields(lines[..<end])
            let froms = fields.filter { $0.name == "from" }
            try require(froms.count == 1, "some readers find \(froms.count) From fields: \(shown(prepared.header))")
            let gone = fields.first {
                ["bcc", "resent-bcc", "return-path", "hiveku-idempotency-key"].contains($0.name)
                    || $0.name.hasPrefix("x-ses-")
            }
            try require(gone == nil, "\(gone?.name ?? "") is not removed: \(shown(prepared.header))")
            for from in froms {
                // A key with a domain allowlist may not send an ambiguous message. Its list must have all of these
                // domains. A domain without a dot does not belong to anybody.
                guard prepared.summary.ambiguity == nil else { continue }
                for address in Readers.addresses(in: from.body) where address != own {
                    guard let domain = address.domainName, domain.text.contains(".") else { continue }
                    try require(
                        domains.contains(domain), "\(domains) were checked, some find \(address) in \(shown(from.body))"
                    )
                }
            }
        }
    }

    private static func checkBody(_ prepared: Prepared, _ input: [UInt8]) throws {
        let separator = Array("\r\n\r\n".utf8)
        let start = input.indices.first { input[$0...].starts(with: separator) }
        let body = start.map { input[($0 + 4)...] } ?? []
        try require(
            prepared.octets[prepared.header.count...].elementsEqual(body), "the body of \(shown(input)) changes")
    }
}

/// A prepared message.
private struct Prepared: Equatable {
    var octets: [UInt8]
    var header: ArraySlice<UInt8>
    var summary: HeaderSummary

    static let context = PreparationContext(
        received: "from client.example ([192.0.2.7])\r\n\tby relay.example.com with ESMTPSA id 1",
        date: "Wed, 25 Nov 2026 12:00:00 +0000", messageID: "<1@relay.example.com>")

    init(octets: [UInt8], headerSize: Int, summary: HeaderSummary) {
        self.octets = octets
        self.header = octets.prefix(headerSize)
        self.summary = summary
    }
}

private typealias Preparation = Result<Prepared, MessageRejection>

private func prepare(_ chunks: [ArraySlice<UInt8>], _ policy: PreparationPolicy) -> Preparation {
    var preparation = MessagePreparation(policy: policy, context: Prepared.context)
    var octets: [UInt8] = []
    for chunk in chunks { chunk.withUnsafeBytes { preparation.consume($0, into: &octets) } }
    return preparation.finish(into: &octets).map { summary in
        Prepared(octets: octets, headerSize: preparation.headerSize ?? 0, summary: summary)
    }
}

extension Result {
    fileprivate var success: Success? { try? get() }
}
