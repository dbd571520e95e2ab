/// The argument of MAIL FROM (RFC 5321 section 4.1.2, Reverse-path).
public enum ReversePath: Hashable, Sendable {
    /// `<>`: notifications about deliveries, which nobody may answer with another one (RFC 5321 section 4.5.5).
    case null
    case mailbox(AddrSpec)

    /// What stands between the angle brackets, without source route.
    public var text: String {
        switch self {
        case .null: ""
        case .mailbox(let mailbox): mailbox.text
        }
    }
}

/// The parser for the paths in MAIL FROM and RCPT TO.
public enum SMTPPath {
    /// The longest path in octets, with its brackets (RFC 5321 section 4.5.3.1.3).
    public static let maximumLength = 256

    /// Parses a Reverse-path from the front of `bytes` and returns it with what is behind it: nothing, or a space and the
    /// ESMTP parameters. `bytes` begins at the `<`; blanks before it are for the caller to skip or refuse.
    ///
    /// A source route (`<@a,@b:user@c>`) is accepted and dropped, as RFC 5321 appendix C asks. A bare address without
    /// brackets is refused. So is `<postmaster>`: SES delivers only to an address with a domain.
    @inlinable
    public static func parsePath<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes
    ) throws(AddressError) -> (path: ReversePath, rest: Bytes.SubSequence) {
        // Copied at once, and inlinable: this runs for each command, on types that need no look-up for each octet.
        let (path, length) = try parse(Array(bytes.prefix(maximumLength + 1)))
        let rest = bytes.dropFirst(length)
        guard rest.isEmpty || rest.first == UInt8(ascii: " ") else {
            throw .syntax("Only a space and parameters may follow the closing angle bracket of the address")
        }
        return (path, rest)
    }

    /// - Returns: the path, and its length in octets with its brackets.
    @usableFromInline
    static func parse(_ bytes: [UInt8]) throws(AddressError) -> (path: ReversePath, length: Int) {
        guard bytes.first == .less else {
            if bytes.isEmpty { throw .syntax("The address is missing") }
            try AddressScanner.checkOctets(bytes.prefix(maximumLength))
            throw .syntax("The address must stand in angle brackets, as in <user@example.com>")
        }
        // The path ends with the first '>' outside quotes; a quoted local part may hold one.
        var isQuoted = false
        var isEscaped = false
        var length = 0
        var isClosed = false
        for byte in bytes {
            length += 1
            if isEscaped {
                isEscaped = false
            } else if byte == .backslash, isQuoted {
                isEscaped = true
            } else if byte == .quote {
                isQuoted.toggle()
            } else if byte == .greater, !isQuoted {
                isClosed = true
                break
            }
        }
        try AddressScanner.checkOctets(bytes[..<length])
        guard length <= maximumLength else { throw .tooLong }
        guard isClosed else {
            throw .syntax(
                isQuoted ? "A quoted local part has no closing quote" : "The address has no closing angle bracket")
        }
        var scanner = AddressScanner(bytes[1..<(length - 1)])
        if scanner.isAtEnd { return (.null, length) }
        try skipSourceRoute(&scanner)
        let mailbox = try scanner.mailbox()
        guard scanner.isAtEnd else {
            throw .syntax("The domain of the address is followed by a character that no domain holds")
        }
        return (.mailbox(mailbox), length)
    }

    /// Parses a Forward-path, as RCPT TO takes it: like ``parsePath(_:)``, but `<>` is refused.
    @inlinable
    public static func parseForwardPath<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes
    ) throws(AddressError) -> (mailbox: AddrSpec, rest: Bytes.SubSequence) {
        let (path, rest) = try parsePath(bytes)
        guard case .mailbox(let mailbox) = path else { throw .syntax("A recipient can't be the null address <>") }
        return (mailbox, rest)
    }

    /// A-d-l ":" of RFC 5321 section 4.1.2.
    private static func skipSourceRoute(_ scanner: inout AddressScanner) throws(AddressError) {
        guard scanner.next == .at else { return }
        while scanner.skip(.at) {
            _ = try scanner.domain()
            if scanner.skip(.colon) { return }
            guard scanner.skip(.comma), scanner.next == .at else { break }
        }
        throw .syntax("The source route of the address is malformed")
    }
}
