/// Reads a field that holds exactly one mailbox (From, Sender, Resent-From, Resent-Sender), so strictly that whoever
/// reads the same octets by whatever rules finds the same address.
///
/// Accepted, with folds and blanks between the parts:
///
///     local@domain                              local@domain (comment)
///     <local@domain>        "any name" <local@domain>        Any. Name =?utf-8?q?x?= (comment) <local@domain>
///
/// Readers of mail differ about the rest of RFC 5322: some drop comments wherever they stand and some don't know them;
/// some split at commas before they look at quotes; some take the first `<`, some the last; some decode encoded words
/// before they parse; some end a quoted string at an escaped quote. Hence what is refused below, always with the field's name
/// and what to change.
struct MailboxField {
    /// The longest field body taken, in octets. It bounds the work; a display name of sense is far shorter.
    static let maximumLength = 4096

    private let bytes: ArraySlice<UInt8>
    private let field: String
    private var index: Int
    private var display = DisplayName()

    static func parse(_ body: ArraySlice<UInt8>, field: String) throws(MessageRejection) -> AddrSpec {
        var parser = MailboxField(bytes: body, field: field, index: body.startIndex)
        return try parser.mailbox()
    }

    private init(bytes: ArraySlice<UInt8>, field: String, index: Int) {
        self.bytes = bytes
        self.field = field
        self.index = index
    }

    private func refusal(_ what: String) -> MessageRejection { .from("The \(field) field \(what)") }

    private var next: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte.isFoldingWhiteSpace { index += 1 }
    }

    private mutating func mailbox() throws(MessageRejection) -> AddrSpec {
        guard bytes.count <= Self.maximumLength else {
            throw refusal("is longer than \(Self.maximumLength) octets")
        }
        for byte in bytes where byte.isControl && !byte.isFoldingWhiteSpace {
            throw refusal("holds a control character")
        }
        try display.addText(bytes, field: field)
        skipBlanks()
        guard next != nil else { throw refusal("is empty; it must hold one address, as in Name <user@example.com>") }
        var hasWord = false
        while let byte = next {
            let start = index
            switch byte {
            case .quote:
                try quotedString()
                if next == .at {
                    guard !hasWord else { throw unquotedAt }
                    return try bareAddress(from: start)
                }
                display.addQuoted(bytes[(start + 1)..<(index - 1)])
                hasWord = true
            case .leftParenthesis:
                guard hasWord else {
                    throw refusal("begins with a comment in parentheses; write Name <user@example.com>")
                }
                try comment()
            case .less:
                let address = try angleAddress()
                try finish(address, from: start)
                return address
            case .at:
                throw unquotedAt
            case _ where byte.isAtomText || byte == .dot || byte >= 0x80:
                while let byte = next, byte.isAtomText || byte == .dot || byte >= 0x80 { index += 1 }
                if next == .at {
                    guard !hasWord else { throw unquotedAt }
                    return try bareAddress(from: start)
                }
                // RFC 5322 has dots in a phrase, as an obsolete form, but only behind a word. Python's parser fails otherwise.
                guard hasWord || bytes[start] != .dot else {
                    throw refusal("begins with a dot; put the display name in double quotes")
                }
                hasWord = true
            default:
                throw special(byte)
            }
            skipBlanks()
        }
        throw refusal("has no address; it must hold one, as in Name <user@example.com>")
    }

    private var unquotedAt: MessageRejection {
        refusal("has an @ outside the address; put the display name in double quotes, the address in <>")
    }

    private func special(_ byte: UInt8) -> MessageRejection {
        switch byte {
        case .comma:
            refusal("holds a comma outside quotes; SES takes one mailbox, and a name with a comma needs quotes")
        case .colon, .semicolon:
            refusal("holds a colon or semicolon outside quotes; groups are not taken, a name with one needs quotes")
        case .greater: refusal("has a > without <")
        case .rightParenthesis: refusal("has a ) without (")
        default: refusal("has a bracket or backslash outside quotes; put the display name in double quotes")
        }
    }

    /// Moves over the quoted string at the index.
    private mutating func quotedString() throws(MessageRejection) {
        index += 1
        while let byte = next {
            index += 1
            if byte == .quote { return }
            if byte == .backslash {
                // A backslash before a fold or the end escapes different octets for different readers.
                guard let escaped = next, !(escaped == .cr || escaped == .lf) else { break }
                index += 1
            }
        }
        throw refusal("has a quote that is never closed")
    }

    /// Moves over the comment at the index. Only comments that hold nothing of an address's syntax are taken, since a
    /// reader that knows no comments, or other rules for them, sees their content as part of the address or the name.
    private mutating func comment() throws(MessageRejection) {
        index += 1
        while let byte = next {
            index += 1
            switch byte {
            case .rightParenthesis:
                return
            case .at, .less, .greater, .comma, .colon, .semicolon, .quote, .backslash, .leftBracket, .rightBracket,
                .leftParenthesis:
                throw refusal("has a comment with a special character in it; leave the comment out")
            default: continue
            }
        }
        throw refusal("has a ( that is never closed")
    }

    /// Reads `<local@domain>` at the index.
    private mutating func angleAddress() throws(MessageRejection) -> AddrSpec {
        index += 1
        let start = index
        if next == .quote { try quotedString() }
        while let byte = next, byte != .greater {
            if byte == .less { throw refusal("has two < in it") }
            index += 1
        }
        guard next == .greater else { throw refusal("has a < that is never closed") }
        let content = bytes[start..<index]
        index += 1
        guard !content.isEmpty else { throw refusal("has an empty address <>") }
        if content.first == .at { throw refusal("has a source route in its address; write only user@domain") }
        if content.contains(where: \.isFoldingWhiteSpace), content.first != .quote {
            throw refusal("has a blank or a line break inside its address")
        }
        return try address(content)
    }

    /// Reads the `local@domain` that begins at `start` and ends the field, but for a comment.
    private mutating func bareAddress(from start: Int) throws(MessageRejection) -> AddrSpec {
        while let byte = next, !byte.isFoldingWhiteSpace, byte != .leftParenthesis {
            if byte == .comma || byte == .semicolon || byte == .colon { throw special(byte) }
            if byte == .less || byte == .greater { throw unquotedAt }
            index += 1
        }
        let address = try address(bytes[start..<index])
        // The comment must stand apart: "user@a.example(x)b.example" is one domain to those who drop comments.
        if next == .leftParenthesis { throw refusal("has a comment that touches its address; leave the comment out") }
        try finish(address, from: start)
        return address
    }

    /// Behind the address, which began at `start`, only blanks and one comment may follow.
    private mutating func finish(_ address: AddrSpec, from start: Int) throws(MessageRejection) {
        let end = index
        skipBlanks()
        if next == .leftParenthesis {
            try comment()
            skipBlanks()
        }
        if let byte = next {
            if byte == .comma || byte == .semicolon || byte == .colon { throw special(byte) }
            throw refusal("has text behind its address; write Name <user@example.com>")
        }
        try display.check(before: bytes[..<start], behind: bytes[end...], address: address, field: field)
    }

    private func address(_ spec: ArraySlice<UInt8>) throws(MessageRejection) -> AddrSpec {
        if EncodedWord.find(spec, from: spec.startIndex) != nil {
            throw refusal("has an encoded word (=?...?=) in its address; only the display name may be encoded")
        }
        if spec.first == .quote {
            // In quotes only what no reader takes for syntax when it overlooks the quotes.
            let closing = spec.lastIndex(of: .quote) ?? spec.startIndex
            guard closing > spec.startIndex + 1,
                spec[(spec.startIndex + 1)..<closing].allSatisfy({ $0.isAtomText || $0 == .dot || $0 == .space })
            else { throw refusal("has special characters in the quoted part before the @ of its address") }
        }
        let mailbox: AddrSpec
        do {
            mailbox = try AddrSpec(parsing: spec)
        } catch {
            throw .from("\(field) field: \(error.explanation)")
        }
        guard case .name = mailbox.domain else {
            throw refusal("has an IP address behind the @; SES needs a verified domain there")
        }
        return mailbox
    }
}
