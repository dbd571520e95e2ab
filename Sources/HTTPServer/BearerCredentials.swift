import HTTPTypes
import RelayCore

/// What the field `Authorization` holds (RFC 9110 section 11.4, RFC 6750 section 2.1).
enum BearerCredentials: Hashable, Sendable {
    case none
    /// To be looked at as a key, whatever it is.
    case token(String)
    /// There is something, but no Bearer token. The text says what to change.
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
        // Blanks in front are the scheme's; those behind are a mistake that is worth a word.
        self = .token(String(value.dropFirst(scheme.count).drop { $0 == " " }))
    }
}
