import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import RelayCore
import StrictJSON

/// Why a request is refused: an `application/problem+json` document (RFC 9457).
package struct Problem: Error, Hashable, Sendable {
    /// One mistake of several in a request.
    struct Mistake: Hashable, Sendable {
        /// What to change.
        var detail: String
        /// The place in the request's document.
        var pointer: JSONPointer
    }

    var code: ProblemCode
    var status: HTTPResponse.Status
    /// What to change, as a sentence.
    var detail: String
    var mistakes: [Mistake] = []
    var retryAfter: Duration?
    var authenticate: BearerChallenge?
    /// The methods that the resource supports, if the request has a different one.
    var allow: String?

    init(
        _ code: ProblemCode, _ status: HTTPResponse.Status, _ detail: String, mistakes: [Mistake] = [],
        retryAfter: Duration? = nil, authenticate: BearerChallenge? = nil, allow: String? = nil
    ) {
        self.code = code
        self.status = status
        // The text may quote names from the client's document. One of them may be an API key in the wrong place.
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
    var type: String { "urn:hiveku:relay:problem:\(code.word)" }

    /// A short text. All problems of a type have the same title.
    var title: String { code.title }
}

/// The content of `WWW-Authenticate` (RFC 6750 section 3).
enum BearerChallenge: Hashable, Sendable {
    /// The request had no credentials.
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
    /// Makes the problem for a refusal that Admission returned, with the status for its reason. Mistakes in the
    /// JSON of a request get their status in `SubmissionRequest.swift`.
    ///
    /// - Parameter scope: the scope that the request needs.
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
        // If no day ever allows so many recipients, there is no time at which another attempt can succeed.
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
            .refusal(refusal.reason), status, refusal.explanation + ".", retryAfter: retryAfter,
            authenticate: challenge)
    }

    /// How long a client whose message could not be stored waits before it tries again.
    private static let storageRetry = Duration.seconds(30)

    /// The problem for input that the codec could not read; nil for an error that says nothing about the input.
    init?(unreadable error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            self.init(
                .headerFields, .requestHeaderFieldsTooLarge,
                "The header of the request is longer than \(HTTPPipeline.maximumHeaderSize / 1024) KiB or has more than \(HTTPPipeline.maximumHeaderFields) fields; send fewer or shorter fields."
            )
        case HTTPParserError.invalidEOFState:
            self.init(
                .badRequest, .badRequest, "The connection ended before the request was complete; send it again.")
        case is HTTPParserError, is HTTP1TypeConversionError:
            self.init(
                .badRequest, .badRequest, "The request is not well-formed HTTP/1.1; check the client's HTTP library.")
        default: return nil
        }
    }

    /// The body did not arrive in time.
    static func tooSlow(_ timeouts: HTTPTimeouts) -> Problem {
        let time = timeouts.body.nanoseconds / 1_000_000_000
        return Problem(
            .timeout, .requestTimeout,
            "The body of the request arrived too slowly: it may take \(time) s, and one more second for each \(timeouts.minimumTransferRate) octets. Send it again."
        )
    }

    static let notFound = Problem(
        .notFound, .notFound, "There is nothing at this path; GET /v1/openapi.json describes the API.")

    static func method(allowed: String) -> Problem {
        Problem(
            .methodNotAllowed, .methodNotAllowed, "This path supports only these methods: \(allowed).", allow: allowed)
    }

    static let mediaType = Problem(
        .unsupportedMediaType, .unsupportedMediaType,
        "The body must be JSON: send it with Content-Type: application/json.")

    static let contentCoding = Problem(
        .unsupportedMediaType, .unsupportedMediaType,
        "A compressed body is not accepted; send it without Content-Encoding.")

    static func tooLarge(_ limit: Int) -> Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(limit) octets; send smaller or fewer attachments.")
    }

    static let noCredentials = Problem(
        .refusal(.authRequired), .unauthorized,
        "The request has no API key; send the header 'Authorization: Bearer' with one.", authenticate: .bare)
}
