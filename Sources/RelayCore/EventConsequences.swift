/// What a store knows about a message when an event about one of its recipients is recorded.
public struct MessageFacts: Sendable {
    public var id: MessageID
    /// The key that the message was sent with.
    public var key: KeyID
    /// The environment of that key: test or live. A suppression that follows applies to this environment.
    public var environment: Environment
    /// The envelope sender; nil for the null reverse-path.
    public var reversePath: String?
    /// The message's `Submission.subject`; nil if it has none.
    public var subject: String?
    /// The message's `Submission.tags`; empty if it has none.
    public var tags: [String]
    /// The message's `Submission.isAutomatic`. If true, its sender gets no report by mail.
    public var isAutomatic: Bool
    /// The template that the message was made from, with its version; nil: none.
    public var template: TemplateReference?

    public init(
        id: MessageID, key: KeyID, environment: Environment, reversePath: String?, subject: String?, tags: [String],
        isAutomatic: Bool, template: TemplateReference? = nil
    ) {
        self.id = id
        self.key = key
        self.environment = environment
        self.reversePath = reversePath
        self.subject = subject
        self.tags = tags
        self.isAutomatic = isAutomatic
        self.template = template
    }

    /// The names under which the message's recipients are counted. Empty for most messages.
    public var statisticsNames: [(kind: StatisticsKind, name: String)] {
        (template.map { [(.template, $0.id.text)] } ?? []) + tags.map { (.tag, $0) }
    }

    /// Whether the sender may be told about failures by mail.
    var tellsSender: Bool { reversePath != nil && !isAutomatic }
}

/// The consequences of an event, apart from the event's own record. They are decided here for every store. The store
/// writes them in the transaction that records the event.
public struct EventConsequences: Sendable {
    /// The entry to add to the list of suppressions; nil if mail may still be sent to the recipient.
    public let suppression: Suppression?
    /// What to report to the sender; nil if there is nothing to report.
    public let undelivered: UndeliveredRecipient?

    /// - Parameter recipient: the address as in the envelope.
    public init(
        of event: RecipientEvent, recipient: String, _ message: MessageFacts, reports: SenderReports, now: Timestamp
    ) {
        suppression = event.suppressionReason.map { reason in
            Suppression(
                environment: message.environment, address: recipient, reason: reason, createdAt: now,
                message: message.id, note: event.sentence)
        }
        undelivered =
            message.tellsSender && event.isTold(by: reports)
            ? UndeliveredRecipient(
                address: recipient, at: event.at, kind: event.kind, reason: event.sentence,
                diagnostic: event.detail.server == nil && event.kind != .bounced ? nil : event.detail.diagnostic)
            : nil
    }
}

extension RecipientEvent {
    /// Whether the sender is told about the event by mail.
    fileprivate func isTold(by reports: SenderReports) -> Bool {
        switch kind {
        case .failed: reports != .off && detail.diagnostic != droppedReason
        case .suppressed: reports != .off
        case .bounced, .rejected: reports == .ofFailuresAndEvents
        case .queued, .scheduled, .sent, .delivered, .delayed, .complained, .cancelled: false
        }
    }
}

extension DeliveryChange {
    /// The event that follows from the change, for webhooks and for reports to senders; nil if there is none.
    public func event(at now: Timestamp) -> RecipientEvent? {
        var detail = RecipientEvent.Detail()
        if case .set(let text) = reason { detail.diagnostic = text }
        switch state {
        case .sent, .simulated: return RecipientEvent(.sent, at: now, detail)
        case .failed: return RecipientEvent(.failed, at: now, detail)
        case .queued, .sending, .held, .cancelled, .suppressed: return nil
        }
    }

    /// The change for a delivery whose recipients are all suppressed.
    public init(suppressedAt now: Timestamp) {
        self.init(
            .suppressed,
            .set(
                "suppressed: every recipient is on the list of suppressions; 'hiveku-relay suppressions list --search ADDRESS' shows why"
            ),
            at: now)
    }
}

extension Suppression {
    /// The event for a recipient whose copy is withheld because of this entry.
    public func event(at now: Timestamp) -> RecipientEvent {
        RecipientEvent(
            .suppressed, at: now,
            .init(subtype: reason.rawValue, diagnostic: "on the list of suppressions since \(createdAt.rfc3339)"))
    }
}

extension FeedbackReport {
    /// The recipient of the envelope that the report is about; nil if there is none.
    ///
    /// Upper and lower case may have changed on the way. If the message has one recipient, the report can only be about
    /// this recipient, even if it names another address: some receivers put another address of the same mailbox into a
    /// complaint.
    public func recipient(among recipients: [String]) -> String? {
        if recipients.contains(recipient) { return recipient }
        let key = Suppression.matchKey(recipient)
        return recipients.first { Suppression.matchKey($0) == key } ?? (recipients.count == 1 ? recipients[0] : nil)
    }
}
