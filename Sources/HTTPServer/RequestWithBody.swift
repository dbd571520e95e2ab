import HTTPTypes

/// A request whose body is a JSON document.
protocol RequestWithBody: Sendable {
    var api: EmailAPI { get }
    /// Takes the body in, and says how long it may be.
    var bodies: RequestBodyStore { get }
    /// What a body that is too long is refused with.
    var tooLarge: Problem { get }
    /// Why the body is not wanted, before it is read.
    func refusal(of fields: HTTPFields) -> Problem?
    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer
    /// Adds to any answer what belongs to each.
    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer
}

extension RequestWithBody {
    /// Why a body is not wanted that its header describes so.
    func refusalOfBody(_ fields: HTTPFields) -> Problem? {
        guard fields.isJSON else { return .mediaType }
        guard fields[.contentEncoding].map({ $0.lowercased() == "identity" }) ?? true,
            fields[.transferEncoding].map({ $0.lowercased() == "chunked" }) ?? true
        else { return .contentCoding }
        return fields.bodyLength <= bodies.limit ? nil : tooLarge
    }
}

extension HTTPFields {
    /// As it is announced; 0 where it is not. A number that is too large for the machine is too large in any case.
    var bodyLength: Int { self[.contentLength].map { Int($0) ?? .max } ?? 0 }

    /// Whether the body is said to be JSON (RFC 8259 section 11); UTF-8 is the only charset that it can have.
    fileprivate var isJSON: Bool {
        guard let value = self[.contentType] else { return false }
        let type = value.prefix { $0 != ";" }.filter { $0 != " " }
        return type.lowercased() == "application/json"
    }
}
