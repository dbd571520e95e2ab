extension JSON {
    /// Reads one document (RFC 8259): one value, with optional white space around it, in UTF-8 without a byte order
    /// mark.
    ///
    /// This reader is stricter than most. No name may occur twice in one object, because two readers could use
    /// different values. The octets must be valid UTF-8, and an escape may not be half of a surrogate pair.
    ///
    /// - Throws: ``JSONError`` with the first mistake.
    public init(reading document: ArraySlice<UInt8>, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        var reader = JSONReader(document, limits)
        do throws(JSONMistake) {
            self = try reader.document()
        } catch {
            throw JSONError(error.explanation, at: error.index - document.startIndex, in: document)
        }
    }

    /// The same as ``init(reading:limits:)-(ArraySlice<UInt8>,_)``, for an array.
    public init(reading document: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        try self.init(reading: document[...], limits: limits)
    }
}

/// A mistake at an index of the document. Its line and column are computed only when the mistake is reported.
private struct JSONMistake: Error {
    var explanation: String
    var index: Int

    init(_ explanation: String, at index: Int) {
        self.explanation = explanation
        self.index = index
    }
}

private struct JSONReader {
    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private let depthLimit: Int
    private var depth = 0
    private var valuesLeft: Int
    private let valueLimit: Int

    init(_ bytes: ArraySlice<UInt8>, _ limits: JSONLimits) {
        self.bytes = bytes
        index = bytes.startIndex
        depthLimit = min(limits.depth, JSONLimits.greatestDepth)
        valueLimit = limits.values
        valuesLeft = limits.values
    }

    mutating func document() throws(JSONMistake) -> JSON {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw JSONMistake("The document begins with a byte order mark; leave it out", at: index)
        }
        skipWhiteSpace()
        guard index < bytes.endIndex else {
            throw JSONMistake("The document is empty; a JSON value is expected", at: index)
        }
        let value = try value()
        skipWhiteSpace()
        guard index == bytes.endIndex else {
            throw JSONMistake(
                "There is \(shown(at: index)) after the end of the document; send one JSON value only", at: index)
        }
        return value
    }

    private var next: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    private mutating func skipWhiteSpace() {
        while index < bytes.endIndex {
            switch bytes[index] {
            case 0x20, 0x0A, 0x0D, 0x09: index += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONMistake) -> JSON {
        guard valuesLeft > 0 else {
            throw JSONMistake("The document has more than \(valueLimit) values; send less at once", at: index)
        }
        valuesLeft -= 1
        switch next {
        case UInt8(ascii: "\""): return .string(JSONString(checked: try string()))
        case UInt8(ascii: "{"): return .object(try nested { reader throws(JSONMistake) in try reader.object() })
        case UInt8(ascii: "["): return .array(try nested { reader throws(JSONMistake) in try reader.array() })
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let octet? where octet == UInt8(ascii: "-") || isDigit(octet): return .number(try number())
        default:
            throw unexpected(
                "a value is expected: a string in double quotes, a number, an object, an array, true, false or null")
        }
    }

    private mutating func nested<Value>(
        _ read: (inout JSONReader) throws(JSONMistake) -> Value
    ) throws(JSONMistake) -> Value {
        guard depth < depthLimit else {
            throw JSONMistake("Arrays and objects are nested more than \(depthLimit) deep", at: index)
        }
        depth += 1
        // Moves past the opening bracket.
        index += 1
        skipWhiteSpace()
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func array() throws(JSONMistake) -> [JSON] {
        var elements: [JSON] = []
        if take(UInt8(ascii: "]")) { return elements }
        while true {
            elements.append(try value())
            skipWhiteSpace()
            if take(UInt8(ascii: "]")) { return elements }
            guard take(UInt8(ascii: ",")) else {
                throw unexpected("a comma or ] is expected after an array's element")
            }
            skipWhiteSpace()
            if next == UInt8(ascii: "]") {
                throw JSONMistake("There is a comma after an array's last element; leave it out", at: index)
            }
        }
    }

    private mutating func object() throws(JSONMistake) -> JSONObject {
        var members: [JSONObject.Member] = []
        var names = NameSet()
        if take(UInt8(ascii: "}")) { return JSONObject() }
        while true {
            let start = index
            guard next == UInt8(ascii: "\"") else {
                throw unexpected("a member's name in double quotes is expected")
            }
            let name = JSONString(checked: try string())
            guard names.insert(name, among: members) else {
                throw JSONMistake(
                    "The name \(name.excerpt) occurs twice in one object; leave one of them out", at: start)
            }
            skipWhiteSpace()
            guard take(UInt8(ascii: ":")) else { throw unexpected("a colon is expected after a member's name") }
            skipWhiteSpace()
            members.append(JSONObject.Member(name, try value()))
            skipWhiteSpace()
            if take(UInt8(ascii: "}")) { return JSONObject(members) }
            guard take(UInt8(ascii: ",")) else {
                throw unexpected("a comma or } is expected after an object's member")
            }
            skipWhiteSpace()
            if next == UInt8(ascii: "}") {
                throw JSONMistake("There is a comma after an object's last member; leave it out", at: index)
            }
        }
    }

    private mutating func take(_ octet: UInt8) -> Bool {
        guard next == octet else { return false }
        index += 1
        return true
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONMistake) -> JSON {
        let end = index + word.utf8CodeUnitCount
        let matches = end <= bytes.endIndex && word.withUTF8Buffer { bytes[index..<end].elementsEqual($0) }
        guard matches else { throw unexpected("\(word) is expected; text must be in double quotes") }
        index = end
        return value
    }

    // MARK: Numbers

    private mutating func number() throws(JSONMistake) -> JSONNumber {
        let start = index
        _ = take(UInt8(ascii: "-"))
        if take(UInt8(ascii: "0")) {
            if let next, isDigit(next) {
                throw JSONMistake("A number begins with a 0 that is followed by a digit; leave the 0 out", at: start)
            }
        } else {
            try digits("a digit is expected in a number")
        }
        if take(UInt8(ascii: ".")) { try digits("a digit is expected after a number's decimal point") }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            index += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
            try digits("a digit is expected in a number's exponent")
        }
        guard index - start <= JSONLimits.numberLength else {
            throw JSONMistake("A number is longer than \(JSONLimits.numberLength) characters", at: start)
        }
        return JSONNumber(checked: String(decoding: bytes[start..<index], as: UTF8.self))
    }

    private mutating func digits(_ expectation: String) throws(JSONMistake) {
        guard let next, isDigit(next) else { throw unexpected(expectation) }
        while index < bytes.endIndex, isDigit(bytes[index]) { index += 1 }
    }

    private func isDigit(_ octet: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= octet }

    // MARK: Strings

    /// Reads a string. The index moves from the opening quotation mark to after the closing one. Returns the octets
    /// between them, without escapes.
    private mutating func string() throws(JSONMistake) -> ArraySlice<UInt8> {
        let opening = index
        index += 1
        var start = index
        // The text before `start`, once the string has had an escape.
        var unescaped: [UInt8] = []
        while true {
            index = StringScan.endOfPlainText(in: bytes, from: index)
            guard index < bytes.endIndex else {
                throw JSONMistake("A string that begins here has no closing double quote", at: opening)
            }
            switch bytes[index] {
            case UInt8(ascii: "\""):
                let rest = bytes[start..<index]
                index += 1
                guard !unescaped.isEmpty else { return rest }
                unescaped += rest
                return unescaped[...]
            case UInt8(ascii: "\\"):
                unescaped += bytes[start..<index]
                try escape(into: &unescaped)
                start = index
            case 0..<0x20:
                throw JSONMistake(
                    "A string holds \(shown(at: index)); write \(JSONString.escape(of: bytes[index])) for it", at: index
                )
            default:
                guard let length = StringScan.lengthOfScalar(in: bytes, at: index) else {
                    throw JSONMistake("A string holds octets that are not UTF-8", at: index)
                }
                index += length
            }
        }
    }

    /// Reads an escape. The index moves from the backslash to after the escape.
    private mutating func escape(into text: inout [UInt8]) throws(JSONMistake) {
        let backslash = index
        index += 1
        guard let letter = next else {
            throw JSONMistake("The document ends within a string", at: index)
        }
        index += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: try scalar(backslash).utf8)
        default:
            throw JSONMistake(
                #"A backslash in a string begins an escape that JSON does not have; write \\ for a backslash itself"#,
                at: backslash)
        }
    }

    /// Reads the scalar of an escape `\uXXXX`, or of two escapes that are a surrogate pair. The index is after the `u`.
    private mutating func scalar(_ backslash: Int) throws(JSONMistake) -> Unicode.Scalar {
        let first = try codeUnit(backslash)
        if let scalar = Unicode.Scalar(first) { return scalar }
        let isHigh = first < 0xDC00
        if isHigh, next == UInt8(ascii: "\\"), index + 1 < bytes.endIndex, bytes[index + 1] == UInt8(ascii: "u") {
            let second = index
            index += 2
            let low = try codeUnit(second)
            if 0xDC00...0xDFFF ~= low,
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first - 0xD800) << 10) + UInt32(low - 0xDC00))
            {
                return scalar
            }
        }
        throw JSONMistake(
            "An escape is half of a surrogate pair, which is not a character by itself; write the character, or both halves",
            at: backslash)
    }

    private mutating func codeUnit(_ backslash: Int) throws(JSONMistake) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = next.flatMap(hexadecimal) else {
                throw JSONMistake(#"An escape \u needs four hexadecimal digits"#, at: backslash)
            }
            value = value << 4 | UInt16(digit)
            index += 1
        }
        return value
    }

    private func hexadecimal(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): octet - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    // MARK: Mistakes

    private func unexpected(_ expectation: String) -> JSONMistake {
        guard index < bytes.endIndex else {
            return JSONMistake("The document ends too early: \(expectation)", at: index)
        }
        return JSONMistake("There is \(shown(at: index)) where \(expectation)", at: index)
    }

    /// A description of the octet at `index`.
    private func shown(at index: Int) -> String {
        switch bytes[index] {
        case 0x20: "a blank"
        case 0x09: "a tab"
        case 0x0A, 0x0D: "a line end"
        case let octet where octet < 0x20 || octet == 0x7F: "a control character"
        case let octet where octet >= 0x80: "a non-ASCII character"
        case let octet: String(UnicodeScalar(octet))
        }
    }
}

/// The names of an object's members. A few names are compared one by one, which is faster. Many are looked up by their
/// hash.
private struct NameSet {
    private var names: Set<JSONString> = []
    private static let few = 16

    /// Returns false if the name exists already. `members` are those whose names were inserted before.
    mutating func insert(_ name: JSONString, among members: [JSONObject.Member]) -> Bool {
        guard members.count >= NameSet.few else { return !members.contains { $0.name == name } }
        if names.isEmpty { names = Set(members.map(\.name)) }
        return names.insert(name).inserted
    }
}
