import HTTPTypes
import RelayCore

/// The content of the field `Authorization` (RFC 9110 section 11.4, RFC 6750 section 2.1).
enum BearerCredentials: Hashable, Sendable {
    case none
    /// A token. It must be checked as a key, even if it does not look like a key.
    case token(String)
    /// There is a value, but not a Bearer token. The text says what to change.
    case malformed(String)

    init(_ fields: HTTPFields) {
        let values = fields[values: .authorization]
        guard let value = values.first else {
            self = .none
            return
        }
        guard values.count == 1 else {
            self = .malformed("The request has the header Authorization \(values.count) times; send it once")
            return
        }
        let scheme = value.prefix { $0 != " " }
        guard scheme.lowercased() == "bearer" else {
            self = .malformed(
                APIKey.resemblesKey(value.utf8)
                    ? "The header Authorization lacks the word Bearer; send 'Authorization: Bearer' and the API key"
                    : "The header Authorization has another scheme; send 'Authorization: Bearer' and the API key")
            return
        }
        // Spaces in front belong to the scheme. Spaces after the token are a mistake that is reported.
        self = .token(String(value.dropFirst(scheme.count).drop { $0 == " " }))
    }
}
