/// The parameters of a Content-Type or Content-Disposition field (RFC 2045 section 5.1, RFC 2231).
struct MIMEParameters {
    /// As written, in order; names in lower case.
    private var written: [(name: [UInt8], value: [UInt8])] = []

    /// Reads the rest of a field, behind the type or the disposition.
    init(_ tokens: inout MIMETokenizer) throws(MIMEFault) {
        while true {
            let separator = try tokens.next()
            if case .end = separator { return }
            guard separator.isSpecial(.semicolon) else {
                throw MIMEFault(
                    "has \"\(separator.excerpt)\" where a semicolon must stand; put a value with blanks in double quotes"
                )
            }
            let name = try tokens.next()
            // A semicolon at the end is too common to be refused.
            if case .end = name { return }
            guard case .atom(let nameText) = name else {
                throw MIMEFault("has \"\(name.excerpt)\" where the name of a parameter must stand")
            }
            guard try tokens.next().isSpecial(.equalsSign) else {
                throw MIMEFault(
                    "has no = behind the parameter \"\(Excerpt.of(nameText))\"; put a value with semicolons in double quotes"
                )
            }
            let value = try tokens.next()
            let text: [UInt8]
            switch value {
            case .atom(let atom): text = Array(atom)
            case .quotedString(let content): text = content
            case .special, .end:
                throw MIMEFault(
                    "has no value for the parameter \"\(Excerpt.of(nameText))\"; put a value with special or non-ASCII "
                        + "characters in double quotes")
            }
            written.append((nameText.map(\.asciiLowercased), text))
        }
    }

    /// The value that counts: the pieces of a continued parameter joined, else the last one written. Nil where there is none, or
    /// the first piece is missing.
    func value(of name: String) -> [UInt8]? {
        if hasPieces(of: name) { return joined(name) }
        var found: [UInt8]?
        for parameter in written {
            if parameter.name.elementsEqual(name.utf8) {
                found = parameter.value
            } else if parameter.name.elementsEqual((name + "*").utf8) {
                found = Self.decoded(parameter.value, hasCharset: true)
            }
        }
        return found
    }

    /// Every text that a reader may take for the parameter: each one that is written, and the pieces joined. Damaged encodings are
    /// decoded as far as that goes.
    func candidates(for name: String) -> [[UInt8]] {
        var candidates: [[UInt8]] = []
        for parameter in written {
            if parameter.name.elementsEqual(name.utf8) {
                candidates.append(parameter.value)
            } else if parameter.name.elementsEqual((name + "*").utf8) {
                candidates.append(Self.decoded(parameter.value, hasCharset: true, isLenient: true))
            }
        }
        if hasPieces(of: name), let joined = joined(name, isLenient: true) { candidates.append(joined) }
        return candidates
    }

    private func hasPieces(of name: String) -> Bool {
        let prefix = Array((name + "*").utf8)
        return written.contains { $0.name.count > prefix.count && $0.name.starts(with: prefix) }
    }

    /// The pieces `name*0`, `name*1*` and so on (RFC 2231 section 3), as far as none is missing.
    private func joined(_ name: String, isLenient: Bool = false) -> [UInt8]? {
        let prefix = Array((name + "*").utf8)
        // The last one of a number counts, as in the parameters without pieces.
        var pieces: [[UInt8]: (value: [UInt8], isEncoded: Bool)] = [:]
        for parameter in written where parameter.name.count > prefix.count && parameter.name.starts(with: prefix) {
            let number = parameter.name[prefix.count...]
            let isEncoded = number.last == UInt8(ascii: "*")
            pieces[Array(isEncoded ? number.dropLast() : number)] = (parameter.value, isEncoded)
        }
        var value: [UInt8] = []
        var number = 0
        while let piece = pieces[Array("\(number)".utf8)] {
            value +=
                piece.isEncoded
                ? Self.decoded(piece.value, hasCharset: number == 0, isLenient: isLenient) : piece.value
            number += 1
        }
        return number == 0 ? nil : value
    }

    /// Percent-encoded text (RFC 2231 section 4) without its charset and language. Where it is damaged: as it stands, or if
    /// lenient, with what can be decoded.
    private static func decoded(_ value: [UInt8], hasCharset: Bool, isLenient: Bool = false) -> [UInt8] {
        var text = value[...]
        if hasCharset {
            if let first = text.firstIndex(of: apostrophe),
                let second = text[(first + 1)...].firstIndex(of: apostrophe)
            {
                text = text[(second + 1)...]
            } else if !isLenient {
                return value
            }
        }
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            guard byte == UInt8(ascii: "%") else {
                octets.append(byte)
                continue
            }
            if index + 1 < text.endIndex, let high = hexValue(text[index]), let low = hexValue(text[index + 1]) {
                octets.append(high << 4 | low)
                index += 2
            } else if isLenient {
                octets.append(byte)
            } else {
                return value
            }
        }
        return octets
    }

    private static let apostrophe = UInt8(ascii: "'")

    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
