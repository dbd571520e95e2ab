/// Why a submission was refused: the stable word that replies, logs and metrics share.
///
/// Raw values are a contract (README, table of reasons); a word once released is never given another meaning.
public enum RefusalReason: String, CaseIterable, Sendable, Hashable {
    case tlsRequired = "tls-required"
    case authRequired = "auth-required"
    case keyUnknown = "key-unknown"
    case keyMalformed = "key-malformed"
    case keyRevoked = "key-revoked"
    case keyExpired = "key-expired"
    case scope
    case network
    case authThrottled = "auth-throttled"
    case senderDomain = "sender-domain"
    case headerDomain = "header-domain"
    case headerFrom = "header-from"
    /// To, Cc, Reply-To or Sender that SES's parser refuses.
    case headerAddress = "header-address"
    /// A Content-* field, of the message or of a part, that SES's parser refuses.
    case headerMIME = "header-mime"
    case headerSyntax = "header-syntax"
    case headerRepeated = "header-repeated"
    /// A file that SES refuses for the ending of its name.
    case attachment
    /// The message has passed through too many servers, or through this one too often.
    case loop
    case rateSecond = "rate-second"
    case rateDay = "rate-day"
    case recipients
    case size
    case address
    /// A parameter of MAIL or RCPT that is not offered.
    case parameter
    case lineEnding = "line-ending"
    case lineLength = "line-length"
    case storage
    /// What the client asks for with the message breaks a rule of its own: tags, a time.
    case invalid
    /// An idempotency key that the client has used for another request.
    case idempotencyMismatch = "idempotency-mismatch"
}

/// A refusal as admission decides it, without any SMTP in it: each face (SMTP, later HTTP) has its own code for a reason.
public struct Refusal: Error, Hashable, Sendable {
    public var reason: RefusalReason
    /// What is wrong and what to change, in plain ASCII words for the application's owner. Never holds a key, and no bytes
    /// of the client's that were not checked before.
    public var explanation: String
    /// For limits: how long until another try can succeed.
    public var retryAfter: Duration?
    /// For ``RefusalReason/storage``: whether the message may have been stored all the same.
    public var isInDoubt: Bool

    public init(
        _ reason: RefusalReason, _ explanation: String, retryAfter: Duration? = nil, isInDoubt: Bool = false
    ) {
        self.reason = reason
        self.explanation = explanation
        self.retryAfter = retryAfter
        self.isInDoubt = isInDoubt
    }
}

extension Refusal {
    /// The key may send no more before the next UTC day.
    public static func dayUsedUp(cap: Int, at now: Timestamp) -> Refusal {
        let wait = now.day.next.start - now
        let minutes = Int((wait.wholeMilliseconds + 59_999) / 60_000)
        return Refusal(
            .rateDay,
            "The API key's limit of \(cap) emails per day is reached, resets at 00:00 UTC, in \(minutes / 60) h \(minutes % 60) min",
            retryAfter: wait)
    }

    /// No day has room for the message: another try can never succeed, so there is no time to wait for.
    public static func beyondDay(cap: Int, recipients: Int) -> Refusal {
        Refusal(
            .rateDay,
            "The message has \(recipients) recipients and the API key may send \(cap) emails per day, so it will never fit; send it in several messages on several days, or raise the key's limit per day"
        )
    }

    /// No day has room for the batch.
    public static func batchBeyondDay(cap: Int, emails: Int) -> Refusal {
        Refusal(
            .rateDay,
            "The batch has \(emails) recipients in all and the API key may send \(cap) emails per day, so it will never fit; send it in several batches on several days, or raise the key's limit per day"
        )
    }

    /// The batch has more emails than are left of the key's day.
    public static func batchBeyondRest(cap: Int, rest: Int, emails: Int, at now: Timestamp) -> Refusal {
        var refusal = dayUsedUp(cap: cap, at: now)
        refusal.explanation =
            "The batch has \(emails) recipients in all and the API key may send \(max(0, rest)) more emails today; send a smaller batch, or send it after 00:00 UTC"
        return refusal
    }

    /// An idempotency key is good for one request.
    public static let idempotencyMismatch = Refusal(
        .idempotencyMismatch,
        "This idempotency key was used for another request within the last 24 hours; use a new key for a new request, or repeat the first request without changes"
    )

    /// The key was deleted, or its database is another one.
    public static let keyGone = Refusal(.keyRevoked, "This API key no longer exists; use another one")
}
