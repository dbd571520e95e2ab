/// A whole header section, read once: its contents, and which of its octets SES gets.
struct HeaderSection {
    private(set) var summary: HeaderSummary
    /// The octets that SES does not get, as ranges in order and without overlap.
    private(set) var removed: [Range<Int>]
    /// The octets of the trace fields (Received), which servers on the route have added, as ranges in order and without
    /// overlap.
    private(set) var trace: [Range<Int>]
    private(set) var hasDate: Bool
    private(set) var hasMessageID: Bool
    /// How the parts of the message are separated. Nil for a message that is not a multipart.
    private(set) var multipart: Multipart?

    /// Reads a section whose last line is empty. All lines must already be within the length limit.
    ///
    /// Parsers disagree about a line that is neither a field nor a continuation. Python's parser ends the header there
    /// and takes the rest as the body. Others skip the line. So two parsers can find two different From fields. The
    /// same is true of blanks before the colon (an obsolete form in RFC 5322 section 4.5, which Python's parser does
    /// not accept), of a first line `From …` of the mbox format, and of octets that some parsers read as line ends. All
    /// of these are refused. A continuation line with only blanks ends the header for some parsers. It has no content,
    /// so it is left out, and the message is not refused because of it.
    ///
    /// - Parameter relayClause: the text by which the relay's own Received fields are recognised. Nil when they need
    ///   not be recognised.
    init(
        reading bytes: [UInt8], refusedAttachments: AttachmentEndings, relayClause: String?
    ) throws(MessageRejection) {
        var reader = HeaderReader(
            bytes: bytes, contentFields: ContentFieldCheck(refusedAttachments: refusedAttachments),
            loop: LoopCheck(relayClause: relayClause))
        try reader.read()
        summary = try reader.summary()
        removed = reader.removed
        trace = reader.trace
        hasDate = reader.hasDate
        hasMessageID = reader.messageID != nil
        multipart = reader.multipart
    }
}

private struct HeaderReader {
    let bytes: [UInt8]
    private let contentFields: ContentFieldCheck
    private var loop: LoopCheck
    private(set) var multipart: Multipart?
    private(set) var removed: [Range<Int>] = []
    private(set) var trace: [Range<Int>] = []
    private(set) var hasDate = false
    private(set) var messageID: Range<Int>?

    private struct Field {
        var start: Int
        var name: Range<Int>
        var hasBlankBeforeColon: Bool
        var line: Int
        var end: Int
        /// Where the body begins, after the colon.
        var body: Int
    }

    private var field: Field?
    private var seen = FieldSet()
    private var fromCount = 0
    private var from: Range<Int>?
    private var senders: [(range: Range<Int>, name: String)] = []
    private var subject: Range<Int>?
    private var isAutomatic = false
    private var idempotencyKey: String?
    private var tags: [String] = []
    private var scheduledAt: String?

    init(bytes: [UInt8], contentFields: ContentFieldCheck, loop: LoopCheck) {
        self.bytes = bytes
        self.contentFields = contentFields
        self.loop = loop
    }

    mutating func read() throws(MessageRejection) {
        var start = 0
        var number = 0
        while start < bytes.count {
            number += 1
            let end = try lineEnd(from: start, line: number)
            if end == start { break }
            if bytes[start].isBlank {
                try continuation(start..<end, line: number)
            } else {
                try closeField()
                try beginField(start..<end, line: number)
            }
            start = end + 2
        }
        try closeField()
    }

    /// Checks each octet of the line and returns the index of the CR that ends it.
    private func lineEnd(from start: Int, line: Int) throws(MessageRejection) -> Int {
        var index = start
        while true {
            index = ordinaryEnd(from: index)
            guard index < bytes.count else { break }
            switch bytes[index] {
            case .cr:
                guard index + 1 < bytes.count, bytes[index + 1] == .lf else {
                    throw Self.malformed(line, "holds a CR without LF; lines end with CRLF")
                }
                return index
            case .lf:
                throw Self.malformed(line, "holds an LF without CR; lines end with CRLF")
            case .tab, 0x1B:
                // ESC is allowed. Some headers still contain raw ISO-2022-JP, and no parser reads ESC as a line end.
                break
            case ..<0x20, 0x7F:
                throw Self.malformed(line, "holds a control character")
            case 0xC2 where index + 1 < bytes.count && bytes[index + 1] == 0x85,
                0xE2 where index + 2 < bytes.count && bytes[index + 1] == 0x80 && bytes[index + 2] & 0xFE == 0xA8:
                // Parsers that read mail as Unicode text read NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR as line ends.
                throw Self.malformed(line, "holds a Unicode line separator; encode the text (RFC 2047)")
            default:
                break
            }
            index += 1
        }
        throw Self.malformed(line, "does not end with CRLF")
    }

    /// The index of the first octet from `start` on that is not printable ASCII. This loop reads every octet of every
    /// header.
    private func ordinaryEnd(from start: Int) -> Int {
        bytes.withUnsafeBufferPointer { bytes in
            var index = start
            while index < bytes.count, bytes[index] &- 0x20 < 0x5F { index += 1 }
            return index
        }
    }

    private static func malformed(_ line: Int, _ what: String) -> MessageRejection {
        .malformedHeader("Line \(line) of the header \(what)")
    }

    private mutating func continuation(_ line: Range<Int>, line number: Int) throws(MessageRejection) {
        guard field != nil else {
            throw Self.malformed(number, "begins with a blank, but there is no field before it to continue")
        }
        if bytes[line].allSatisfy(\.isBlank) { removed.append(line.lowerBound..<(line.upperBound + 2)) }
        field?.end = line.upperBound + 2
    }

    private mutating func beginField(_ line: Range<Int>, line number: Int) throws(MessageRejection) {
        var index = line.lowerBound
        while index < line.upperBound, bytes[index] > 0x20, bytes[index] < 0x7F, bytes[index] != .colon { index += 1 }
        let name = line.lowerBound..<index
        while index < line.upperBound, bytes[index].isBlank { index += 1 }
        guard index < line.upperBound, bytes[index] == .colon, !name.isEmpty else {
            if number == 1, bytes[line].starts(with: "From ".utf8) {
                throw Self.malformed(number, "is an mbox separator (From and a blank); leave it out")
            }
            throw Self.malformed(number, "is neither a field (Name: value) nor a continuation that begins with a blank")
        }
        field = Field(
            start: line.lowerBound, name: name, hasBlankBeforeColon: index > name.upperBound, line: number,
            end: line.upperBound + 2, body: index + 1)
    }

    private mutating func closeField() throws(MessageRejection) {
        guard let field else { return }
        self.field = nil
        let name = bytes[field.name]
        let entry = HeaderFieldTable.entry(name)
        let role = HeaderFieldTable.isRemovedByPrefix(name) ? .removed : entry?.role
        var isRemoved =
            switch role {
            case .removed, .idempotencyKey, .tags, .scheduledAt: true
            default: false
            }
        if field.hasBlankBeforeColon, !isRemoved {
            switch role {
            case .from, .sender, .resentSender:
                throw .from("The \(entry?.name ?? "") field has a blank before its colon; leave the blank out")
            default:
                throw Self.malformed(field.line, "has a blank between the field name and the colon")
            }
        }
        let body = field.body..<(field.end - 2)
        if role == .addresses, try !AddressListField.holdsAddress(kept(body), field: entry?.name ?? "") {
            // PHP's mail() writes a field without an address when there is no recipient. SES refuses such a field. It
            // has no content, so it is removed.
            isRemoved = true
        } else if let entry, let bit = entry.bit, !seen.insert(bit) {
            throw .duplicateField(name: entry.name)
        }
        switch role {
        case .from:
            fromCount += 1
            from = body
        case .sender, .resentSender: senders.append((body, entry?.name ?? ""))
        case .subject: subject = body
        case .date: hasDate = true
        case .messageID: messageID = body
        case .idempotencyKey: idempotencyKey = try key(body)
        case .tags: tags = try tagList(body)
        case .scheduledAt: scheduledAt = try time(body)
        case .received:
            trace.append(field.start..<field.end)
            try loop.count(bytes[body])
        case .automatic(let kind): if kind.tellsAutomaticMail(bytes[body]) { isAutomatic = true }
        case .content(let content):
            multipart = try contentFields.check(content, kept(body), part: nil) ?? multipart
        case .addresses, .once, .removed, nil: break
        }
        if HeaderFieldTable.isOfList(name) { isAutomatic = true }
        if isRemoved {
            while let last = removed.last, last.lowerBound >= field.start { removed.removeLast() }
            removed.append(field.start..<field.end)
        }
    }

    /// The body without the continuation lines that are left out.
    private func kept(_ body: Range<Int>) -> ArraySlice<UInt8> {
        guard let last = removed.last, last.upperBound > body.lowerBound else { return bytes[body] }
        var octets: [UInt8] = []
        var index = body.lowerBound
        for range in removed.drop(while: { $0.lowerBound < body.lowerBound }) {
            octets += bytes[index..<range.lowerBound]
            index = range.upperBound
        }
        // If the last line is left out, what is kept ends with the CRLF of the line before. This CRLF now ends the
        // field, so it is dropped: a body does not include the CRLF that ends its field.
        guard index <= body.upperBound else { return octets.dropLast(2) }
        return (octets + bytes[index..<body.upperBound])[...]
    }

    private func key(_ body: Range<Int>) throws(MessageRejection) -> String {
        let value = trimmed(body)
        guard IdempotencyKeyRule.holds(value) else {
            throw .malformedHeader("The Hiveku-Idempotency-Key field must hold 1 to 256 printable ASCII characters")
        }
        return String(decoding: value, as: UTF8.self)
    }

    /// The tags of a comma-separated list, with encoded words decoded (RFC 2047). Whether they are valid tags is
    /// decided elsewhere.
    ///
    /// The whole list is decoded before it is split, because libraries encode a field with non-ASCII letters as a
    /// whole, including the commas.
    private func tagList(_ body: Range<Int>) throws(MessageRejection) -> [String] {
        guard body.count <= HeaderReader.longestTags else {
            throw .relayField(
                "The Hiveku-Tags field is longer than \(HeaderReader.longestTags) octets; write fewer or shorter tags")
        }
        let unfolded = trimmed(body).compactMap { octet -> UInt8? in
            octet == .cr || octet == .lf ? nil : octet == .tab ? .space : octet
        }
        guard !unfolded.isEmpty else { return [] }
        let list = EncodedWord.decode(unfolded[...]).unicodeScalars
        return list.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let tag = part.drop { $0 == " " }
            let end = tag.lastIndex { $0 != " " }.map { tag.index(after: $0) } ?? tag.startIndex
            return String(tag[..<end])
        }
    }

    /// The most octets of the Hiveku-Tags field: enough for ten tags of 256 octets each. An encoded word needs up to
    /// three characters for each octet, plus its frame (`=?…?=`) and the folds.
    private static let longestTags = 16 * 1024

    private func time(_ body: Range<Int>) throws(MessageRejection) -> String {
        let value = trimmed(body)
        guard (1...HeaderReader.longestTime).contains(value.count), value.allSatisfy({ $0 < 0x7F }) else {
            throw .relayField(
                "The Hiveku-Scheduled-At field must hold a date and time, such as 2026-12-01T09:00:00Z or Tue, 1 Dec 2026 10:00:00 +0100"
            )
        }
        return String(decoding: value, as: UTF8.self)
    }

    /// The most octets of a time, with a comment and folds.
    private static let longestTime = 200

    private func trimmed(_ range: Range<Int>) -> ArraySlice<UInt8> {
        var slice = bytes[range]
        while let first = slice.first, first.isFoldingWhiteSpace { slice.removeFirst() }
        while let last = slice.last, last.isFoldingWhiteSpace { slice.removeLast() }
        return slice
    }

    /// Whether the Message-ID can identify a message: it has the form `<left@right>` (RFC 5322 section 3.6.4) and at
    /// most 998 octets. Some devices write only `<>` or a word.
    private static func isMessageID(_ value: ArraySlice<UInt8>) -> Bool {
        guard (5...998).contains(value.count), value.first == .less, value.last == .greater else { return false }
        let inner = value.dropFirst().dropLast()
        guard let at = inner.lastIndex(of: .at), at > inner.startIndex, at < inner.endIndex - 1 else { return false }
        return !inner.contains { $0.isFoldingWhiteSpace || $0 == .less || $0 == .greater }
    }

    func summary() throws(MessageRejection) -> HeaderSummary {
        guard let from else {
            throw .from("The message has no From field; SES accepts exactly one")
        }
        guard fromCount == 1 else {
            throw .from("The message has \(fromCount) From fields; SES accepts exactly one")
        }
        let author = try MailboxField.parse(bytes[from], field: "From")
        var summary = HeaderSummary(from: author.address)
        summary.add(author)
        for sender in senders {
            let mailbox = try MailboxField.parse(bytes[sender.range], field: sender.name)
            summary.senders.append(mailbox.address)
            summary.add(mailbox)
        }
        summary.subject = subject.map { SubjectText.display(trimmed($0)) }
        if let messageID {
            let value = trimmed(messageID)
            if Self.isMessageID(value) { summary.messageID = String(decoding: value, as: UTF8.self) }
        }
        summary.isAutomatic = isAutomatic || multipart?.isReport == true
        summary.idempotencyKey = idempotencyKey
        summary.tags = tags
        summary.scheduledAt = scheduledAt
        return summary
    }
}

/// The Subject in a form for lists and logs.
enum SubjectText {
    static let maximumLength = 200
    /// The most octets that are decoded. 200 characters always take fewer octets, even if each is four octets of UTF-8
    /// in the Q encoding and the frames of the encoded words are included.
    private static let maximumSource = 8192

    static func display(_ body: ArraySlice<UInt8>) -> String {
        var scalars = String.UnicodeScalarView()
        var count = 0
        // A fold is CRLF and a blank. It is shown as one space.
        var inFold = false
        for scalar in EncodedWord.decode(body.prefix(maximumSource)).unicodeScalars {
            let isFold = scalar == "\r" || scalar == "\n" || scalar == "\t"
            if inFold, isFold || scalar == " " { continue }
            guard count < maximumLength else { break }
            inFold = isFold
            scalars.append(isFold ? " " : isHidden(scalar) ? "\u{FFFD}" : scalar)
            count += 1
        }
        return String(scalars)
    }

    /// Whether the scalar is a control character, a line separator, or a character that changes the direction of the
    /// text around it.
    static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
