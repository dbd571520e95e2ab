import RelayCore
import SMTP

/// The stage of the session at which the relay refuses. The same reason has different codes at different stages.
enum RefusalStage {
    case authentication
    /// At MAIL, RCPT or DATA.
    case envelope
    /// At the end of data.
    case content
}

extension Reply {
    /// The reply to a refusal. `SMTP/Reply.swift` and `Command.swift` have the replies that the session decides itself.
    init(_ refusal: Refusal, at stage: RefusalStage) {
        let code: UInt16
        let status: EnhancedStatus
        switch refusal.reason {
        case .tlsRequired, .authRequired:
            (code, status) = (530, EnhancedStatus(7, 0))
        case .keyMalformed:
            (code, status) = (535, EnhancedStatus(7, 8))
        // Outside AUTH, these reasons occur when the key was changed, or got a new secret, during the session.
        case .keyRevoked, .keyExpired, .keyUnknown, .scope, .network:
            switch stage {
            case .authentication: (code, status) = (535, EnhancedStatus(7, 8))
            case .envelope: (code, status) = (530, EnhancedStatus(7, 0))
            case .content: (code, status) = (550, EnhancedStatus(7, 1))
            }
        // The connection is then closed with 421 (``init(closing:)``).
        case .authThrottled: (code, status) = (454, EnhancedStatus(7, 0))
        case .senderDomain: (code, status) = (553, EnhancedStatus(7, 1))
        case .headerDomain: (code, status) = (550, EnhancedStatus(7, 1))
        case .headerFrom, .headerAddress, .headerMIME, .headerSyntax, .headerRepeated, .invalid:
            (code, status) = (550, EnhancedStatus(6, 0))
        case .attachment: (code, status) = (550, EnhancedStatus(7, 1))
        case .loop: (code, status) = (554, EnhancedStatus(4, 6))
        // The message has more recipients than any day allows, so no later try can succeed.
        case .rateDay where refusal.retryAfter == nil: (code, status) = (550, EnhancedStatus(7, 1))
        case .rateSecond, .rateDay: (code, status) = (451, EnhancedStatus(7, 1))
        case .recipients: (code, status) = (452, EnhancedStatus(5, 3))
        case .size: (code, status) = (552, EnhancedStatus(3, 4))
        case .address: (code, status) = (501, EnhancedStatus(1, 3))
        case .parameter: (code, status) = (555, EnhancedStatus(5, 4))
        case .lineEnding, .lineLength: (code, status) = (550, EnhancedStatus(6, 11))
        // Only a request over HTTP has an idempotency key that is tied to its content. If this reason ever occurs over
        // SMTP, the client must send other content or another idempotency key.
        case .idempotencyMismatch: (code, status) = (554, EnhancedStatus(5, 0))
        case .storage:
            switch stage {
            // RFC 4954 section 6: the authentication itself failed temporarily.
            case .authentication: (code, status) = (454, EnhancedStatus(7, 0))
            // If the message may have been stored anyway, the cause is not a lack of space.
            case .envelope, .content:
                (code, status) = refusal.isInDoubt ? (451, EnhancedStatus(3, 0)) : (452, EnhancedStatus(3, 1))
            }
        }
        self.init(code, status, refusal.explanation, reason: refusal.reason.rawValue)
    }
}

extension Reply {
    /// The last reply on a connection that is closed because of `refusal` (RFC 5321 section 3.8).
    init(closing refusal: Refusal) {
        self.init(421, EnhancedStatus(7, 0), refusal.explanation, reason: refusal.reason.rawValue)
    }
}

extension Refusal {
    init(_ defect: DataDecoder.Defect) {
        let sentence =
            switch defect {
            case .bareCarriageReturn: "The message holds a CR without LF; end all lines with CRLF"
            case .bareLineFeed: "The message holds an LF without CR; end all lines with CRLF"
            case .null:
                "The message holds a NUL octet, which no mail may hold; remove it, or send binary data as a base64 attachment"
            }
        self.init(.lineEnding, sentence)
    }
}
