/// The mailbox of RFC 5321 section 4.1.2. It equals the addr-spec of RFC 5322 section 3.4.1 without comments, blanks
/// and obsolete forms.
public struct AddrSpec: Hashable, Sendable, CustomStringConvertible {
    /// The local part, 1 to 64 octets of ASCII in a canonical form. It is unquoted if it can be a Dot-string. Otherwise
    /// it is quoted, and only `"` and `\` are escaped. It is compared octet by octet, because only the mailbox's own
    /// host can decide to ignore case (RFC 5321 section 2.4).
    public let localPart: String
    /// The part after the `@`.
    public let domain: AddrDomain

    /// `localPart@domain`, in the form for a command or a header field.
    public var text: String { localPart + "@" + domain.text }

    public var description: String { text }

    /// The domain as a name. Nil for an address literal.
    public var domainName: DomainName? {
        if case .name(let name) = domain { name } else { nil }
    }

    /// The longest mailbox in octets: what fits into the brackets of a path.
    public static let maximumLength = SMTPPath.maximumLength - 2

    /// Parses a whole mailbox, `local@domain`, without angle brackets and display name.
    public init(parsing bytes: some Collection<UInt8>) throws(AddressError) {
        // The length is checked before the octets are copied. The error for a text over the limit is always `tooLong`,
        // whatever the text contains.
        guard bytes.count <= AddrSpec.maximumLength else { throw .tooLong }
        let octets = Array(bytes)
        try AddressScanner.checkOctets(octets[...])
        var scanner = AddressScanner(octets[...])
        let mailbox = try scanner.mailbox()
        guard scanner.isAtEnd else { throw .syntax("There is text after the address") }
        self = mailbox
    }

    init(localPart: String, domain: AddrDomain) {
        self.localPart = localPart
        self.domain = domain
    }
}

/// The part of a mailbox after the `@`.
public enum AddrDomain: Hashable, Sendable {
    case name(DomainName)
    /// An IPv4 or IPv6 address literal with its brackets (RFC 5321 section 4.1.3). Letters are in lower case, except
    /// the tag `IPv6:`.
    case literal(String)

    /// The domain as it is written after the `@`.
    public var text: String {
        switch self {
        case .name(let name): name.text
        case .literal(let literal): literal
        }
    }
}

/// Why an address is refused. No case contains octets of the input, so each can be logged and sent to a client.
public enum AddressError: Error, Hashable, Sendable {
    /// The address has an octet above 127. SES accepts no internationalised local parts (RFC 6532), and the relay does
    /// not offer SMTPUTF8.
    case nonASCII
    /// The address violates the grammar. The text is a plain sentence, without a full stop, that says what is wrong.
    case syntax(String)
    /// The local part has more than 64 octets, the domain more than 253, or the path more than 256 (RFC 5321 section
    /// 4.5.3.1).
    case tooLong

    /// A plain ASCII sentence that says what to change.
    public var explanation: String {
        switch self {
        case .nonASCII:
            "The address contains non-ASCII characters; SES accepts only ASCII, and domains in their xn-- form"
        case .syntax(let text): text
        case .tooLong: "The address is too long: at most 64 octets before the @, 253 after it and 254 in all"
        }
    }
}
