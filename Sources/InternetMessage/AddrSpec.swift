/// The mailbox of RFC 5321 section 4.1.2, which is the addr-spec of RFC 5322 section 3.4.1 without comments, blanks and
/// obsolete forms.
public struct AddrSpec: Hashable, Sendable, CustomStringConvertible {
    /// 1 to 64 octets of ASCII in one canonical form: bare where a Dot-string can say it, else quoted, with only `"` and
    /// `\` escaped. Compared octet by octet (RFC 5321 section 2.4: only the host it belongs to may ignore case).
    public let localPart: String
    public let domain: AddrDomain

    /// `localPart@domain`, as it may stand in a command or a field.
    public var text: String { localPart + "@" + domain.text }

    public var description: String { text }

    /// The domain as a name; nil for an address literal.
    public var domainName: DomainName? {
        if case .name(let name) = domain { name } else { nil }
    }

    /// The longest mailbox in octets: what fits between the brackets of a path.
    public static let maximumLength = SMTPPath.maximumLength - 2

    /// Parses a whole mailbox, `local@domain`, without angle brackets or display name.
    public init(parsing bytes: some Collection<UInt8>) throws(AddressError) {
        // Bounded before it is copied; whatever is longer is too long, whatever it holds.
        guard bytes.count <= AddrSpec.maximumLength else { throw .tooLong }
        let octets = Array(bytes)
        try AddressScanner.checkOctets(octets[...])
        var scanner = AddressScanner(octets[...])
        let mailbox = try scanner.mailbox()
        guard scanner.isAtEnd else { throw .syntax("There is text behind the address") }
        self = mailbox
    }

    init(localPart: String, domain: AddrDomain) {
        self.localPart = localPart
        self.domain = domain
    }
}

/// What stands behind the `@` of a mailbox.
public enum AddrDomain: Hashable, Sendable {
    case name(DomainName)
    /// An IPv4 or IPv6 address literal (RFC 5321 section 4.1.3) with its brackets, letters lowered, the tag as `IPv6:`.
    case literal(String)

    public var text: String {
        switch self {
        case .name(let name): name.text
        case .literal(let literal): literal
        }
    }
}

/// Why an address is refused. No case carries octets of the input, so that each can be logged and sent to a client.
public enum AddressError: Error, Hashable, Sendable {
    /// An octet above 127: SES takes no internationalised local parts (RFC 6532), and SMTPUTF8 is not offered.
    case nonASCII
    /// What is wrong, as a plain sentence without final stop.
    case syntax(String)
    /// A local part over 64, a domain over 253 or a path over 256 octets (RFC 5321 section 4.5.3.1).
    case tooLong

    /// A plain ASCII sentence that tells what to change.
    public var explanation: String {
        switch self {
        case .nonASCII: "The address holds non-ASCII characters; SES takes ASCII only, and domains in their xn-- form"
        case .syntax(let text): text
        case .tooLong: "The address is too long: at most 64 octets before the @, 253 behind it and 254 in all"
        }
    }
}
