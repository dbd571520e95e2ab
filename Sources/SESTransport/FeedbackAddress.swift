import RelayCore

/// The address to which SES reports bounces: the envelope's sender, if it can be an identity and SES has not refused
/// it.
struct FeedbackAddress: Hashable, Sendable {
    /// The value of FeedbackForwardingEmailAddress. Nil when it is left out. SES then reports to the From address.
    var address: String?
    /// The note for the record when the envelope's sender was left out.
    var note: String?

    init(of envelope: Envelope, refused: RefusedSenders, at now: MonotonicTime) {
        // For the null reverse-path there must be no reports.
        guard let sender = envelope.reversePath else { return }
        if let obstacle = SenderIdentity.obstacle(to: sender) {
            note = SenderIdentity.note(unfit: sender, because: obstacle)
        } else if refused.contains(sender, at: now) {
            self = FeedbackAddress(unverified: sender)
        } else {
            address = sender
        }
    }

    /// The note on a sender that SES has refused as not verified.
    init(unverified sender: String) {
        note =
            "SES reports bounces to the From address, as it has not verified the envelope sender \(sender); verify that "
            + "address or its domain in SES, in the region of ses.region, or give the application an envelope sender "
            + "(Return-Path) at a domain that SES has verified"
    }
}

/// The senders that SES has refused as not verified within the last hour. Requests leave them out, so that they are not
/// tried again for each message.
struct RefusedSenders: Sendable {
    private var until: [String: MonotonicTime] = [:]

    static let memory = Duration.seconds(3600)
    static let limit = 1000

    func contains(_ sender: String, at now: MonotonicTime) -> Bool { until[sender].map { now < $0 } ?? false }

    mutating func insert(_ sender: String, at now: MonotonicTime) {
        if until.count >= RefusedSenders.limit, until[sender] == nil {
            until = until.filter { now < $0.value }
            // The list is full, so any sender is removed. If that sender is tried too early, this costs only a call.
            if until.count >= RefusedSenders.limit, let any = until.keys.first { until[any] = nil }
        }
        until[sender] = now + RefusedSenders.memory
    }
}

extension SESAnswer {
    /// The identities that SES names in a refusal as not verified. Nil if it names none, or if the text was cut off and
    /// may not name all of them.
    ///
    /// "Email address is not verified. The following identities failed the check in region EU-WEST-1: Ann <a@b>, c@d"
    var unverifiedIdentities: [String]? {
        let mark = "identities failed the check in region"
        guard !message.hasSuffix("…"), let start = message.firstRange(of: mark)?.upperBound,
            let colon = message[start...].firstIndex(of: ":")
        else { return nil }
        let names = message[message.index(after: colon)...].split(separator: ",").compactMap { part -> String? in
            let name = part.drop { $0 == " " }.reversed().drop { $0 == " " || $0 == "." }.reversed()
            return name.isEmpty ? nil : String(name)
        }
        return names.isEmpty ? nil : names
    }

    /// Whether the refusal may concern this sender: it names the sender or its domain, or it does not say what it
    /// concerns.
    func mayRefuse(_ sender: String) -> Bool {
        guard let identities = unverifiedIdentities else { return true }
        let sender = sender.lowercased()
        let domain = sender.split(separator: "@").last.map(String.init) ?? sender
        return identities.contains { identity in
            let identity = identity.lowercased()
            return identity == sender || identity == domain || identity.hasSuffix("<\(sender)>")
                || identity.hasSuffix("/\(sender)") || identity.hasSuffix("/\(domain)")
        }
    }
}
