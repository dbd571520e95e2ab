/// The parameters of a Content-Type or Content-Disposition field (RFC 2045 section 5.1, RFC 2231).
struct MIMEParameters {
    /// The parameters as written, in order.
    private var written: [(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []

    /// Reads the rest of a field, after the type or the disposition.
    init(_ tokens: inout MIMETokenizer) throws(MIMEFault) {
        try read(&tokens)
    }

    /// Does the same as `init(_:)`, but a mistake throws no error: the parameters before the first mistake are kept.
    init(lenient tokens: inout MIMETokenizer) {
        // What was read before the mistake is in `written`.
        do throws(MIMEFault) { try read(&tokens) } catch {}
    }

    private mutating func read(_ tokens: inout MIMETokenizer) throws(MIMEFault) {
        while true {
            let separator = try tokens.next()
            if case .end = separator { return }
            guard separator.isSpecial(.semicolon) else {
                throw MIMEFault(
                    "has \"\(separator.excerpt)\" where a semicolon must be; put a value with blanks in double quotes"
                )
            }
            let name = try tokens.next()
            // A semicolon at the end is too common to be refused.
            if case .end = name { return }
            guard case .atom(let nameText) = name else {
                throw MIMEFault("has \"\(name.excerpt)\" where the name of a parameter must be")
            }
            guard try tokens.next().isSpecial(.equalsSign) else {
                throw MIMEFault(
                    "has no = after the parameter \"\(Excerpt.of(nameText))\"; write name=value, and put a value with semicolons in double quotes"
                )
            }
            let value = try tokens.next()
            let text: ArraySlice<UInt8>
            switch value {
            case .atom(let atom): text = atom
            case .quotedString(let content): text = content[...]
            case .special, .end:
                throw MIMEFault(
                    "has no value for the parameter \"\(Excerpt.of(nameText))\"; write one or leave the parameter out, "
                        + "and put a value with special or non-ASCII characters in double quotes")
            }
            written.append((nameText, text))
        }
    }

    /// The ways in which a parameter can be written.
    private enum Form {
        /// `name=value`
        case plain
        /// `name*=charset'language'value` (RFC 2231 section 4)
        case encoded
        /// `name*0=value` or `name*0*=value` (RFC 2231 section 3)
        case piece(number: ArraySlice<UInt8>, isEncoded: Bool)
    }

    /// How the name `written` expresses the parameter `name`, which is in lower case. Nil when `written` names another
    /// parameter.
    private static func form(_ written: ArraySlice<UInt8>, of name: String) -> Form? {
        var index = written.startIndex
        for byte in name.utf8 {
            guard index < written.endIndex, written[index].asciiLowercased == byte else { return nil }
            index += 1
        }
        guard index < written.endIndex else { return .plain }
        guard written[index] == asterisk else { return nil }
        index += 1
        guard index < written.endIndex else { return .encoded }
        let isEncoded = written.last == asterisk
        return .piece(number: isEncoded ? written[index...].dropLast() : written[index...], isEncoded: isEncoded)
    }

    /// The value that applies: the joined pieces if the parameter is continued, otherwise the last value that is
    /// written. Nil when the field does not have the parameter, or when the first piece is missing.
    func value(of name: String) -> ArraySlice<UInt8>? {
        var found: ArraySlice<UInt8>?
        for parameter in written {
            switch Self.form(parameter.name, of: name) {
            case nil: continue
            case .plain: found = parameter.value
            case .encoded: found = Self.decoded(parameter.value, hasCharset: true, isLenient: false)
            case .piece: return joined(name, isLenient: false)
            }
        }
        return found
    }

    /// The charset that the parameter names (RFC 2231 section 4). Nil when it names none.
    func charset(of name: String) -> ArraySlice<UInt8>? {
        for parameter in written {
            switch Self.form(parameter.name, of: name) {
            case .encoded, .piece(number: [UInt8(ascii: "0")], isEncoded: true):
                return parameter.value.firstIndex(of: Self.apostrophe).map { parameter.value[..<$0] }
            default: continue
            }
        }
        return nil
    }

    /// All texts that a reader could take as the parameter's value: each value that is written, and the joined pieces.
    /// Damaged encodings are decoded as far as possible.
    func candidates(for name: String) -> [ArraySlice<UInt8>] {
        var candidates: [ArraySlice<UInt8>] = []
        var hasPieces = false
        for parameter in written {
            switch Self.form(parameter.name, of: name) {
            case nil: continue
            case .plain: candidates.append(parameter.value)
            case .encoded: candidates.append(Self.decoded(parameter.value, hasCharset: true, isLenient: true))
            case .piece: hasPieces = true
            }
        }
        if hasPieces, let joined = joined(name, isLenient: true) { candidates.append(joined) }
        return candidates
    }

    /// Joins the pieces from the first one on, until one is missing. Of several pieces with the same number, the last
    /// one counts.
    private func joined(_ name: String, isLenient: Bool) -> ArraySlice<UInt8>? {
        var pieces: [ArraySlice<UInt8>: (value: ArraySlice<UInt8>, isEncoded: Bool)] = [:]
        for parameter in written {
            guard case .piece(let number, let isEncoded)? = Self.form(parameter.name, of: name) else { continue }
            pieces[number] = (parameter.value, isEncoded)
        }
        var value: ArraySlice<UInt8> = []
        var hasCharset = false
        var number = 0
        while let piece = pieces[Array("\(number)".utf8)[...]] {
            if number == 0 { hasCharset = piece.isEncoded && Self.textStart(piece.value) != nil }
            // SES's parser stops at an encoded piece when no charset is known for it.
            if number > 0, piece.isEncoded, !hasCharset, !isLenient { break }
            value +=
                piece.isEncoded
                ? Self.decoded(piece.value, hasCharset: number == 0, isLenient: isLenient) : piece.value
            number += 1
        }
        return number == 0 ? nil : value
    }

    /// Where the text begins after charset and language. Nil when these are missing.
    private static func textStart(_ value: ArraySlice<UInt8>) -> Int? {
        guard let first = value.firstIndex(of: apostrophe),
            let second = value[(first + 1)...].firstIndex(of: apostrophe)
        else { return nil }
        return second + 1
    }

    /// Decodes percent-encoded text (RFC 2231 section 4) without its charset and language. A damaged text is returned
    /// unchanged, or if `isLenient`, decoded as far as possible.
    private static func decoded(
        _ value: ArraySlice<UInt8>, hasCharset: Bool, isLenient: Bool
    ) -> ArraySlice<UInt8> {
        var text = value
        if hasCharset {
            if let start = textStart(value) {
                text = value[start...]
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
            if index + 1 < text.endIndex, let high = text[index].hexValue, let low = text[index + 1].hexValue {
                octets.append(high << 4 | low)
                index += 2
            } else if isLenient {
                octets.append(byte)
            } else {
                return value
            }
        }
        return octets[...]
    }

    private static let asterisk = UInt8(ascii: "*")
    private static let apostrophe = UInt8(ascii: "'")
}
