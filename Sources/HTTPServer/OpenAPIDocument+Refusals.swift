extension OpenAPIDocument {
    /// What an operation reads of a request besides its header. Mistakes in it are listed in the answer.
    enum Input {
        case nothing
        case parameters
        /// A JSON document.
        case body
    }

    /// The responses of an operation that refuses, by status. The arguments name those in `components` that not every
    /// operation has.
    static func refusals(
        reading input: Input = .nothing, forbidden: String = "Forbidden", notFound: String? = nil,
        conflict: String? = nil, badGateway: String? = nil, unavailable: String = "Unavailable"
    ) -> String {
        let hasBody = input == .body
        let responses: [(status: Int, name: String?)] = [
            (400, "BadRequest"),
            (401, "Unauthorized"),
            (403, forbidden),
            (404, notFound),
            (408, hasBody ? "Timeout" : nil),
            (409, conflict),
            (413, hasBody ? "TooLarge" : nil),
            (415, hasBody ? "UnsupportedMediaType" : nil),
            (422, input == .nothing ? nil : "Unprocessable"),
            (429, "TooManyRequests"),
            (431, "HeaderTooLong"),
            (502, badGateway),
            (503, unavailable),
        ]
        return responses.compactMap { status, name in
            name.map { ##""\##(status)": {"$ref": "#/components/responses/\##($0)"}"## }
        }.joined(separator: ",\n          ")
    }

    /// A response in `components` whose body is a problem document.
    ///
    /// - Parameter headers: the fields that the answer can have, each described in `components`.
    static func problem(_ name: String, _ description: String, headers: [String] = []) -> String {
        let fields = headers.map { field in
            ##""\##(field)": {"$ref": "#/components/headers/\##(field.filter { $0 != "-" })"}"##
        }
        let described = fields.isEmpty ? "" : #""headers": {\#(fields.joined(separator: ", "))}, "#
        return ##"""
            "\##(name)": {
                    "description": "\##(description)",
                    \##(described)"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
                  }
            """##
    }
}
