import InternetMessage

/// An address with the name of its person or service (RFC 5322 section 3.4).
public struct Mailbox: Hashable, Sendable {
    /// The name in Unicode: at most ``maximumNameLength`` scalars, without control characters. If it is nil or empty,
    /// only the address is written.
    public var displayName: String?
    /// The address in its canonical form.
    public var address: AddrSpec

    /// Takes the values unchecked. ``Email/defects()`` checks them.
    public init(displayName: String? = nil, address: AddrSpec) {
        self.displayName = displayName
        self.address = address
    }

    /// The longest text that ``init(parsing:)`` accepts, in octets of UTF-8.
    public static let maximumLength = 2048
    /// The longest display name in Unicode scalars.
    public static let maximumNameLength = 320

    /// Reads one mailbox: `user@example.com`, `Name <user@example.com>` or `"Name, with a comma" <user@example.com>`.
    ///
    /// The name is text in any script. It is written without encoded words (RFC 2047), and each of its characters
    /// stands for itself: parentheses do not begin a comment. A name with a comma, colon, semicolon, double quote or
    /// angle bracket must be in double quotes. Within the quotes, a backslash escapes a double quote and a backslash.
    /// The domain may be in Unicode; it is converted to A-labels (RFC 5891). Blanks at either end and before the `<`
    /// are ignored.
    ///
    /// - Throws: ``MailboxError``, which says what to change. Lists and groups are refused.
    public init(parsing text: String) throws(MailboxError) {
        guard text.utf8.count <= Self.maximumLength else { throw .tooLong }
        let octets = Array(text.utf8)
        guard !text.holdsControl(allowsTab: true) else { throw .control }
        let trimmed = Self.trimmed(octets[...])
        guard let first = trimmed.first else { throw .empty }
        if first == .quote {
            let (name, rest) = try Self.quotedString(trimmed)
            if rest.first == UInt8(ascii: "@") {
                self.init(address: try Self.address(trimmed))
            } else {
                self.init(displayName: try Self.name(name[...]), address: try Self.angleAddress(Self.trimmed(rest)))
            }
        } else if let angle = trimmed.firstIndex(of: UInt8(ascii: "<")) {
            let name = Self.trimmed(trimmed[..<angle])
            if let special = name.first(where: Self.needsQuotes) {
                throw special == UInt8(ascii: ",") ? .comma : .needsQuotes
            }
            self.init(displayName: try Self.name(name), address: try Self.angleAddress(trimmed[angle...]))
        } else {
            self.init(address: try Self.address(trimmed))
        }
    }

    /// The defect of a display name that can't be written, or nil.
    static func fault(inName name: String) -> MailboxError? {
        if name.holdsControl(allowsTab: false) { return .control }
        if name.holdsEncodedWordStart { return .encodedWord }
        // Each scalar has at least one octet, so most names need not be counted.
        if name.utf8.count > maximumNameLength, name.unicodeScalars.count > maximumNameLength { return .nameTooLong }
        return nil
    }

    private static func name(_ octets: ArraySlice<UInt8>) throws(MailboxError) -> String? {
        let name = String(decoding: trimmed(octets), as: UTF8.self)
        if let fault = fault(inName: name) { throw fault }
        return name.isEmpty ? nil : name
    }

    /// Reads the quoted string at the beginning. Returns its content and the text after it.
    private static func quotedString(
        _ text: ArraySlice<UInt8>
    ) throws(MailboxError) -> (content: [UInt8], rest: ArraySlice<UInt8>) {
        var content: [UInt8] = []
        var index = text.startIndex + 1
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            if byte == .quote { return (content, text[index...]) }
            if byte == .backslash, index < text.endIndex {
                content.append(text[index])
                index += 1
            } else {
                content.append(byte)
            }
        }
        throw .openQuote
    }

    private static func angleAddress(_ text: ArraySlice<UInt8>) throws(MailboxError) -> AddrSpec {
        guard text.first == UInt8(ascii: "<") else { throw .noAngle }
        guard let close = closingAngle(text) else { throw .openAngle }
        guard close == text.endIndex - 1 else {
            let rest = trimmed(text[(close + 1)...])
            throw rest.first == UInt8(ascii: ",") ? .list : .textBehind
        }
        return try address(text[(text.startIndex + 1)..<close])
    }

    /// The first `>` outside a quoted local part.
    private static func closingAngle(_ text: ArraySlice<UInt8>) -> Int? {
        var isQuoted = false
        var index = text.startIndex + 1
        while index < text.endIndex {
            switch text[index] {
            case .backslash: index += 1
            case .quote: isQuoted.toggle()
            case UInt8(ascii: ">") where !isQuoted: return index
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func address(_ text: ArraySlice<UInt8>) throws(MailboxError) -> AddrSpec {
        guard text.contains(UInt8(ascii: "@")) else { throw .noAddress }
        var octets = text
        // The domain is in Unicode if an octet after the last @ is not ASCII. The local part must be ASCII.
        if let at = text.lastIndex(of: UInt8(ascii: "@")), text[at...].contains(where: { $0 >= 0x80 }) {
            guard let domain = DomainName(text: String(decoding: text[(at + 1)...], as: UTF8.self)) else {
                throw .domain
            }
            octets = text[...at] + domain.text.utf8
        }
        do {
            return try AddrSpec(parsing: octets)
        } catch {
            // A comma or a semicolon means that the text is a list or a group. The error of `AddrSpec` would not say
            // this.
            if case .syntax = error, text.first != .quote {
                if text.contains(UInt8(ascii: ",")) { throw .list }
                if text.contains(UInt8(ascii: ";")) { throw text.contains(UInt8(ascii: ":")) ? .group : .list }
            }
            throw .address(error)
        }
    }

    private static func needsQuotes(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: ";"), UInt8(ascii: ">"), .quote: true
        default: false
        }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while text.first?.isBlank == true { text.removeFirst() }
        while text.last?.isBlank == true { text.removeLast() }
        return text
    }
}

/// Why a text is not a mailbox. No case contains text of the input, so each can be logged and sent to a client.
public enum MailboxError: Error, Hashable, Sendable {
    /// The text has more than ``Mailbox/maximumLength`` octets.
    case tooLong
    /// The name has more than ``Mailbox/maximumNameLength`` scalars.
    case nameTooLong
    /// The text has only blanks.
    case empty
    /// The text has a control character, a line separator, or a character that changes the direction of the text after
    /// it.
    case control
    /// The name contains `=?`, which begins an encoded word.
    case encodedWord
    /// A name without quotes contains a comma.
    case comma
    /// A name without quotes contains a character that needs quotes and is not a comma.
    case needsQuotes
    /// A double quote has no closing one.
    case openQuote
    /// A name in double quotes has no `<` after it.
    case noAngle
    /// A `<` has no `>`.
    case openAngle
    /// There is text after the `>`.
    case textBehind
    /// There is more than one address.
    case list
    /// The text is a group (RFC 5322 section 3.4).
    case group
    /// The text has no `@`, such as a name without an address.
    case noAddress
    /// A Unicode domain has no form in A-labels.
    case domain
    /// The address itself is invalid.
    case address(AddressError)

    /// A plain ASCII sentence, without a full stop, that says what to change.
    public var explanation: String {
        switch self {
        case .tooLong: "The mailbox is longer than \(Mailbox.maximumLength) octets; shorten the name"
        case .nameTooLong: "The name is longer than \(Mailbox.maximumNameLength) characters; shorten it"
        case .empty: "The mailbox is empty; write user@example.com or Name <user@example.com>"
        case .control: "The mailbox holds a line end or another control character; leave it out"
        case .encodedWord: "The name holds =?, as an encoded word does; write the name itself in Unicode"
        case .comma: "The name holds a comma; put the name in double quotes, and write one address only"
        case .needsQuotes:
            "The name holds a colon, semicolon, double quote or angle bracket; put the whole name in double quotes"
        case .openQuote: "A double quote has no closing one; close the name, as in \"Name\" <user@example.com>"
        case .noAngle:
            "The name in double quotes has no address in angle brackets after it; write \"Name\" <user@example.com>"
        case .openAngle: "The address has a < without its >; write the > after the address"
        case .textBehind: "There is text after the address in angle brackets; leave it out"
        case .list:
            "There is more than one address; write exactly one, or an array with one address in each element where several are allowed"
        case .group:
            "The mailbox is a group; write exactly one address, or an array with one address in each element where several are allowed"
        case .noAddress: "The mailbox has no @domain; write user@example.com or Name <user@example.com>"
        case .domain:
            "The domain of the address is not a host name of letters, digits, inner hyphens and dots; correct it"
        case .address(let error): error.explanation
        }
    }
}
