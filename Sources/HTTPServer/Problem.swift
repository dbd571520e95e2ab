import HTTPTypes
import NIOHTTP1
import NIOHTTPTypesHTTP1
import RelayCore
import StrictJSON

/// Why a request is refused: an `application/problem+json` document (RFC 9457).
struct Problem: Error, Hashable, Sendable {
    /// One mistake of several in a request.
    struct Mistake: Hashable, Sendable {
        /// What to change.
        var detail: String
        /// The place in the request's document.
        var pointer: JSONPointer
    }

    /// A stable word: a reason that SMTP has too, or one of HTTP's own.
    var code: String
    var status: HTTPResponse.Status
    /// What to change, in a sentence.
    var detail: String
    var mistakes: [Mistake] = []
    var retryAfter: Duration?
    var authenticate: BearerChallenge?
    /// The methods that the resource knows, where the request has another.
    var allow: String?

    init(
        _ code: String, _ status: HTTPResponse.Status, _ detail: String, mistakes: [Mistake] = [],
        retryAfter: Duration? = nil, authenticate: BearerChallenge? = nil, allow: String? = nil
    ) {
        self.code = code
        self.status = status
        // The names in it are the client's, and one may be a key that was pasted into the wrong place.
        self.detail = LikelySecret.withheld(in: detail)
        self.mistakes = mistakes.map { mistake in
            Mistake(
                detail: LikelySecret.withheld(in: mistake.detail),
                pointer: JSONPointer(mistake.pointer.tokens.map(LikelySecret.withheld)))
        }
        self.retryAfter = retryAfter
        self.authenticate = authenticate
        self.allow = allow
    }

    /// A URI that names the reason (RFC 9457 section 3.1.1).
    var type: String { "urn:hiveku:relay:problem:\(code)" }

    /// The same for all problems of a type.
    var title: String { ProblemTitle.text(of: code) }
}

/// What `WWW-Authenticate` says (RFC 6750 section 3).
enum BearerChallenge: Hashable, Sendable {
    /// There were no credentials.
    case bare
    case invalidToken
    case insufficientScope(Scope)

    var value: String {
        let realm = "Bearer realm=\"hiveku-relay\""
        return switch self {
        case .bare: realm
        case .invalidToken: realm + ", error=\"invalid_token\""
        case .insufficientScope(let scope):
            realm + ", error=\"insufficient_scope\", scope=\"\(scope.rawValue)\""
        }
    }
}

extension Problem {
    /// A refusal of admission's in HTTP's terms: the table of statuses, in one place.
    ///
    /// - Parameter scope: what the key was to be used for.
    init(_ refusal: Refusal, scope: Scope) {
        let status: HTTPResponse.Status
        var challenge: BearerChallenge?
        var retryAfter = refusal.retryAfter
        switch refusal.reason {
        case .authRequired, .tlsRequired:
            status = .unauthorized
            challenge = .bare
        case .keyUnknown, .keyMalformed, .keyRevoked, .keyExpired:
            status = .unauthorized
            challenge = .invalidToken
        case .scope:
            status = .forbidden
            challenge = .insufficientScope(scope)
        case .network, .senderDomain, .headerDomain: status = .forbidden
        // For more recipients than any day allows there is no time at which another try can succeed.
        case .rateDay where refusal.retryAfter == nil: status = .unprocessableContent
        case .authThrottled, .rateSecond, .rateDay: status = .tooManyRequests
        case .size: status = .contentTooLarge
        case .headerFrom, .headerAddress, .headerMIME, .headerSyntax, .headerRepeated, .attachment, .loop, .recipients,
            .address, .parameter, .lineEnding, .lineLength, .invalid, .idempotencyMismatch:
            status = .unprocessableContent
        case .storage:
            status = .serviceUnavailable
            retryAfter = retryAfter ?? Problem.storageRetry
        }
        self.init(
            refusal.reason.rawValue, status, refusal.explanation + ".", retryAfter: retryAfter,
            authenticate: challenge)
    }

    /// When a client may try again whose message could not be stored.
    private static let storageRetry = Duration.seconds(30)

    /// What the codec could not read; nil for an error that says nothing about what came.
    init?(unreadable error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            self.init(
                "header-fields", .requestHeaderFieldsTooLarge,
                "The header of the request is longer than 32 KiB; send fewer or shorter fields.")
        case is HTTPParserError, is HTTP1TypeConversionError:
            self.init(
                "bad-request", .badRequest, "The request is not well-formed HTTP/1.1; check the client's HTTP library.")
        default: return nil
        }
    }

    static let tooSlow = Problem(
        "timeout", .requestTimeout,
        "The body of the request came too slowly: it has 60 s, and a second more for each 500 octets. Send it again.")

    static let notFound = Problem(
        "not-found", .notFound, "There is nothing at this path; GET /v1/openapi.json describes what there is.")

    static func method(allowed: String) -> Problem {
        Problem(
            "method-not-allowed", .methodNotAllowed, "This path knows other methods: \(allowed).", allow: allowed)
    }

    static let mediaType = Problem(
        "unsupported-media-type", .unsupportedMediaType,
        "The body must be JSON: send it with Content-Type: application/json.")

    static let contentCoding = Problem(
        "unsupported-media-type", .unsupportedMediaType,
        "A compressed body is not taken; send it without Content-Encoding.")

    static func tooLarge(_ limit: Int) -> Problem {
        Problem(
            RefusalReason.size.rawValue, .contentTooLarge,
            "The body of the request is over the limit of \(limit) octets; send smaller or fewer attachments.")
    }

    static let noCredentials = Problem(
        RefusalReason.authRequired.rawValue, .unauthorized,
        "The request has no API key; send the header 'Authorization: Bearer' with one.", authenticate: .bare)
}

/// Titles of problems.
private enum ProblemTitle {
    static func text(of code: String) -> String {
        if let reason = RefusalReason(rawValue: code) { return text(of: reason) }
        return switch code {
        case "bad-request": "The request is not HTTP"
        case "header-fields": "The request's header is too long"
        case "timeout": "The request came too slowly"
        case "not-found": "There is nothing here"
        case "method-not-allowed": "The method is not known here"
        case "unsupported-media-type": "The body's type is not taken"
        case "conflict": "The message is on its way"
        default: "The request is refused"
        }
    }

    private static func text(of reason: RefusalReason) -> String {
        switch reason {
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
        case .attachment: "An attachment is not taken"
        case .loop: "The message goes in circles"
        case .rateSecond: "The limit per second is reached"
        case .rateDay: "The limit per day is reached"
        case .recipients: "The recipients are too many or too few"
        case .size: "The message is too large"
        case .address: "An address is wrong"
        case .parameter: "A parameter is not known"
        case .lineEnding: "A line end is wrong"
        case .lineLength: "A line is too long"
        case .storage: "The message can't be stored just now"
        case .invalid: "The request is not valid"
        case .idempotencyMismatch: "The idempotency key was used for another request"
        }
    }
}
