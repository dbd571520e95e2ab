/// Why a submission was refused: the stable word that replies, logs and metrics share.
///
/// Raw values are a contract (README, table of reasons). A word that has been released never gets another meaning.
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
    /// An address in To, Cc, Reply-To, Sender, Resent-From or Resent-Sender that SES's parser refuses.
    case headerAddress = "header-address"
    /// A Content-* field of the message or of a part that SES's parser refuses.
    case headerMIME = "header-mime"
    case headerSyntax = "header-syntax"
    case headerRepeated = "header-repeated"
    /// An attached file whose name has an ending that `submission.refused_attachments` lists. By default these are the
    /// endings that SES refuses.
    case attachment
    /// The message has passed through too many servers, or through this one too often.
    case loop
    case rateSecond = "rate-second"
    case rateDay = "rate-day"
    case recipients
    case size
    case address
    /// A parameter of MAIL or RCPT that the relay does not offer.
    case parameter
    case lineEnding = "line-ending"
    case lineLength = "line-length"
    case storage
    /// An option of the message (its tags or its scheduled time) breaks a rule. Over HTTP, this is also the word for
    /// every mistake in a request for which there is no more specific word.
    case invalid
    /// The client has used this idempotency key for a different request.
    case idempotencyMismatch = "idempotency-mismatch"
}

/// A refusal of a login or a message, independent of the protocol. Admission decides on most refusals, the faces (SMTP,
/// HTTP) on a few. Each face has its own reply code for a reason.
public struct Refusal: Error, Hashable, Sendable {
    /// The word for the cause. Each face derives its reply code from this word.
    public var reason: RefusalReason
    /// What is wrong and what to change, in plain ASCII words for the application's owner. It never contains a key, nor
    /// any of the client's bytes that have not been checked.
    public var explanation: String
    /// For limits: how long to wait until another attempt can succeed.
    public var retryAfter: Duration?
    /// For ``RefusalReason/storage``: whether the message may have been stored anyway.
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
    /// The key may send no more emails before the next UTC day.
    public static func dayUsedUp(cap: Int, at now: Timestamp) -> Refusal {
        let wait = now.day.next.start - now
        let minutes = Int((wait.wholeMilliseconds + 59_999) / 60_000)
        return Refusal(
            .rateDay,
            "The API key's limit of \(cap) emails per day is reached, resets at 00:00 UTC, in \(minutes / 60) h \(minutes % 60) min",
            retryAfter: wait)
    }

    /// No day has room for the message. Another attempt can never succeed, so `retryAfter` is nil.
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
            "The batch has \(emails) recipients in total and the API key may send \(cap) emails per day, so it will never fit; send it in several batches on several days, or raise the key's limit per day"
        )
    }

    /// The batch has more emails than the key has left for the day.
    public static func batchBeyondRest(cap: Int, rest: Int, emails: Int, at now: Timestamp) -> Refusal {
        var refusal = dayUsedUp(cap: cap, at: now)
        refusal.explanation =
            "The batch has \(emails) recipients in total and the API key may send \(max(0, rest)) more emails today; send a smaller batch, or send it after 00:00 UTC"
        return refusal
    }

    /// The client has used the idempotency key for a different request.
    public static let idempotencyMismatch = Refusal(
        .idempotencyMismatch,
        "This idempotency key was used for another request within the last 24 hours; use a new key for a new request, or repeat the first request without changes"
    )

    /// The key was deleted, or the relay now uses another database.
    public static let keyGone = Refusal(.keyRevoked, "This API key no longer exists; use another one")
}
