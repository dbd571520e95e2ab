import InternetMessage

/// Makes the message of an email (RFC 5322, RFC 2045 to 2047, RFC 2231), piece by piece.
///
/// ```swift
/// guard email.defects().isEmpty else { … }
/// var composer = MessageComposer(email, seed: .random(in: 0...UInt64.max))
/// guard composer.size <= limit else { … }
/// while let piece = composer.next() { … }
/// ```
///
/// The pieces are the message from its first field to its end, with CRLF at the end of each line and lines of at most
/// 998 octets. They contain no Date and no Message-ID. The relay adds these, as it does for messages from SMTP. The
/// whole message is never in memory: each piece is made from the email's values when it is requested.
///
/// The content has this structure. Levels that are not needed are left out:
/// multipart/mixed ( multipart/alternative ( text/plain, multipart/related ( text/html, files with an identifier ) ),
/// other files ).
public struct MessageComposer: Sendable {
    private enum Content {
        case octets([UInt8])
        case text(TextLines)
        case file(Base64Lines)
    }

    /// The recipients of the envelope: those of To, Cc and Bcc, in this order and each once.
    public let recipients: [AddrSpec]
    /// The exact size of the message in octets: all pieces together.
    public private(set) var size = 0

    private var contents: [Content] = []
    /// The index of the content with which the next piece begins.
    private var current = 0
    /// How many octets of that content have been returned. Used only for a content of octets.
    private var offset = 0
    /// Fields and delimiters that come before the next content.
    private var fields = FieldWriter()
    private let seed: UInt64
    private var boundaries = 0

    /// The largest piece in octets. A piece may be smaller.
    public static let maximumPieceSize = 64 * 1024
    /// A piece that has reached this size, in octets, ends at the end of its current line.
    static let pieceSize = maximumPieceSize - 256

    /// Takes an email without defects (``Email/defects()``). For an email with defects, the message is undefined.
    ///
    /// - Parameter seed: the number from which the boundaries of the parts are made. The same email with the same seed
    ///   becomes the same message. Boundaries are lines that neither quoted-printable nor base64 can contain, whatever
    ///   the seed is.
    public init(_ email: Email, seed: UInt64) {
        self.seed = seed
        recipients = Self.recipients(email)
        fields.octets.reserveCapacity(1024)
        HeaderSectionWriter.append(email, to: &fields)
        fields.field("MIME-Version", words: ["1.0"])
        addEntity(email)
        flush()
    }

    /// The next octets of the message, 1 to ``maximumPieceSize``. Nil at its end.
    public mutating func next() -> [UInt8]? {
        guard current < contents.count else { return nil }
        var piece: [UInt8] = []
        piece.reserveCapacity(min(size, Self.maximumPieceSize))
        while current < contents.count, piece.count < Self.pieceSize {
            let isUnfinished: Bool
            switch contents[current] {
            case .octets(let octets):
                let end = min(octets.count, offset + Self.maximumPieceSize - piece.count)
                piece.append(contentsOf: octets[offset..<end])
                offset = end
                isUnfinished = end < octets.count
                // The piece is full.
                if isUnfinished { return piece }
            case .text(var lines):
                // A text of one piece is copied as a whole, so it must fit.
                if !piece.isEmpty, lines.size <= Self.maximumPieceSize, piece.count + lines.size > Self.maximumPieceSize
                {
                    return piece
                }
                isUnfinished = lines.append(upTo: Self.pieceSize, to: &piece)
                contents[current] = .text(lines)
            case .file(var lines):
                isUnfinished = lines.append(upTo: Self.pieceSize, to: &piece)
                contents[current] = .file(lines)
            }
            if !isUnfinished {
                // What was returned need not stay in memory.
                contents[current] = .octets([])
                current += 1
                offset = 0
            }
        }
        // Only contents without octets were left.
        return piece.isEmpty ? nil : piece
    }

    private static func recipients(_ email: Email) -> [AddrSpec] {
        let all = email.to + email.cc + email.bcc
        guard all.count > 1 else { return all.map(\.address) }
        var seen: Set<AddrSpec> = []
        return all.map(\.address).filter { seen.insert($0).inserted }
    }

    // MARK: - Structure

    private mutating func addEntity(_ email: Email) {
        // A file with an identifier belongs to the HTML. Without HTML, it is an ordinary attachment.
        let inline = email.html == nil ? [] : email.attachments.filter { $0.contentID != nil }
        let others = email.html == nil ? email.attachments : email.attachments.filter { $0.contentID == nil }
        guard !others.isEmpty else { return addBody(email, inline: inline) }
        let boundary = beginMultipart("mixed")
        beginPart(boundary, first: true)
        addBody(email, inline: inline)
        for file in others { addFile(file, boundary) }
        endMultipart(boundary)
    }

    private mutating func addBody(_ email: Email, inline: [Email.Attachment]) {
        guard let html = email.html else { return addText(email.text ?? "", "text/plain") }
        guard let text = email.text else { return addHTML(html, inline: inline) }
        let boundary = beginMultipart("alternative")
        beginPart(boundary, first: true)
        addText(text, "text/plain")
        beginPart(boundary, first: false)
        addHTML(html, inline: inline)
        endMultipart(boundary)
    }

    private mutating func addHTML(_ html: String, inline: [Email.Attachment]) {
        guard !inline.isEmpty else { return addText(html, "text/html") }
        let boundary = beginMultipart("related", parameter: "type=\"text/html\";")
        beginPart(boundary, first: true)
        addText(html, "text/html")
        for file in inline { addFile(file, boundary) }
        endMultipart(boundary)
    }

    /// Writes the fields of a multipart entity. Returns the boundary of its parts.
    private mutating func beginMultipart(_ subtype: String, parameter: String? = nil) -> String {
        boundaries += 1
        let digits = String(seed, radix: 16)
        let boundary = "=_\(boundaries)_\(String(repeating: "0", count: 16 - digits.utf8.count))\(digits)"
        fields.field(
            "Content-Type",
            words: ["multipart/\(subtype);"] + (parameter.map { [$0] } ?? []) + ["boundary=\"\(boundary)\""])
        fields.end()
        return boundary
    }

    private mutating func beginPart(_ boundary: String, first: Bool) {
        // The CRLF before a delimiter belongs to the delimiter, not to the part.
        if !first { fields.end() }
        fields.append("--")
        fields.append(boundary)
        fields.end()
    }

    private mutating func endMultipart(_ boundary: String) {
        fields.end()
        fields.append("--")
        fields.append(boundary)
        fields.append("--")
        fields.end()
    }

    private mutating func addText(_ text: String, _ type: String) {
        let lines = TextLines(text)
        fields.field("Content-Type", words: [type + ";", "charset=utf-8"])
        fields.field("Content-Transfer-Encoding", words: [lines.encoding.rawValue])
        fields.end()
        flush()
        contents.append(.text(lines))
        size += lines.size
    }

    private mutating func addFile(_ file: Email.Attachment, _ boundary: String) {
        beginPart(boundary, first: false)
        let given = file.contentType.flatMap { try? MediaType(parsing: $0) }
        fields.field("Content-Type", words: (given ?? MediaType(ofFile: file.filename)).words)
        fields.field("Content-Transfer-Encoding", words: [TextLines.Encoding.base64.rawValue])
        fields.field(
            "Content-Disposition",
            words: [file.contentID == nil ? "attachment;" : "inline;"] + FilenameParameter.words(file.filename))
        if let identifier = file.contentID { fields.field("Content-ID", words: ["<\(identifier)>"]) }
        fields.end()
        flush()
        let lines = Base64Lines(file.content)
        contents.append(.file(lines))
        size += lines.size
    }

    /// Makes a content from the fields so far.
    private mutating func flush() {
        guard !fields.octets.isEmpty else { return }
        size += fields.octets.count
        contents.append(.octets(fields.octets))
        fields = FieldWriter()
    }
}
