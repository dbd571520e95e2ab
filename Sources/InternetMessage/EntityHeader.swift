/// The header section of a message or of one of its parts (an entity, RFC 2045 section 2.4), read for display. Any
/// octets give a result.
struct EntityHeader {
    struct Field {
        var name: Range<Int>
        /// The text after the colon, with its folds and without the last line end.
        var body: Range<Int>
    }

    /// At most `EntityHeader.maximumFields` fields, in the order of the message.
    private(set) var fields: [Field] = []
    private(set) var isCutOff = false

    /// The largest number of fields that are kept. Nobody who reads a header with more fields looks for those that are
    /// left out.
    static let maximumFields = 1000

    /// Adds the next line to the header.
    ///
    /// - Returns: whether the line belongs to the header. A line that is neither a field nor a continuation is the
    ///   first line of the body.
    mutating func take(_ line: Range<Int>, of bytes: [UInt8]) -> Bool {
        guard let first = bytes[line].first else { return false }
        if first.isBlank {
            // A continuation line has no meaning if there is no field before it, or if that field was left out.
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

/// What an entity's header says about the entity's body.
struct EntityContent {
    /// The type in lower case. It is `text/plain` if the header names no type or an invalid one (RFC 2045 section 5.2).
    private(set) var type = "text/plain"
    private(set) var encoding = TransferEncoding.identity
    private(set) var charset = TextCharset.guessed
    /// Two hyphens and the boundary: a line that begins with these separates the parts of the body. Nil if this is
    /// no multipart, or if its Content-Type has no boundary. If it is not nil, `type` is `multipart/…`.
    private(set) var delimiter: [UInt8]?
    /// Whether the header says `Content-Disposition: attachment`.
    private(set) var isAttachment = false
    private(set) var fileName: String?
    /// The Content-ID without its angle brackets.
    private(set) var contentID: String?
    /// Whether the file name was shortened or the Content-ID was left out.
    private(set) var isCutOff = false

    /// The most characters of a file name.
    static let longestFileName = 255
    /// The most octets of type and subtype (RFC 6838 section 4.2).
    private static let longestType = 255
    /// The most octets of a Content-ID. A line can't be longer.
    private static let longestContentID = 998

    /// - Parameter isInDigest: whether the entity is a part of a multipart/digest (RFC 2046 section 5.1.5).
    init(_ header: EntityHeader, of bytes: [UInt8], isInDigest: Bool) {
        // The first field of each name counts.
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

    /// Reads Content-Type. Returns the file name in its parameter `name`, or nil.
    private mutating func readType(_ body: ArraySlice<UInt8>) -> String? {
        var tokens = MIMETokenizer(body)
        guard case .atom(let type)? = try? tokens.next(), (try? tokens.next().isSpecial(UInt8(ascii: "/"))) == true,
            case .atom(let subtype)? = try? tokens.next(), type.count + subtype.count < Self.longestType
        else { return nil }
        self.type = Self.lowercased(type) + "/" + Self.lowercased(subtype)
        let parameters = MIMEParameters(lenient: &tokens)
        if let name = parameters.value(of: "charset") { charset = TextCharset(name) ?? .guessed }
        if self.type.hasPrefix("multipart/"), let boundary = parameters.value(of: "boundary") {
            // A boundary does not end with a blank (RFC 2046 section 5.1.1).
            let end = boundary.lastIndex { !$0.isBlank }.map { $0 + 1 } ?? boundary.startIndex
            if end > boundary.startIndex { delimiter = [UInt8(ascii: "-"), UInt8(ascii: "-")] + boundary[..<end] }
        }
        return text(of: "name", in: parameters)
    }

    /// Reads Content-Disposition. Returns the file name in its parameter `filename`, or nil.
    private mutating func readDisposition(_ body: ArraySlice<UInt8>) -> String? {
        var tokens = MIMETokenizer(body)
        guard case .atom(let disposition)? = try? tokens.next() else { return nil }
        isAttachment = disposition.lazy.map(\.asciiLowercased).elementsEqual("attachment".utf8)
        return text(of: "filename", in: MIMEParameters(lenient: &tokens))
    }

    /// Returns a parameter for display, or nil if it is missing or empty. Encoded words are decoded: they are not
    /// allowed in a parameter, but many clients write them there, and readers decode them.
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
