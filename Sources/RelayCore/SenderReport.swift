/// Whether the senders of messages hear of failures by mail (RFC 3461).
public enum SenderReports: Hashable, Sendable {
    case off
    /// Of deliveries that failed or were suppressed here.
    case ofFailures
    /// Of bounces that SES tells of, too.
    case ofFailuresAndEvents
}

/// A recipient whom a message did not reach, of which its sender has not been told.
public struct UndeliveredRecipient: Hashable, Sendable {
    public var address: String
    public var at: Timestamp
    /// `failed`, `suppressed`, `bounced` or `rejected`.
    public var kind: EventKind
    /// Why, in one line.
    public var reason: String?
    /// What the receiving server said, if it was one.
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
    public var message: MessageRecord
    /// In the order of the envelope; at least one.
    public var recipients: [UndeliveredRecipient]

    public init(message: MessageRecord, recipients: [UndeliveredRecipient]) {
        self.message = message
        self.recipients = recipients
    }

    /// A report waits until nothing of its message is under way any more, so that there is one for all recipients; but not longer.
    public static let longestWait = Duration.seconds(3600)
    /// Failures that come so soon one after another get into one report.
    public static let shortestWait = Duration.seconds(2)
}

/// What became of a report that was to be put into the queue.
public enum SenderReportAcceptance: Hashable, Sendable {
    case accepted
    /// Another process has told the sender of one of the recipients: look again what is due.
    case overtaken
    /// There is no space for it.
    case refused(Refusal)
}

/// What senders are to be told. A row is put there in the transaction that records the failure, so none is forgotten.
///
/// Never for a null reverse-path, for a message that is itself an automatic reply or a report (``Submission/isAutomatic``), or for
/// what an operator dropped.
public protocol SenderReportStore: Sendable {
    /// May change at any time. While it is `off`, nothing is put on record.
    var senderReports: SenderReports { get nonmutating set }
    /// At most `limit`, oldest first.
    func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport]
    /// When the next one falls due; nil where nothing waits.
    func nextSenderReport() async throws -> Timestamp?
    /// Puts a report into the queue and takes those recipients off the record, in one transaction: so each is told once. It counts for
    /// no key's rate, cap or usage. Nothing is stored where another process was faster.
    func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance
    /// Takes recipients off the record of whom nobody is to be told.
    func forgetSenderReport(of message: MessageID, recipients: [String]) async throws
}
