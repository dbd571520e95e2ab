/// Reads To, Cc and Reply-To by the rules of SES's parser. So a message that SES would refuse is refused before it is
/// queued.
///
/// The error texts in SES's refusals are those of JavaMail's `InternetAddress` in strict mode, including its check of
/// each address (`validate`). This type follows the rules of that parser, not the rules of RFC 5322. For instance, this
/// type accepts source routes and text after an angle address, and checks the members of a group less strictly than
/// addresses outside groups. In one case this type is stricter than that parser: it refuses addresses with an octet
/// above 127, because SES's documentation says that SES does not accept such addresses.
enum AddressListField {
    /// Whether the field contains an address. False for a field that has only blanks, comments and separators, which
    /// SES refuses too.
    ///
    /// - Throws: `MessageRejection.address`. Its sentence names the field and the text of the faulty address with its
    ///   position in the list, counted from 1, and says what to write.
    static func holdsAddress(_ body: ArraySlice<UInt8>, field: String) throws(MessageRejection) -> Bool {
        let text = FieldText.unfolded(body)
        var reader = AddressListReader(bytes: text, checksWholly: true)
        do throws(AddressListFault) {
            try reader.read()
        } catch {
            throw .address("The \(field) field \(error.explanation)")
        }
        return reader.count > 0
    }
}

/// A mistake in a list of addresses. The explanation shows only an excerpt of the address: a few octets of printable
/// ASCII.
private struct AddressListFault: Error {
    private let what: String

    private static let advice = #"write each address as "Name" <user@example.com>, with commas between addresses only"#

    init(_ what: String, number: Int, of text: ArraySlice<UInt8>) {
        let excerpt = Excerpt.of(FieldText.trimmed(text))
        self.what = "\(what) in address \(number)\(excerpt.isEmpty ? "" : " (\(excerpt))")"
    }

    var explanation: String { "has \(what); \(Self.advice)" }
}

private struct AddressListReader {
    private let bytes: ArraySlice<UInt8>
    /// Whether each address must have an @domain. False for the members of a group, which SES's parser checks less
    /// strictly.
    private let checksWholly: Bool

    private var index: Int
    /// Where the current address begins: at its first octet outside blanks and comments, or after a `<`.
    private var start: Int?
    /// Where the current address ends. Nil while this is unknown.
    private var end: Int?
    private var hasAngle = false
    private var isInGroup = false
    private(set) var count = 0

    init(bytes: ArraySlice<UInt8>, checksWholly: Bool) {
        self.bytes = bytes
        self.checksWholly = checksWholly
        index = bytes.startIndex
    }

    mutating func read() throws(AddressListFault) {
        while index < bytes.endIndex {
            switch bytes[index] {
            case .leftParenthesis:
                if start != nil, end == nil { end = index }
                try skipComment()
            case .rightParenthesis: throw fault("a closing parenthesis without its opening one")
            case .less: try angle()
            case .greater: throw fault("a > without its <")
            case .quote: try skip(to: .quote, "a double quote without its closing one")
            case .leftBracket: try skip(to: .rightBracket, "a [ without its ]")
            case .semicolon: try semicolon()
            case .comma:
                if isInGroup {
                    hasAngle = false
                } else {
                    try endAddress(at: index)
                }
            case .colon:
                guard !isInGroup else { throw fault("a second colon") }
                start = start ?? index
                isInGroup = true
            case let byte where byte.isFoldingWhiteSpace: break
            default: start = start ?? index
            }
            index += 1
        }
        try endAddress(at: bytes.endIndex)
    }

    private func fault(_ what: String) -> AddressListFault {
        AddressListFault(what, number: count + 1, of: bytes[(start ?? bytes.startIndex)...])
    }

    /// Moves `index` to the parenthesis that closes the comment.
    private mutating func skipComment() throws(AddressListFault) {
        let opening = index
        var depth = 0
        while index < bytes.endIndex {
            switch bytes[index] {
            case .backslash: index += 1
            case .leftParenthesis: depth += 1
            case .rightParenthesis: depth -= 1
            default: break
            }
            if depth == 0 { return }
            index += 1
        }
        index = opening
        throw fault("a parenthesis without its closing one")
    }

    /// Moves `index` to the next octet `closing` that no backslash escapes.
    private mutating func skip(to closing: UInt8, _ what: String) throws(AddressListFault) {
        let opening = index
        start = start ?? index
        index += 1
        while index < bytes.endIndex, bytes[index] != closing { index += bytes[index] == .backslash ? 2 : 1 }
        guard index < bytes.endIndex else {
            index = opening
            throw fault(what)
        }
    }

    private mutating func angle() throws(AddressListFault) {
        guard !hasAngle else { throw fault("a second < before a comma") }
        let opening = index
        var isQuoted = false
        index += 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == .backslash {
                index += 1
            } else if byte == .quote {
                isQuoted.toggle()
            } else if byte == .greater, !isQuoted {
                break
            }
            index += 1
        }
        guard index < bytes.endIndex else {
            index = opening
            throw fault(isQuoted ? "a double quote without its closing one" : "a < without its >")
        }
        if !isInGroup { start = opening + 1 }
        hasAngle = true
        end = index
    }

    private mutating func semicolon() throws(AddressListFault) {
        guard let start else { return reset() }
        guard isInGroup else { throw fault("a semicolon") }
        isInGroup = false
        let group = FieldText.trimmed(bytes[start...index])
        if checksWholly, !(try isGroup(group)) { try check(group, hasRoute: true, needsDomain: true) }
        count += 1
        reset()
    }

    private mutating func endAddress(at index: Int) throws(AddressListFault) {
        guard let start else { return reset() }
        let address = FieldText.trimmed(bytes[start..<(end ?? index)])
        try check(address, hasRoute: hasAngle, needsDomain: false)
        if checksWholly, !(try isGroup(address)) { try check(address, hasRoute: hasAngle, needsDomain: true) }
        count += 1
        reset()
    }

    private mutating func reset() {
        hasAngle = false
        start = nil
        end = nil
    }

    /// Returns whether `address` is a group. If it is, also checks the members. SES's parser takes the first colon as
    /// the end of the group's name, even if the colon is within quotes.
    private func isGroup(_ address: ArraySlice<UInt8>) throws(AddressListFault) -> Bool {
        guard address.last == .semicolon, let colon = address.firstIndex(of: .colon), colon > address.startIndex else {
            return false
        }
        var members = AddressListReader(bytes: address[(colon + 1)..<(address.endIndex - 1)], checksWholly: false)
        try members.read()
        return true
    }

    /// Checks one address, which is given without its display name and without blanks at its ends. `hasRoute`: whether
    /// a source route is allowed before it. `needsDomain`: whether it must have an @domain.
    private func check(
        _ address: ArraySlice<UInt8>, hasRoute: Bool, needsDomain: Bool
    ) throws(AddressListFault) {
        func fault(_ what: String) -> AddressListFault { AddressListFault(what, number: count + 1, of: address) }
        guard !address.isEmpty else { throw fault("nothing") }
        if address.contains(where: { $0 >= 0x80 }) { throw fault("a non-ASCII character, which SES does not accept,") }
        var start = address.startIndex
        if hasRoute, address.first == .at {
            // The form of RFC 5321 appendix C: @one,@two:user@example.com.
            while let stop = address[start...].firstIndex(where: { $0 == .comma || $0 == .colon }) {
                guard address[start] == .at else { throw fault("a malformed route") }
                start = stop + 1
                if address[stop] == .colon { break }
            }
        }
        var previous: UInt8?
        var last: UInt8?
        var isQuoted = false
        var at: Int?
        for index in start..<address.endIndex {
            let byte = address[index]
            previous = last
            last = byte
            if byte == .backslash || previous == .backslash { continue }
            if byte == .quote {
                if isQuoted {
                    let isLast = index + 1 == address.endIndex
                    if needsDomain, !isLast, address[index + 1] != .at { throw fault("text after a quoted part") }
                } else if needsDomain, index != address.startIndex {
                    throw fault("text before a quoted part")
                }
                isQuoted.toggle()
                continue
            }
            if isQuoted { continue }
            if byte == .dot {
                guard index != start else { throw fault("a dot at the beginning") }
                guard previous != .dot else { throw fault("two dots in a row") }
            }
            if byte == .at {
                guard index != address.startIndex else { throw fault("nothing before the @") }
                guard previous != .dot else { throw fault("a dot before the @") }
                at = index
                break
            }
            if byte <= .space || byte == 0x7F {
                throw fault(
                    address.contains(.at) ? "a blank or control character before the @" : "no @domain after the name")
            }
            if byte.isAddressSpecial { throw fault("a character that needs double quotes") }
        }
        guard !isQuoted else { throw fault("a double quote without its closing one") }
        guard let at else {
            // If the last octet is an escaped @, it counts as an @, so the domain is missing.
            if needsDomain || last == .at { throw fault("no @domain") }
            return
        }
        try checkDomain(address[(at + 1)...], fault)
    }

    private func checkDomain(
        _ domain: ArraySlice<UInt8>, _ fault: (String) -> AddressListFault
    ) throws(AddressListFault) {
        guard let first = domain.first else { throw fault("nothing after the @") }
        guard first != .dot else { throw fault("a dot after the @") }
        var isLiteral = false
        var previous: UInt8?
        for index in domain.indices {
            let byte = domain[index]
            if byte == .leftBracket {
                guard index == domain.startIndex else { throw fault("a [ within the domain") }
                isLiteral = true
            } else if byte == .rightBracket {
                guard index == domain.endIndex - 1 else { throw fault("a ] within the domain") }
                isLiteral = false
            } else if byte <= .space || byte == 0x7F {
                throw fault("a blank or control character in the domain")
            } else if !isLiteral {
                guard byte.isHostNameText || byte == .dot else {
                    throw fault("a character that is not allowed in a domain")
                }
                guard byte != .dot || previous != .dot else { throw fault("two dots in a row") }
            }
            previous = byte
        }
        guard previous != .dot else { throw fault("a dot at the end of the domain") }
    }
}

extension UInt8 {
    /// The specials of RFC 5322 section 3.2.3 other than `.` and `@`. An address must not contain them outside quotes.
    fileprivate var isAddressSpecial: Bool {
        switch self {
        case .leftParenthesis, .rightParenthesis, .less, .greater, .comma, .semicolon, .colon, .backslash, .quote,
            .leftBracket, .rightBracket:
            true
        default: false
        }
    }

    fileprivate var isHostNameText: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
