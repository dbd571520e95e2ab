/// Reads the grammar of RFC 5321 section 4.1.2 from the front of a slice.
struct AddressScanner {
    private let bytes: ArraySlice<UInt8>
    private(set) var index: Int

    static let maximumLocalPart = 64

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    var isAtEnd: Bool { index == bytes.endIndex }
    var next: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    /// Refuses octets that no address contains. Callers check this before they parse the address, so that such an octet
    /// gets the same answer wherever it is.
    static func checkOctets(_ bytes: ArraySlice<UInt8>) throws(AddressError) {
        var hasControl = false
        for byte in bytes {
            if byte >= 0x80 { throw .nonASCII }
            if byte.isControl { hasControl = true }
        }
        if hasControl { throw .syntax("The address holds a control character") }
    }

    mutating func mailbox() throws(AddressError) -> AddrSpec {
        let local = try localPart()
        guard skip(.at) else {
            throw .syntax(
                isAtEnd || next == .greater
                    ? "The address has no @domain" : "The local part of the address holds a character that needs quotes"
            )
        }
        return AddrSpec(localPart: local, domain: try domain())
    }

    mutating func localPart() throws(AddressError) -> String {
        if next == .quote { return try quotedString() }
        let start = index
        var previous: UInt8 = .dot
        while let byte = next, byte.isAtomText || byte == .dot {
            if byte == .dot, previous == .dot { throw Self.badDot }
            previous = byte
            index += 1
        }
        guard index > start else { throw .syntax("The address has nothing before the @") }
        guard previous != .dot else { throw Self.badDot }
        guard index - start <= Self.maximumLocalPart else { throw .tooLong }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private static let badDot = AddressError.syntax(
        "The local part of the address begins or ends with a dot or has two dots in a row")

    /// Reads a Quoted-string and returns its canonical form. That form is unquoted if a Dot-string can express it.
    private mutating func quotedString() throws(AddressError) -> String {
        let start = index
        index += 1
        var content: [UInt8] = []
        while true {
            guard var byte = next else { throw .syntax("A quoted local part has no closing quote") }
            index += 1
            if byte == .quote { break }
            if byte == .backslash {
                guard let escaped = next else { throw .syntax("A quoted local part has no closing quote") }
                byte = escaped
                index += 1
            }
            guard byte >= 0x20, byte < 0x7F else { throw .syntax("The address holds a control character") }
            content.append(byte)
        }
        guard index - start <= Self.maximumLocalPart else { throw .tooLong }
        guard !content.isEmpty else { throw .syntax("The address has nothing before the @") }
        // After two backslashes, SES's parser takes the closing quote for an escaped one.
        guard content.last != .backslash else {
            throw .syntax("A quoted local part ends with a backslash, which SES does not accept")
        }
        return Self.canonicalLocalPart(content)
    }

    static func canonicalLocalPart(_ content: [UInt8]) -> String {
        var previous: UInt8 = .dot
        var isDotString = true
        for byte in content {
            guard byte.isAtomText || (byte == .dot && previous != .dot) else {
                isDotString = false
                break
            }
            previous = byte
        }
        if isDotString, previous != .dot { return String(decoding: content, as: UTF8.self) }
        var quoted: [UInt8] = [.quote]
        for byte in content {
            if byte == .quote || byte == .backslash { quoted.append(.backslash) }
            quoted.append(byte)
        }
        quoted.append(.quote)
        return String(decoding: quoted, as: UTF8.self)
    }

    mutating func domain() throws(AddressError) -> AddrDomain {
        if next == .leftBracket { return .literal(try addressLiteral()) }
        let start = index
        while let byte = next, byte.isAtomText || byte == .dot { index += 1 }
        guard index > start else { throw .syntax("The address has no domain after the @") }
        guard index - start <= DomainName.maximumLength else { throw .tooLong }
        guard let name = DomainName(ascii: bytes[start..<index]) else {
            if bytes[index - 1] == .dot { throw .syntax("The domain of the address ends with a dot") }
            throw .syntax("The domain of the address is not a host name of letters, digits, inner hyphens and dots")
        }
        return .name(name)
    }

    private mutating func addressLiteral() throws(AddressError) -> String {
        let start = index
        guard let close = bytes[index...].firstIndex(of: .rightBracket) else {
            throw .syntax("An address literal has no closing bracket")
        }
        let content = bytes[(start + 1)..<close]
        index = close + 1
        let tag = Array("ipv6:".utf8)
        if content.count > tag.count, content.prefix(tag.count).lazy.map(\.asciiLowercased).elementsEqual(tag) {
            let address = content.dropFirst(tag.count)
            guard Self.isIPv6(address) else { throw Self.badLiteral }
            return "[IPv6:" + String(decoding: address.map(\.asciiLowercased), as: UTF8.self) + "]"
        }
        guard Self.isIPv4(content) else { throw Self.badLiteral }
        return "[" + String(decoding: content, as: UTF8.self) + "]"
    }

    private static let badLiteral = AddressError.syntax("The address literal is neither [a.b.c.d] nor [IPv6:...]")

    private static func isIPv4(_ bytes: ArraySlice<UInt8>) -> Bool {
        let parts = bytes.split(separator: .dot, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return false }
        return parts.allSatisfy { part in
            guard (1...3).contains(part.count), part.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return false }
            // Some resolvers read a leading zero as octal.
            guard part.count == 1 || part.first != 0x30 else { return false }
            return part.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 255
        }
    }

    private static func isIPv6(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count <= 45 else { return false }
        var groups = bytes.split(separator: .colon, omittingEmptySubsequences: false)
        var count = 0
        if let last = groups.last, last.contains(.dot) {
            guard isIPv4(last), groups.count >= 2 else { return false }
            groups.removeLast()
            count = 2
            // Without its IPv4 address, "::1.2.3.4" has two empty groups. It is valid as it is.
            if groups.last?.isEmpty == true, groups.count == 2, groups[0].isEmpty { return true }
            if groups.last?.isEmpty == true { groups.append([]) }
        }
        // A gap ("::") leaves one empty group inside the address, two at either end of the address, and three if there
        // is nothing else.
        var gaps = 0
        var position = 0
        while position < groups.count {
            let group = groups[position]
            if group.isEmpty {
                var run = 1
                while position + run < groups.count, groups[position + run].isEmpty { run += 1 }
                let atStart = position == 0
                let atEnd = position + run == groups.count
                guard run == 1 + (atStart ? 1 : 0) + (atEnd ? 1 : 0) else { return false }
                gaps += 1
                position += run
                continue
            }
            guard group.count <= 4, group.allSatisfy({ $0.hexValue != nil }) else { return false }
            count += 1
            position += 1
        }
        return gaps == 0 ? count == 8 : gaps == 1 && count <= 7
    }
}
