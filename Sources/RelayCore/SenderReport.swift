/// Whether the senders of messages are told about failures by mail (RFC 3461).
public enum SenderReports: Hashable, Sendable {
    case off
    /// Senders are told about deliveries that failed or were suppressed in the relay.
    case ofFailures
    /// Senders are also told about bounces and rejections that SES reports.
    case ofFailuresAndEvents
}

/// A recipient that a message did not reach. The message's sender has not been told so yet.
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

    /// A report waits while a delivery of its message is queued or being sent, so that there is one report for all
    /// recipients. It waits no longer than this.
    public static let longestWait = Duration.seconds(3600)
    /// A report waits at least this long after the last failure, so that failures in quick succession are put into one
    /// report.
    public static let shortestWait = Duration.seconds(2)
}

/// What happened to a report that was to be queued.
public enum SenderReportAcceptance: Hashable, Sendable {
    case accepted
    /// Another process has told the sender about one of the recipients: check again which reports are due.
    case overtaken
    /// There is no space for the report.
    case refused(Refusal)
}

/// Stores the failures that senders have not been told about yet. The transaction that records a failure also adds its
/// row here, so no failure is forgotten.
///
/// There are no reports for a null reverse-path, for a message that is itself an automatic reply or a report
/// (``Submission/isAutomatic``), or for messages that an operator dropped.
public protocol SenderReportStore: Sendable {
    /// Which failures senders are told about. It can change at any time. While it is `off`, no failure is recorded for
    /// a report.
    var senderReports: SenderReports { get nonmutating set }
    /// The due reports, at most `limit`, oldest first.
    func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport]
    /// The earliest time at which a waiting report can become due; nil if none waits.
    func nextSenderReport() async throws -> Timestamp?
    /// Queues a report and removes its recipients' rows, in one transaction, so each failure is reported once. The
    /// report counts for no key's rate, cap or usage. Nothing is stored if another process was faster.
    func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance
    /// Removes the rows of recipients whose failure is not to be reported to any sender.
    func forgetSenderReport(of message: MessageID, recipients: [String]) async throws
}
