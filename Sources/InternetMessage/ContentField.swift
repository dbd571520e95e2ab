/// The header fields of a message or a part that SES parses (RFC 2045, RFC 2183).
enum ContentField: String, CaseIterable {
    case type = "Content-Type"
    case disposition = "Content-Disposition"
    case transferEncoding = "Content-Transfer-Encoding"

    init?(name: some Collection<UInt8>) {
        guard let field = Self.allCases.first(where: { $0.isNamed(name) }) else { return nil }
        self = field
    }

    private func isNamed(_ name: some Collection<UInt8>) -> Bool {
        name.count == rawValue.utf8.count
            && zip(name, rawValue.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }

    /// The parameter that contains a file name.
    fileprivate var fileNameParameter: String? {
        switch self {
        case .type: "name"
        case .disposition: "filename"
        case .transferEncoding: nil
        }
    }
}

/// How the parts of a multipart entity are separated (RFC 2046 section 5.1).
struct Multipart: Hashable {
    /// The value of the parameter `boundary`. Nil when it is missing. The first line that begins with two hyphens is
    /// then the boundary.
    var boundary: [UInt8]?
    /// Whether the entity is a multipart/report (RFC 6522).
    var isReport = false
}

/// Checks Content fields, each by itself. A single `ContentFieldCheck` can be used for the message and all its parts.
struct ContentFieldCheck {
    let refusedAttachments: AttachmentEndings

    /// Checks one field, given as the text after its colon.
    ///
    /// - Parameter part: the number of the part, such as `2.1` for the first part of the second part; nil for the
    ///   message itself.
    /// - Returns: how the parts are separated, if the field says that the entity is a multipart.
    /// - Throws: `MessageRejection.mime` or `.attachment`.
    func check(
        _ field: ContentField, _ body: ArraySlice<UInt8>, part: String?
    ) throws(MessageRejection) -> Multipart? {
        let parameters: MIMEParameters?
        let multipartSubtype: ArraySlice<UInt8>?
        do throws(MIMEFault) {
            (multipartSubtype, parameters) = try Self.parse(field, body)
        } catch {
            throw .mime("The \(field.rawValue) field of \(Self.place(part)) \(error.explanation)")
        }
        guard let parameters else { return nil }
        if let parameter = field.fileNameParameter {
            for candidate in parameters.candidates(for: parameter) {
                let name = AttachmentName(candidate)
                guard let ending = name.ending, refusedAttachments.contains(ending) else { continue }
                throw .attachment(
                    "No attachment may end in .\(ending); send \(Self.place(part)), \"\(name.excerpt)\", in an "
                        + "archive or as a link")
            }
        }
        guard let multipartSubtype else { return nil }
        return Multipart(
            boundary: parameters.value(of: "boundary").map(Array.init),
            isReport: multipartSubtype.lazy.map(\.asciiLowercased).elementsEqual("report".utf8))
    }

    private static func place(_ part: String?) -> String { part.map { "part \($0)" } ?? "the message" }

    private static func parse(
        _ field: ContentField, _ body: ArraySlice<UInt8>
    ) throws(MIMEFault) -> (multipartSubtype: ArraySlice<UInt8>?, parameters: MIMEParameters?) {
        var tokens = MIMETokenizer(body)
        switch field {
        case .type:
            let advice = "write a type such as text/plain"
            guard case .atom(let type) = try tokens.next() else { throw MIMEFault("names no type; \(advice)") }
            guard try tokens.next().isSpecial(UInt8(ascii: "/")) else {
                throw MIMEFault("has no / after \"\(Excerpt.of(type))\"; \(advice)")
            }
            guard case .atom(let subtype) = try tokens.next() else {
                throw MIMEFault("has no subtype after \"\(Excerpt.of(type))/\"; \(advice)")
            }
            let isMultipart = type.lazy.map(\.asciiLowercased).elementsEqual("multipart".utf8)
            return (isMultipart ? subtype : nil, try MIMEParameters(&tokens))
        case .disposition:
            guard case .atom = try tokens.next() else {
                throw MIMEFault("names no disposition; write inline or attachment")
            }
            return (nil, try MIMEParameters(&tokens))
        case .transferEncoding:
            // The first atom is the encoding. SES's parser skips all tokens before it.
            while true {
                switch try tokens.next() {
                case .atom, .end: return (nil, nil)
                case .quotedString, .special: continue
                }
            }
        }
    }
}
