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
    /// ESMTP parameters. `bytes` begins at the `<`, or at a bare address; blanks before it are for the caller to skip or refuse.
    ///
    /// A source route (`<@a,@b:user@c>`) is accepted and dropped, as RFC 5321 appendix C asks. An address without brackets
    /// (`user@c`) is accepted, since old devices write it, but without a route and not as the null path. `<postmaster>` is
    /// refused: SES delivers only to an address with a domain.
    @inlinable
    public static func parsePath<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes
    ) throws(AddressError) -> (path: ReversePath, rest: Bytes.SubSequence) {
        // Copied at once, and inlinable: this runs for each command, on types that need no look-up for each octet.
        let (path, length) = try parse(Array(bytes.prefix(maximumLength + 1)))
        let rest = bytes.dropFirst(length)
        guard rest.isEmpty || rest.first == UInt8(ascii: " ") else {
            throw .syntax("Only a space and parameters may follow the address")
        }
        return (path, rest)
    }

    /// - Returns: the path, and its length in octets with its brackets.
    @usableFromInline
    static func parse(_ bytes: [UInt8]) throws(AddressError) -> (path: ReversePath, length: Int) {
        guard bytes.first == .less else { return try parseBare(bytes) }
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
        let content = bytes[1..<(length - 1)]
        var scanner = AddressScanner(content)
        if scanner.isAtEnd { return (.null, length) }
        do throws(AddressError) {
            try skipSourceRoute(&scanner)
            let mailbox = try scanner.mailbox()
            guard scanner.isAtEnd else {
                throw AddressError.syntax("The domain of the address is followed by a character that no domain holds")
            }
            return (.mailbox(mailbox), length)
        } catch {
            throw withBetterAdvice(error, content)
        }
    }

    /// Parses an address without brackets, up to its end or the space before the parameters.
    private static func parseBare(_ bytes: [UInt8]) throws(AddressError) -> (path: ReversePath, length: Int) {
        guard let first = bytes.first else { throw .syntax("The address is missing") }
        guard first != .space, first != .tab else { throw .syntax("There is a blank before the address") }
        guard first != .at else {
            throw .syntax("A source route must stand in angle brackets; write <user@example.com>")
        }
        // A display name, as in "App <user@example.com>", would be refused for want of an @ before its blank.
        if let bracket = bytes.firstIndex(of: .less) {
            try AddressScanner.checkOctets(bytes[..<bracket])
            throw nameInPath
        }
        // The blank that ends the address is one outside quotes.
        var isQuoted = false
        let end =
            bytes.firstIndex {
                if $0 == .quote { isQuoted.toggle() }
                return $0 == .space && !isQuoted
            } ?? bytes.endIndex
        try AddressScanner.checkOctets(bytes[..<end])
        guard end <= AddrSpec.maximumLength else { throw .tooLong }
        var scanner = AddressScanner(bytes[..<end])
        let mailbox = try scanner.mailbox()
        guard scanner.isAtEnd else {
            throw .syntax(
                scanner.next == .greater
                    ? "The address has a closing angle bracket, but no opening one; write <user@example.com>"
                    : "The domain of the address is followed by a character that no domain holds")
        }
        return (.mailbox(mailbox), end)
    }

    private static let nameInPath = AddressError.syntax(
        "There is a display name or a second bracket before the address; write only <user@example.com>")

    /// What to say of `content`, in which `error` was found, when the cause is one of those that clients are known for.
    private static func withBetterAdvice(_ error: AddressError, _ content: ArraySlice<UInt8>) -> AddressError {
        guard case .syntax = error else { return error }
        if content.contains(.less), content.first != .quote || content.contains(.space) { return nameInPath }
        if content.first == .space || content.last == .space {
            return .syntax("There is a blank between the address and its angle brackets; write <user@example.com>")
        }
        return error
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
