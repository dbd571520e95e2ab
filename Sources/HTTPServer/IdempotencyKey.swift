import InternetMessage

/// The client's name for a request. A request that arrives again under the same name is carried out only once.
///
/// It has 1 to 256 printable ASCII characters, like the field `Hiveku-Idempotency-Key` of a message.
struct IdempotencyKey: Hashable, Sendable {
    let text: String

    /// What to change: a sentence with its full stop.
    struct Mistake: Error, Hashable, Sendable {
        let detail: String
    }

    /// Reads the member `idempotency_key` of a document.
    init(_ text: some StringProtocol) throws(Mistake) {
        guard IdempotencyKeyRule.holds(text.utf8) else {
            throw Mistake(detail: "An idempotency key must be 1 to 256 printable ASCII characters.")
        }
        self.text = String(text)
    }

    /// Reads the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a string of RFC 8941 section
    /// 3.3.3 in double quotes, or the bare characters, as most clients send it. Both name the same key.
    ///
    /// - Parameter value: the header's value, without the white space around it.
    init(header value: some StringProtocol) throws(Mistake) {
        guard value.utf8.first == UInt8(ascii: "\"") else {
            try self.init(value)
            return
        }
        try self.init(try IdempotencyKey.unquoted(value))
    }

    private static func unquoted(_ value: some StringProtocol) throws(Mistake) -> String {
        var text = ""
        var isEscaped = false
        var octets = value.utf8.dropFirst().makeIterator()
        while let octet = octets.next() {
            switch octet {
            case _ where isEscaped:
                guard octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") else { throw malformed }
                text.unicodeScalars.append(Unicode.Scalar(octet))
                isEscaped = false
            case UInt8(ascii: "\\"): isEscaped = true
            case UInt8(ascii: "\""):
                guard octets.next() == nil else { throw malformed }
                return text
            case 0x20...0x7E: text.unicodeScalars.append(Unicode.Scalar(octet))
            default: throw malformed
            }
        }
        throw malformed
    }

    private static let malformed = Mistake(
        detail:
            #"The header Idempotency-Key begins with a double quote and must end with one; within it, write \" for a double quote and \\ for a backslash."#
    )
}
