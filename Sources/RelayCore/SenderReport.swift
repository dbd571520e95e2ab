/// Whether the senders of messages are told about failures by mail (RFC 3461).
public enum SenderReports: Hashable, Sendable {
    case off
    /// About deliveries that failed or were suppressed in the relay.
    case ofFailures
    /// Also about bounces that SES reports.
    case ofFailuresAndEvents
}

/// A recipient that a message did not reach, and whose sender has not been told yet.
public struct UndeliveredRecipient: Hashable, Sendable {
    /// The address of the recipient, as in the envelope.
    public var address: String
    /// When the event of `kind` happened.
    public var at: Timestamp
    /// `failed`, `suppressed`, `bounced` or `rejected`.
    public var kind: EventKind
    /// The reason, in one line.
    public var reason: String?
    /// What the receiving server said, if a server was the cause.
    public var diagnostic: String?

    public init(address: String, at: Timestamp, kind: EventKind, reason: String?, diagnostic: String? = nil) {
        self.address = address
        self.at = at
        self.kind = kind
        self.reason = reason
        self.diagnostic = diagnostic
    }
}

/// A report that is due.
public struct DueSenderReport: Sendable {
    /// The message that failed. The report goes to its envelope sender.
    public var message: MessageRecord
    /// The recipients in the order of the envelope; at least one.
    public var recipients: [UndeliveredRecipient]

    public init(message: MessageRecord, recipients: [UndeliveredRecipient]) {
        self.message = message
        self.recipients = recipients
    }

    /// A report waits until all deliveries of its message have ended, so that there is one report for all recipients;
    /// but it waits no longer than this.
    public static let longestWait = Duration.seconds(3600)
    /// Failures within this time of each other are put into one report.
    public static let shortestWait = Duration.seconds(2)
}

/// What happened to a report that was to be queued.
public enum SenderReportAcceptance: Hashable, Sendable {
    case accepted
    /// Another process has told the sender about one of the recipients: check again which reports are due.
    case overtaken
    /// There is no space for it.
    case refused(Refusal)
}

/// What senders are still to be told. The transaction that records the failure adds the row, so no failure is
/// forgotten.
///
/// There are no reports for a null reverse-path, for a message that is itself an automatic reply or a report
/// (``Submission/isAutomatic``), or for messages that an operator dropped.
public protocol SenderReportStore: Sendable {
    /// May change at any time. While it is `off`, nothing is recorded.
    var senderReports: SenderReports { get nonmutating set }
    /// The due reports, at most `limit`, oldest first.
    func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport]
    /// When the next report becomes due; nil if none waits.
    func nextSenderReport() async throws -> Timestamp?
    /// Queues a report and removes its recipients' rows, in one transaction, so each failure is reported once. The
    /// report counts for no key's rate, cap or usage. Nothing is stored if another process was faster.
    func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance
    /// Removes the rows of recipients whose failure is not to be reported to any sender.
    func forgetSenderReport(of message: MessageID, recipients: [String]) async throws
}
