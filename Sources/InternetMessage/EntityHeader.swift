/// The header section of a message or of a part of it (an entity, RFC 2045 section 2.4), read for display: whatever the octets are, there
/// is a result.
struct EntityHeader {
    struct Field {
        var name: Range<Int>
        /// What stands behind the colon, with its folds, without the last line end.
        var body: Range<Int>
    }

    /// In the order of the message, `EntityHeader.maximumFields` at most.
    private(set) var fields: [Field] = []
    private(set) var isCutOff = false

    /// A field that no reader looks for in a header as long as this is left out.
    static let maximumFields = 1000

    /// Takes the next line.
    ///
    /// - Returns: Whether it belongs to the header. A line that is neither a field nor a continuation is the first one of the body.
    mutating func take(_ line: Range<Int>, of bytes: [UInt8]) -> Bool {
        guard let first = bytes[line].first else { return false }
        if first.isBlank {
            // Without a field before it, or behind one that was left out, it says nothing.
            if !isCutOff, let last = fields.indices.last {
                fields[last].body = fields[last].body.lowerBound..<line.upperBound
            }
            return true
        }
        var index = line.lowerBound
        while index < line.upperBound, bytes[index] > 0x20, bytes[index] < 0x7F, bytes[index] != .colon { index += 1 }
        let name = line.lowerBound..<index
        while index < line.upperBound, bytes[index].isBlank { index += 1 }
        guard !name.isEmpty, index < line.upperBound, bytes[index] == .colon else { return false }
        if fields.count < Self.maximumFields {
            fields.append(Field(name: name, body: (index + 1)..<line.upperBound))
        } else {
            isCutOff = true
        }
        return true
    }
}

/// What the header of an entity says about its body.
struct EntityContent {
    /// `text/plain`, in lower case. That where the header names no type or not a valid one (RFC 2045 section 5.2).
    private(set) var type = "text/plain"
    private(set) var encoding = TransferEncoding.identity
    private(set) var charset = TextCharset.guessed
    /// The body has parts, which stand behind this line; `type` is `multipart/…`.
    private(set) var delimiter: [UInt8]?
    /// `Content-Disposition: attachment`.
    private(set) var isAttachment = false
    private(set) var fileName: String?
    /// Without its angle brackets.
    private(set) var contentID: String?
    /// The file name is longer, or the Content-ID was left out.
    private(set) var isCutOff = false

    /// Characters of a file name at most.
    static let longestFileName = 255
    /// Octets of type and subtype at most (RFC 6838 section 4.2).
    private static let longestType = 255
    /// Octets of a Content-ID at most. A line has no more.
    private static let longestContentID = 998

    /// - Parameter isInDigest: It is a part of a multipart/digest (RFC 2046 section 5.1.5).
    init(_ header: EntityHeader, of bytes: [UInt8], isInDigest: Bool) {
        // The first one of each counts.
        func field(_ name: String) -> ArraySlice<UInt8>? {
            header.fields.first { field in
                field.name.count == name.utf8.count
                    && bytes[field.name].lazy.map(\.asciiLowercased).elementsEqual(name.utf8)
            }.map { bytes[$0.body] }
        }
        var namedByType: String?
        if let body = field("content-type") {
            namedByType = readType(body)
        } else if isInDigest {
            type = "message/rfc822"
        }
        encoding = TransferEncoding(field("content-transfer-encoding"))
        var namedByDisposition: String?
        if let body = field("content-disposition") { namedByDisposition = readDisposition(body) }
        fileName = namedByDisposition ?? namedByType
        if let body = field("content-id") { contentID = readContentID(body) }
    }

    /// Returns the file name in it.
    private mutating func readType(_ body: ArraySlice<UInt8>) -> String? {
        var tokens = MIMETokenizer(body)
        guard case .atom(let type)? = try? tokens.next(), (try? tokens.next().isSpecial(UInt8(ascii: "/"))) == true,
            case .atom(let subtype)? = try? tokens.next(), type.count + subtype.count < Self.longestType
        else { return nil }
        self.type = Self.lowercased(type) + "/" + Self.lowercased(subtype)
        let parameters = MIMEParameters(lenient: &tokens)
        if let name = parameters.value(of: "charset") { charset = TextCharset(name) ?? .guessed }
        if self.type.hasPrefix("multipart/"), let boundary = parameters.value(of: "boundary") {
            // A boundary does not end in a blank (RFC 2046 section 5.1.1).
            let end = boundary.lastIndex { !$0.isBlank }.map { $0 + 1 } ?? boundary.startIndex
            if end > boundary.startIndex { delimiter = [UInt8(ascii: "-"), UInt8(ascii: "-")] + boundary[..<end] }
        }
        return text(of: "name", in: parameters)
    }

    /// Returns the file name in it.
    private mutating func readDisposition(_ body: ArraySlice<UInt8>) -> String? {
        var tokens = MIMETokenizer(body)
        guard case .atom(let disposition)? = try? tokens.next() else { return nil }
        isAttachment = disposition.lazy.map(\.asciiLowercased).elementsEqual("attachment".utf8)
        return text(of: "filename", in: MIMEParameters(lenient: &tokens))
    }

    /// Encoded words have no place in a parameter, but many clients write them there, and readers decode them.
    private mutating func text(of name: String, in parameters: MIMEParameters) -> String? {
        guard let value = parameters.value(of: name) else { return nil }
        let text: String
        let isCut: Bool
        if let charset = parameters.charset(of: name).flatMap({ TextCharset($0) }) {
            (text, isCut) = ReadableText.line(charset.string(value), limit: Self.longestFileName)
        } else {
            (text, isCut) = ReadableText.field(value, limit: Self.longestFileName)
        }
        if isCut { isCutOff = true }
        return text.isEmpty ? nil : text
    }

    private mutating func readContentID(_ body: ArraySlice<UInt8>) -> String? {
        guard body.count <= Self.longestContentID else {
            isCutOff = true
            return nil
        }
        var text = ReadableText.field(body, limit: Self.longestContentID).text[...]
        if text.hasPrefix("<") { text = text.dropFirst() }
        if text.hasSuffix(">") { text = text.dropLast() }
        return text.isEmpty ? nil : String(text)
    }

    private static func lowercased(_ text: ArraySlice<UInt8>) -> String {
        String(decoding: text.lazy.map(\.asciiLowercased), as: UTF8.self)
    }
}
