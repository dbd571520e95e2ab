/// A field that must contain exactly one mailbox (From, Sender, Resent-From, Resent-Sender). This type holds the
/// mailbox that SES finds in the field, and the domains of the authors that other readers could find.
///
/// SES seems to read such a field like JavaMail (`InternetAddress.parseHeader`, strict). A field that is exactly one
/// mailbox for JavaMail is accepted, with few exceptions: ``AddrSpec`` must be able to represent the address, and its
/// domain must be a name, since SES sends mail only for domain names. JavaMail's rules differ from RFC 5322 section 3.4
/// as follows:
///
/// - Before `<`, any text is allowed except an unclosed quote, comment or `[`, and except `<`, `>`, `:`, `;`, `,` and
///   `)` outside quotes. After `>` the same is allowed, and it is skipped.
/// - Without brackets, the address ends at the first comment, and the rest is skipped.
/// - Empty elements of the list (`a@b.example,`) are skipped.
/// - A colon is skipped after `>`. A semicolon is skipped where an element of the list would begin.
/// - Blanks at the ends of the address are skipped, also in brackets. Blanks within it are refused.
struct MailboxField {
    /// The mailbox that SES finds. Its domain is always a name.
    var address: AddrSpec
    /// The domains of all texts that some reader could take as an author's address. The domain of `address` is not
    /// included.
    var otherAuthors: [DomainName]
    /// A sentence that says why the authors can't be determined with certainty. Nil when they can.
    var ambiguity: String?

    static func parse(_ body: ArraySlice<UInt8>, field: String) throws(MessageRejection) -> MailboxField {
        var parser = MailboxParser(bytes: body, field: field)
        let address = try parser.mailbox()
        let authors = PossibleAuthors(of: body)
        return MailboxField(
            address: address, otherAuthors: authors.domains.filter { $0 != address.domainName },
            ambiguity: authors.doubt.map { "The \(field) field \($0.explanation)" })
    }
}

private struct MailboxParser {
    private let bytes: ArraySlice<UInt8>
    private let field: String
    private var index: Int

    init(bytes: ArraySlice<UInt8>, field: String) {
        self.bytes = bytes
        self.field = field
        index = bytes.startIndex
    }

    private func refusal(_ what: String) -> MessageRejection {
        let sentence = "The \(field) field \(what)"
        return field == "From" ? .from(sentence) : .address(sentence)
    }

    mutating func mailbox() throws(MessageRejection) -> AddrSpec {
        guard let found = try element() else {
            throw refusal(
                bytes.allSatisfy(\.isFoldingWhiteSpace)
                    ? "is empty; it must hold one address, as in Name <user@example.com>"
                    : "has no address; it must hold one, as in Name <user@example.com>")
        }
        guard try element() == nil else {
            throw refusal(
                "holds a comma outside quotes; SES accepts only one mailbox, and a name with a comma needs quotes")
        }
        return try address(found)
    }

    private struct Found {
        var spec: ArraySlice<UInt8>
        var isInBrackets: Bool
    }

    /// Reads one element of the list: up to the next comma outside quotes and comments, or to the end. Returns nil when
    /// only blanks, comments, commas and semicolons are left.
    private mutating func element() throws(MessageRejection) -> Found? {
        var start: Int?
        var end: Int?
        var angle: ArraySlice<UInt8>?
        // After a colon, commas do not separate elements, and brackets do not mark the address. If no address in
        // brackets came before the colon, the colon is part of the address.
        var isGroup = false
        scan: while index < bytes.endIndex {
            let at = index
            let byte = bytes[index]
            index += 1
            switch byte {
            case .space, .tab, .cr, .lf: continue
            // JavaMail takes a backslash before a fold as part of the fold.
            case .backslash where index < bytes.endIndex && bytes[index] == .cr: continue
            case .leftParenthesis:
                try comment()
                if start != nil, end == nil { end = at }
                continue
            case .less:
                guard angle == nil else { throw refusal("has two addresses in <>; it must hold one") }
                let content = try angleContent()
                if !isGroup { angle = content }
            case .quote: try skip(to: .quote, "a quote that is never closed")
            case .leftBracket:
                try skip(to: .rightBracket, "a [ that is never closed; put the display name in double quotes")
            case .comma:
                if start == nil || isGroup { continue }
                end = end ?? at
                break scan
            case .semicolon:
                guard start != nil else { continue }
                throw group
            case .greater: throw refusal("has a > without <")
            case .rightParenthesis: throw refusal("has a ) without (")
            case .colon:
                if isGroup { throw group }
                isGroup = true
            default: break
            }
            if start == nil { start = at }
        }
        guard let start else { return nil }
        if let angle { return Found(spec: angle, isInBrackets: true) }
        let spec = bytes[start..<(end ?? bytes.endIndex)]
        if isGroup, spec.contains(.colon) { throw group }
        return Found(spec: spec, isInBrackets: false)
    }

    private var group: MessageRejection {
        refusal("holds a colon or semicolon outside quotes; groups are not accepted, and a name with one needs quotes")
    }

    /// Moves `index` past the next octet `closing` that no backslash escapes.
    private mutating func skip(to closing: UInt8, _ problem: String) throws(MessageRejection) {
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if byte == closing { return }
            if byte == .backslash, index < bytes.endIndex { index += 1 }
        }
        throw refusal("has \(problem)")
    }

    private mutating func comment() throws(MessageRejection) {
        var depth = 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch byte {
            case .backslash: index = min(index + 1, bytes.endIndex)
            case .leftParenthesis: depth += 1
            case .rightParenthesis:
                depth -= 1
                if depth == 0 { return }
            default: break
            }
        }
        throw refusal("has a ( that is never closed")
    }

    /// Reads the text up to the next `>` outside quotes.
    private mutating func angleContent() throws(MessageRejection) -> ArraySlice<UInt8> {
        let start = index
        var isQuoted = false
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch byte {
            case .backslash: index = min(index + 1, bytes.endIndex)
            case .quote: isQuoted.toggle()
            case .greater where !isQuoted: return bytes[start..<(index - 1)]
            default: break
            }
        }
        throw refusal(isQuoted ? "has a quote that is never closed" : "has a < that is never closed")
    }

    private func address(_ found: Found) throws(MessageRejection) -> AddrSpec {
        var spec = found.spec
        while let first = spec.first, first.isFoldingWhiteSpace { spec.removeFirst() }
        while let last = spec.last, last.isFoldingWhiteSpace { spec.removeLast() }
        guard !spec.isEmpty else { throw refusal("has an empty address <>") }
        if found.isInBrackets, spec.first == .at { spec = try withoutRoute(spec) }
        // Only a quoted local part may contain folds. A blank elsewhere is refused below.
        if spec.contains(.lf) { spec = unfolded(spec) }
        let mailbox: AddrSpec
        do {
            mailbox = try AddrSpec(parsing: spec)
        } catch {
            if !spec.contains(.at) {
                throw refusal(
                    found.isInBrackets
                        ? "has no @domain in its address"
                        : "has no address; it must hold one, as in Name <user@example.com>"
                )
            }
            if spec.contains(.less) { throw refusal("has two < in it") }
            if spec.first != .quote, spec.contains(where: \.isFoldingWhiteSpace) {
                throw refusal(
                    found.isInBrackets
                        ? "has a blank or a line break inside its address"
                        : "has text next to its address; write Name <user@example.com>")
            }
            throw refusal("has an invalid address: \(error.explanation)")
        }
        guard case .name = mailbox.domain else {
            throw refusal("has an IP address after the @; SES needs a verified domain there")
        }
        return mailbox
    }

    /// Replaces each line end, with all blanks after it, by one space.
    private func unfolded(_ spec: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var result: [UInt8] = []
        var isInFold = false
        for byte in spec {
            if byte == .cr || byte == .lf {
                isInFold = true
            } else if !isInFold || !byte.isBlank {
                if isInFold { result.append(.space) }
                isInFold = false
                result.append(byte)
            }
        }
        return result[...]
    }

    /// Removes `@a,@b:` (RFC 5322 section 4.4, obs-route).
    private func withoutRoute(_ spec: ArraySlice<UInt8>) throws(MessageRejection) -> ArraySlice<UInt8> {
        var hop = spec.startIndex
        while spec[hop...].first == .at, let end = spec[hop...].firstIndex(where: { $0 == .comma || $0 == .colon }) {
            if spec[end] == .colon {
                let rest = spec[(end + 1)...]
                guard rest.first != .quote else { break }
                return rest
            }
            hop = end + 1
        }
        throw refusal("has a source route in its address; write only user@domain")
    }
}
