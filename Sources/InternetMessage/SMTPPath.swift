/// The argument of MAIL FROM (RFC 5321 section 4.1.2, Reverse-path).
public enum ReversePath: Hashable, Sendable {
    /// `<>`, the null reverse-path of delivery notifications. No notification may be sent about such a message (RFC
    /// 5321 section 4.5.5).
    case null
    case mailbox(AddrSpec)

    /// The text between the angle brackets, without a source route.
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

    /// Parses a Reverse-path at the front of `bytes`. Returns the path, and the rest of `bytes` after it: nothing, or a
    /// space and the ESMTP parameters. `bytes` begins at the `<` or at a bare address. The caller must skip or refuse
    /// blanks before the path.
    ///
    /// A source route (`<@a,@b:user@c>`) is accepted and dropped, as RFC 5321 appendix C requires. An address without
    /// brackets (`user@c`) is accepted, because old devices write it. Without brackets, a source route and the null
    /// path are refused. `<postmaster>` is refused, because SES delivers only to an address with a domain.
    @inlinable
    public static func parsePath<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes
    ) throws(AddressError) -> (path: ReversePath, rest: Bytes.SubSequence) {
        // This function runs for each command. So it copies the octets into an array at once and is inlinable: the
        // parser then needs no look-up through a generic type for each octet.
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
        // The path ends at the first '>' outside quotes, because a quoted local part may contain one.
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
                throw AddressError.syntax(
                    "The domain of the address is followed by a character that is not allowed in a domain")
            }
            return (.mailbox(mailbox), length)
        } catch {
            throw withBetterAdvice(error, content)
        }
    }

    /// Parses an address without brackets, up to its end or to the space before the parameters.
    private static func parseBare(_ bytes: [UInt8]) throws(AddressError) -> (path: ReversePath, length: Int) {
        guard let first = bytes.first else { throw .syntax("The address is missing") }
        guard first != .space, first != .tab else { throw .syntax("There is a blank before the address") }
        guard first != .at else {
            throw .syntax("A source route must be in angle brackets; write <user@example.com>")
        }
        // This check finds a display name, as in "App <user@example.com>". Without it, the refusal would say that there
        // is no @ before the blank.
        if let bracket = bytes.firstIndex(of: .less) {
            try AddressScanner.checkOctets(bytes[..<bracket])
            throw nameInPath
        }
        // The address ends at the first blank outside quotes.
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
                    : "The domain of the address is followed by a character that is not allowed in a domain")
        }
        return (.mailbox(mailbox), end)
    }

    private static let nameInPath = AddressError.syntax(
        "There is a display name or a second bracket before the address; write only <user@example.com>")

    /// Improves the error that was found in `content` when the cause is a known mistake of clients.
    private static func withBetterAdvice(_ error: AddressError, _ content: ArraySlice<UInt8>) -> AddressError {
        guard case .syntax = error else { return error }
        if content.contains(.less), content.first != .quote || content.contains(.space) { return nameInPath }
        if content.first == .space || content.last == .space {
            return .syntax("There is a blank between the address and its angle brackets; write <user@example.com>")
        }
        return error
    }

    /// Parses a Forward-path for RCPT TO. The same as ``parsePath(_:)``, but `<>` is refused.
    @inlinable
    public static func parseForwardPath<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes
    ) throws(AddressError) -> (mailbox: AddrSpec, rest: Bytes.SubSequence) {
        let (path, rest) = try parsePath(bytes)
        guard case .mailbox(let mailbox) = path else { throw .syntax("A recipient can't be the null address <>") }
        return (mailbox, rest)
    }

    /// Skips A-d-l ":" of RFC 5321 section 4.1.2.
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
