import HTTPTypes

/// A request whose body is a JSON document.
protocol RequestWithBody: Sendable {
    var api: EmailAPI { get }
    /// Receives the body, and limits its length.
    var bodies: RequestBodyStore { get }
    /// The refusal of a body that is too long.
    var tooLarge: Problem { get }
    /// Why the body is refused before it is read; nil if it is not.
    func refusal(of fields: HTTPFields) -> Problem?
    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer
    /// Adds to an answer the header fields that every answer to this request has.
    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer
}

extension RequestWithBody {
    /// Why a body with this header is refused; nil if it is not.
    func refusalOfBody(_ fields: HTTPFields) -> Problem? {
        guard fields.isJSON else { return .mediaType }
        guard fields[.contentEncoding].map({ $0.lowercased() == "identity" }) ?? true,
            fields[.transferEncoding].map({ $0.lowercased() == "chunked" }) ?? true
        else { return .contentCoding }
        return fields.bodyLength <= bodies.limit ? nil : tooLarge
    }
}

extension HTTPFields {
    /// The announced length; 0 if there is none. A number that does not fit into an `Int` becomes `Int.max`, which
    /// exceeds every limit.
    var bodyLength: Int { self[.contentLength].map { Int($0) ?? .max } ?? 0 }

    /// Whether the body is declared as JSON (RFC 8259 section 11). UTF-8 is the only charset that it can have.
    fileprivate var isJSON: Bool {
        guard let value = self[.contentType] else { return false }
        let type = value.prefix { $0 != ";" }.filter { $0 != " " }
        return type.lowercased() == "application/json"
    }
}
