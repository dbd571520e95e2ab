import InternetMessage

/// The media type of an attached file, with its parameters (RFC 2045 section 5.1).
struct MediaType {
    /// The type without parameters: `type/subtype`.
    private let essence: String
    /// The parameters as they are written: `name=value`.
    private let parameters: [String]

    static let maximumParameters = 10

    /// Reads the text that an application gives, such as `text/calendar; method=REQUEST`.
    ///
    /// Multipart types are refused, because a file has no parts. Message types are refused, because they must not be in
    /// base64 (RFC 2046 section 5.2). The parameters `boundary` and `name` are refused, because the relay writes
    /// them itself or leaves them out.
    init(parsing text: String) throws(MediaTypeError) {
        guard text.utf8.count <= Email.Attachment.maximumContentTypeLength else { throw .tooLong }
        var rest = Array(text.utf8)[...]
        let type = Self.token(&rest)
        guard !type.isEmpty, Self.skip(UInt8(ascii: "/"), &rest) else { throw .syntax }
        let subtype = Self.token(&rest)
        guard !subtype.isEmpty else { throw .syntax }
        switch String(decoding: type.map(\.asciiLowercased), as: UTF8.self) {
        case "multipart", "message": throw .composite
        default: break
        }
        var parameters: [String] = []
        var names: Set<[UInt8]> = []
        Self.skipBlanks(&rest)
        while Self.skip(UInt8(ascii: ";"), &rest) {
            Self.skipBlanks(&rest)
            let name = Self.token(&rest)
            guard !name.isEmpty, Self.skip(.equalsSign, &rest) else { throw .syntax }
            let value = try Self.value(&rest)
            Self.skipBlanks(&rest)
            let lowered = name.map(\.asciiLowercased)
            // An asterisk has a special meaning (RFC 2231).
            guard !lowered.contains(UInt8(ascii: "*")),
                !["boundary", "name"].contains(where: { lowered.elementsEqual($0.utf8) })
            else { throw .parameter }
            guard names.insert(lowered).inserted, parameters.count < Self.maximumParameters else { throw .parameter }
            parameters.append("\(String(decoding: name, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))")
        }
        guard rest.isEmpty else { throw .syntax }
        essence = "\(String(decoding: type, as: UTF8.self))/\(String(decoding: subtype, as: UTF8.self))"
        self.parameters = parameters
    }

    /// The type of a file, by the ending of its name.
    init(ofFile name: String) {
        let ending = name.utf8.suffix(8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let known = ending.count > 1 ? ending.last.flatMap { Self.byEnding[$0.map(\.asciiLowercased)] } : nil
        essence = known ?? "application/octet-stream"
        parameters = []
    }

    /// The body of the Content-Type field in words. A line may be folded before each word.
    var words: [String] {
        var words = [essence] + parameters
        for index in words.indices.dropLast() { words[index] += ";" }
        return words
    }

    private static func token(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let token = rest.prefix(while: \.isMIMETokenText)
        rest = rest[token.endIndex...]
        return token
    }

    private static func value(_ rest: inout ArraySlice<UInt8>) throws(MediaTypeError) -> ArraySlice<UInt8> {
        guard rest.first == .quote else {
            let value = token(&rest)
            guard !value.isEmpty else { throw .syntax }
            return value
        }
        let content = rest.dropFirst().prefix { $0 >= 0x20 && $0 < 0x7F && $0 != .quote && $0 != .backslash }
        guard content.endIndex < rest.endIndex, rest[content.endIndex] == .quote else { throw .syntax }
        let value = rest[...content.endIndex]
        rest = rest[(content.endIndex + 1)...]
        return value
    }

    private static func skip(_ byte: UInt8, _ rest: inout ArraySlice<UInt8>) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    private static func skipBlanks(_ rest: inout ArraySlice<UInt8>) {
        while rest.first?.isBlank == true { rest.removeFirst() }
    }

    /// The types of the most common attachments. For other files, readers use the file's name.
    private static let byEnding: [[UInt8]: String] = {
        let types = [
            "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "html": "text/html", "htm": "text/html",
            "ics": "text/calendar", "vcf": "text/vcard", "json": "application/json", "xml": "application/xml",
            "zip": "application/zip", "gz": "application/gzip", "png": "image/png", "jpg": "image/jpeg",
            "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "svg": "image/svg+xml", "mp3": "audio/mpeg",
            "mp4": "video/mp4", "rtf": "application/rtf", "doc": "application/msword",
            "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "xls": "application/vnd.ms-excel",
            "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "ppt": "application/vnd.ms-powerpoint",
            "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "odt": "application/vnd.oasis.opendocument.text",
            "ods": "application/vnd.oasis.opendocument.spreadsheet",
        ]
        return Dictionary(uniqueKeysWithValues: types.map { (Array($0.key.utf8), $0.value) })
    }()
}

/// Why a text is not a media type for an attached file.
enum MediaTypeError: Error, Hashable {
    case tooLong, syntax, composite, parameter

    /// A plain ASCII sentence, without a full stop, that says what to change.
    var explanation: String {
        switch self {
        case .tooLong:
            "The content type is longer than \(Email.Attachment.maximumContentTypeLength) octets; shorten it"
        case .syntax:
            "The content type is not a media type; write one such as application/pdf or text/csv; charset=utf-8"
        case .composite:
            "A content type of multipart or message can't be attached in base64; write application/octet-stream"
        case .parameter:
            "The content type has a parameter twice, more than \(MediaType.maximumParameters), or one that the relay writes; "
                + "leave boundary, name and names with an asterisk out"
        }
    }
}
