/// The meaning of an error name that every AWS service can return.
package enum AWSFault: Hashable, Sendable {
    /// Too many requests at once.
    case throttled
    /// The time of the signature was refused.
    case clock
    /// The secret does not belong to the id, or the request was changed in transit.
    case signature
    /// The credentials are unknown, expired or incomplete.
    case credentials
    /// The credentials are valid but lack the permission for this request.
    case denied
    /// The request did not arrive completely.
    case interrupted
    /// The service does not know the operation.
    case unknownOperation

    /// Returns nil for a name that only one service uses.
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

    /// The name without namespace and URI. `com.amazonaws.sesv2#NotFoundException` and
    /// `NotFoundException:http://internal.amazon.com/…` both mean `NotFoundException`.
    package static func plainName(_ text: String) -> String? {
        let name = text.prefix { $0 != ":" }.split(separator: "#").last ?? ""
        let plain = ForeignText.bounded(name.filter { !$0.isWhitespace }, 100)
        return plain.isEmpty ? nil : plain
    }
}
