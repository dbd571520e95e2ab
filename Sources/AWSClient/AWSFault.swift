/// What an error's name says that every service of AWS may answer with.
package enum AWSFault: Hashable, Sendable {
    /// Too much at once.
    case throttled
    /// The time of the signature is refused.
    case clock
    /// The secret does not belong to the id, or the request was changed on the way.
    case signature
    /// Unknown, expired or incomplete.
    case credentials
    /// The credentials are good, but may not do this.
    case denied
    /// The request did not come to its end.
    case interrupted
    /// The service does not know what is asked.
    case unknownOperation

    /// Nil for a name that belongs to one service.
    package init?(name: String?, message: String) {
        switch name {
        case "TooManyRequestsException", "ThrottlingException", "Throttling", "ThrottledException",
            "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "SlowDown":
            self = .throttled
        case "RequestTimeTooSkewed", "RequestExpired":
            self = .clock
        case "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
            "IncompleteSignatureException":
            let words = message.lowercased()
            let isAboutTime = words.contains("signature expired") || words.contains("signature not yet current")
            self = isAboutTime ? .clock : .signature
        case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidClientTokenIdException",
            "InvalidAccessKeyId", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidTokenException",
            "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized", "AuthFailure",
            "OptInRequired", "SubscriptionRequiredException":
            self = .credentials
        case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
            self = .denied
        case "RequestTimeout", "RequestTimeoutException", "RequestAborted", "RequestAbortedException":
            self = .interrupted
        case "UnknownOperationException", "UnknownOperation":
            self = .unknownOperation
        default: return nil
        }
    }

    /// Whether other credentials could change the answer.
    package var refusesCredentials: Bool {
        switch self {
        case .signature, .credentials, .denied: true
        case .throttled, .clock, .interrupted, .unknownOperation: false
        }
    }

    /// `com.amazonaws.sesv2#NotFoundException` and `NotFoundException:http://internal.amazon.com/…` mean `NotFoundException`.
    package static func plainName(_ text: String) -> String? {
        let name = text.prefix { $0 != ":" }.split(separator: "#").last ?? ""
        let plain = Words.bounded(name.filter { !$0.isWhitespace }, 100)
        return plain.isEmpty ? nil : plain
    }
}
