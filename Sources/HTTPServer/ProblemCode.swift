import RelayCore

/// Why a request is refused, as a stable word: a reason that SMTP has too, or one that only HTTP has.
enum ProblemCode: Hashable, Sendable {
    case refusal(RefusalReason)
    case badRequest
    case headerFields
    case timeout
    case notFound
    case methodNotAllowed
    case unsupportedMediaType
    case conflict
    /// An address that has complained is removed from the list only with a confirmation.
    case complaint
    /// The key has as many webhooks as are allowed.
    case webhookLimit
    /// The webhook's state does not allow the request.
    case webhookState
    /// Values for a template are missing, unknown or of a wrong type.
    case templateVariables
    /// Another template already has the name.
    case templateName
    /// The limit of templates is reached.
    case templateLimit
    /// The limit of domains is reached.
    case domainLimit
    /// SES does not answer, or refuses the relay.
    case ses
    /// The relay is already working on as many requests about domains as it can.
    case busy

    /// The member `code` of a problem document, and the end of its `type`.
    var word: String {
        switch self {
        case .refusal(let reason): reason.rawValue
        case .badRequest: "bad-request"
        case .headerFields: "header-fields"
        case .timeout: "timeout"
        case .notFound: "not-found"
        case .methodNotAllowed: "method-not-allowed"
        case .unsupportedMediaType: "unsupported-media-type"
        case .conflict: "conflict"
        case .complaint: "complaint"
        case .webhookLimit: "webhook-limit"
        case .webhookState: "webhook-state"
        case .templateVariables: "template-variables"
        case .templateName: "template-name"
        case .templateLimit: "template-limit"
        case .domainLimit: "domain-limit"
        case .ses: "ses"
        case .busy: "busy"
        }
    }

    /// The member `title` of a problem document (RFC 9457 section 3.1.3).
    var title: String {
        switch self {
        case .refusal(let reason): reason.title
        case .badRequest: "The request is malformed"
        case .headerFields: "The request's header is too long"
        case .timeout: "The request arrived too slowly"
        case .notFound: "There is nothing here"
        case .methodNotAllowed: "The method is not supported here"
        case .unsupportedMediaType: "The body's type is not accepted"
        case .conflict: "The message can't be cancelled"
        case .complaint: "The address has complained"
        case .webhookLimit: "The API key has too many webhooks"
        case .webhookState: "The webhook can't do this now"
        case .templateVariables: "The values do not fit the template's variables"
        case .templateName: "Another template has this name"
        case .templateLimit: "There are too many templates"
        case .domainLimit: "There are too many domains"
        case .ses: "SES does not answer"
        case .busy: "The relay is busy with such requests"
        }
    }
}

extension ProblemCode: CaseIterable {
    static let allCases: [ProblemCode] =
        RefusalReason.allCases.map(ProblemCode.refusal) + [
            .badRequest, .headerFields, .timeout, .notFound, .methodNotAllowed, .unsupportedMediaType, .conflict,
            .complaint, .webhookLimit, .webhookState, .templateVariables, .templateName, .templateLimit,
            .domainLimit, .ses, .busy,
        ]
}

extension RefusalReason {
    fileprivate var title: String {
        switch self {
        case .tlsRequired: "TLS is required"
        case .authRequired: "An API key is required"
        case .keyUnknown: "The API key is unknown"
        case .keyMalformed: "The API key is malformed"
        case .keyRevoked: "The API key is revoked"
        case .keyExpired: "The API key has expired"
        case .scope: "The API key lacks a scope"
        case .network: "The client's address is not allowed"
        case .authThrottled: "Too many failed authentications"
        case .senderDomain, .headerDomain: "The sender's domain is not allowed"
        case .headerFrom, .headerAddress, .headerSyntax, .headerRepeated: "A field of the header is wrong"
        case .headerMIME: "A part of the message is wrong"
        case .attachment: "An attachment is not accepted"
        case .loop: "The message is in a mail loop"
        case .rateSecond: "The limit per second is reached"
        case .rateDay: "The limit per day is reached"
        case .recipients: "The recipients are too many or too few"
        case .size: "The message is too large"
        case .address: "An address is wrong"
        case .parameter: "A parameter is not known"
        case .lineEnding: "A line end is wrong"
        case .lineLength: "A line is too long"
        case .storage: "The message can't be stored at the moment"
        case .invalid: "The request is not valid"
        case .idempotencyMismatch: "The idempotency key was used for another request"
        }
    }
}
