import AWSClient
import RelayCore
import StrictJSON

/// SES's answer to a request, as it was read from HTTP and JSON.
struct SESAnswer: Sendable, Equatable {
    var status: Int
    /// The error's name without namespace and URI: `MessageRejected`. Nil when the answer has none, such as an answer
    /// of a proxy.
    var errorName: String?
    /// The text for people. It has no control characters, is bounded, and contains no secrets.
    var message = ""
    /// The id in an answer to SendEmail.
    var messageID: String?

    static let messageLimit = 500

    init(status: Int, errorName: String? = nil, message: String = "", messageID: String? = nil) {
        self.status = status
        self.errorName = errorName
        self.message = message
        self.messageID = messageID
    }

    /// `withholding`: texts of the request that the answer may repeat. AWS explains a signature that does not match
    /// with the canonical request, which contains the session token.
    init(_ answer: HTTPAnswer, withholding secrets: [String]) {
        let body = Body(answer.body)
        status = answer.status
        if let name = answer.header("x-amzn-errortype") ?? body.type ?? body.code {
            // Secrets are removed before the name is cut, so that no part of a secret is left. They are removed again
            // afterwards, because dropping blanks could join the parts of a secret.
            errorName = AWSFault.plainName(ForeignText.withholding(secrets, in: name))
                .map { ForeignText.withholding(secrets, in: $0) }
        }
        message = ForeignText.bounded(
            ForeignText.withholding(secrets, in: body.message ?? ""), SESAnswer.messageLimit)
        messageID = body.messageID.flatMap { SESAnswer.isMessageID($0) ? $0 : nil }
    }

    /// An id is written to records and terminals. So it must be visible ASCII, as SES's ids are.
    private static func isMessageID(_ text: String) -> Bool {
        1...256 ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
    }

    private struct Body {
        var messageID: String?
        var type: String?
        var code: String?
        var message: String?

        /// Members of an unexpected type count as missing, because the answer may be from any server.
        init(_ octets: [UInt8]) {
            guard case .object(let document)? = try? JSON(reading: octets) else { return }
            messageID = Body.text(document["MessageId"])
            type = Body.text(document["__type"])
            code = Body.text(document["code"])
            message = Body.text(document["message"]) ?? Body.text(document["Message"])
        }

        private static func text(_ value: JSON?) -> String? {
            if case .string(let text)? = value { text.text } else { nil }
        }
    }
}

/// The consequences of an answer to SendEmail. They depend on nothing but the answer, so this table is complete.
extension SESAnswer {
    var outcome: DeliveryOutcome {
        if 200..<300 ~= status { return acceptance }
        switch kind {
        case .throttled: return .retry(cause("SES accepts no more mail at the moment"), pace: .throttled)
        case .dailyQuota:
            return .laneHeld(
                cause(
                    "The account's sending quota for 24 hours is used up; live mail waits until SES accepts it again"),
                alert: false)
        case .limit: return .retry(cause("A limit of the SES account is reached"), pace: .slow)
        case .paused:
            return .laneHeld(
                cause(
                    "SES has paused sending for this account; see its state in the SES console (Account dashboard, Reputation metrics) and answer the case that AWS opened"
                ), alert: true)
        case .clock:
            return .laneHeld(
                cause("AWS refuses the time of the signature: check this machine's clock and its synchronisation"),
                alert: true)
        case .signature:
            // SES's own text repeats the signed request. It only helps developers of signing code.
            return .laneHeld(
                cause(
                    "AWS does not accept the signature: the secret access key does not belong to the access key id, or this machine's clock is wrong; check both",
                    quoting: false), alert: true)
        case .credentials:
            return .laneHeld(
                cause(
                    "AWS does not accept the credentials: they are unknown, expired or incomplete; renew them ('hiveku-relay doctor' says where the relay finds them)"
                ), alert: true)
        case .denied:
            return .laneHeld(
                cause("The credentials are not allowed to send: allow ses:SendEmail to their user or role in IAM"),
                alert: true)
        case .identityDenied:
            // A missing permission for one key's domain must not hold the mail of all keys. It must not make the
            // message fail either, however long the permission is missing.
            return .retry(
                cause(
                    "The credentials are not allowed to send as this sender: allow ses:SendEmail for the sender's identity in IAM, or verify that identity in this account"
                ), pace: .patient)
        case .notVerified:
            if let unverifiable {
                return .failed(
                    cause(
                        "\(unverifiable.identity) can't be verified with SES: \(unverifiable.obstacle); change it in the application"
                    ))
            }
            return .failed(
                cause(
                    "SES has not verified an address of this message. If it is the sender's, verify it or its domain in the region that ses.region names. If it is a recipient's, the account is in the sandbox: verify the recipient too, or leave the sandbox. Then run 'hiveku-relay messages retry ID'"
                ))
        case .mailFromDomain:
            return .failed(
                cause(
                    "The custom MAIL FROM domain of the identity is not verified: correct its MX record or let SES fall back to its own domain, then run 'hiveku-relay messages retry ID'"
                ))
        case .notFound:
            return .failed(
                cause(
                    "SES does not find the configuration set, or another resource that the relay's settings name: check ses.configuration_set, ses.region and ses.endpoint, restart the relay after a change, then run 'hiveku-relay messages retry ID'"
                ))
        case .rejected:
            return .failed(
                cause(
                    "SES refuses this message. A retry would send it unchanged: correct the message in the application, and send it from there again"
                ))
        case .redirect:
            return .retry(
                cause("The endpoint answers with a redirect, which SES never does: check ses.endpoint"), pace: .normal)
        case .foreign:
            return .retry(
                cause(
                    "The answer is not from SES: check ses.endpoint, and any proxies on the way to it"
                ), pace: .normal)
        case .interrupted: return .retry(cause("SES did not get the whole request"), pace: .normal)
        case .serverError:
            return .retry(
                cause(
                    "SES could not finish the request, and may or may not have taken the message",
                    mayHaveBeenTaken: true),
                pace: .normal)
        }
    }

    /// Whether other credentials could change the answer.
    var refusesCredentials: Bool {
        guard !(200..<300 ~= status) else { return false }
        switch kind {
        case .signature, .credentials, .denied, .identityDenied: return true
        default: return false
        }
    }

    /// An identity that is not verified and never can be, and the reason.
    private var unverifiable: (identity: String, obstacle: String)? {
        unverifiedIdentities?.lazy.compactMap { identity in
            let address = String(identity.split(separator: "<").last ?? "").filter { $0 != ">" }
            return SenderIdentity.obstacle(to: address).map { (address, $0) }
        }.first
    }

    private var acceptance: DeliveryOutcome {
        if let messageID { return .sent(sesMessageID: messageID) }
        return .retry(
            DeliveryOutcome.Cause(
                "unreadable-answer", "SES reported success, but without a valid message id",
                mayHaveBeenTaken: true), pace: .normal)
    }

    enum Kind {
        case throttled, dailyQuota, limit, paused
        case clock, signature, credentials, denied, identityDenied
        case notVerified, mailFromDomain, notFound, rejected
        case redirect, foreign, interrupted, serverError
    }

    var kind: Kind {
        switch errorName {
        case "LimitExceededException", "LimitExceeded":
            return limitByWords ?? .limit
        case "SendingPausedException", "AccountSuspendedException", "AccountSendingPausedException",
            "ConfigurationSetSendingPausedException":
            return .paused
        case "MessageRejected", "MessageRejectedException":
            return rejectionByWords ?? .rejected
        case "MailFromDomainNotVerifiedException":
            return .mailFromDomain
        case "NotFoundException", "ConfigurationSetDoesNotExistException", "ConfigurationSetDoesNotExist":
            return .notFound
        case "BadRequestException":
            return .rejected
        default: break
        }
        switch AWSFault(name: errorName, message: message) {
        case .throttled: return limitByWords ?? .throttled
        case .clock: return .clock
        case .signature: return .signature
        case .credentials: return .credentials
        case .denied: return says(":identity/") ? .identityDenied : .denied
        case .interrupted: return .interrupted
        case .unknownOperation: return .foreign
        case nil: return kindByStatus
        }
    }

    /// For error names that the relay does not know, and for answers without a name.
    private var kindByStatus: Kind {
        switch status {
        case 100..<400: .redirect
        // With such a status, SES refuses every message. If messages failed because of it, a mistake in the account
        // would lose mail.
        case 401, 403, 407: .denied
        case 408: .interrupted
        // This is a limit of a proxy. Another try would not change it.
        case 413: .rejected
        case 429: limitByWords ?? .throttled
        // When SES refuses a message, it names the reason. An answer without a name is not from SES and says nothing
        // about the message.
        case 400..<500: limitInFirstWords ?? (errorName == nil ? .foreign : .rejected)
        default: .serverError
        }
    }

    /// SES uses one error name for different limits. Only the text tells them apart.
    private var limitByWords: Kind? {
        if says("daily message quota exceeded") { return .dailyQuota }
        return says("maximum sending rate exceeded") ? .throttled : nil
    }

    /// The limit that the beginning of the text names. The rest of the text may contain foreign words, such as a quoted
    /// address, and these must not decide on the lane.
    private var limitInFirstWords: Kind? {
        if begins("daily message quota exceeded") { return .dailyQuota }
        return begins("maximum sending rate exceeded") ? .throttled : nil
    }

    private var rejectionByWords: Kind? {
        if let limit = limitInFirstWords { return limit }
        if begins("sending paused for this account") || begins("sending suspended for this account") { return .paused }
        return says("email address is not verified") ? .notVerified : nil
    }

    private func says(_ words: String) -> Bool { message.lowercased().contains(words) }

    private func begins(_ words: String) -> Bool { message.lowercased().hasPrefix(words) }

    private func cause(
        _ explanation: String, quoting: Bool = true, mayHaveBeenTaken: Bool = false
    ) -> DeliveryOutcome.Cause {
        let said = !quoting || message.isEmpty ? "HTTP status \(status)" : "SES says: \(message)"
        return DeliveryOutcome.Cause(
            errorName ?? "http-\(status)", "\(explanation) (\(said))", mayHaveBeenTaken: mayHaveBeenTaken)
    }
}

extension DeliveryOutcome {
    /// The outcome when there is no answer.
    init(_ failure: ExchangeFailure, stage: UploadProgress.Stage) {
        let mayHaveBeenTaken = stage == .handedOver
        let word: String
        let explanation: String
        switch (failure, stage) {
        case (.timedOut, .notBegun):
            (word, explanation) = ("timeout", "The connection to SES took too long")
        case (.timedOut, _):
            (word, explanation) = ("timeout", "SES did not answer in time")
        case (.cancelled, _):
            (word, explanation) = ("interrupted", "The relay was stopped before SES answered")
        case (.broken(let why), .notBegun):
            (word, explanation) = ("connection-failed", "No connection to SES: \(why)")
        case (.broken(let why), _):
            (word, explanation) = ("connection-lost", "The connection to SES was lost: \(why)")
        case (.tooLong, _):
            (word, explanation) = ("unreadable-answer", "SES gave an answer that is too long")
        case (.body(.unreadable(let why)), _):
            (word, explanation) = (
                "body-unreadable",
                "The stored message can't be read; check the disk of the database: \(ForeignText.bounded(why, 300))"
            )
        case (.body(.wrongSize), _):
            (word, explanation) = (
                "body-unreadable",
                "The size of the stored message differs from the recorded size; check the disk of the database"
            )
        }
        self = .retry(Cause(word, explanation, mayHaveBeenTaken: mayHaveBeenTaken), pace: .normal)
    }
}
