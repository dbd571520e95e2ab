import InternetMessage
import Logging
import RelayCore
import Synchronization

/// What a ``SenderReporter`` did.
public enum SenderReportEvent: Hashable, Sendable {
    /// A report was put into the queue.
    case queued(MessageID, Lane)
    /// There is no address to which the report could be sent.
    case givenUp
}

/// Reports failures by mail to the senders of messages: puts the reports that are due into the queue.
///
/// The store lists the reports that are due. The transaction that puts a report into the queue also removes it from
/// that list. So a report that is lost on the way is made again, and none is made twice.
public final class SenderReporter: Sendable {
    /// The settings of the reporter.
    public struct Configuration: Hashable, Sendable {
        /// The author of reports. Nil: no reports are sent, and those that wait are given up.
        public var from: AddrSpec?
        /// The relay's host name.
        public var hostname: String

        public init(from: AddrSpec?, hostname: String) {
            self.from = from
            self.hostname = hostname
        }
    }

    private let store: any SenderReportStore
    private let records: any MessageRecords
    private let configuration: Mutex<Configuration>
    private let nextID: @Sendable (Timestamp) -> MessageID
    private let clock: any RelayClock
    private let logger: Logger
    private let observe: @Sendable (SenderReportEvent) -> Void
    private let random: @Sendable () -> UInt64
    private let log = Mutex(LogState())

    private struct LogState {
        /// Whether reports can't be stored at the moment. This is logged once, and again only after one could be
        /// stored.
        var isFailing = false
        /// Senders that can't be reached and that the log has already named.
        var unreachable: Set<String> = []
    }

    /// The number of messages whose reports are made at once.
    static let batch = 16
    /// The number of reports that are skipped at once because there is no space for them.
    static let mostRefused = 64
    /// The longest time until a failure whose report is due at once is noticed.
    static let interval = Duration.seconds(2)
    /// The pause after the store could take no report.
    static let pause = Duration.seconds(30)
    /// The number of senders to remember that were logged as unreachable.
    static let mostUnreachable = 1000

    /// - Parameters:
    ///   - records: the source of the messages' headers.
    ///   - nextID: must never return the id of another message. If messages are accepted at the same time, it must be
    ///     their generator.
    ///   - observe: is called for each event, on any thread. It must be quick. It wakes the delivery worker.
    ///   - random: makes the boundaries.
    public init(
        configuration: Configuration, store: any SenderReportStore, records: any MessageRecords,
        nextID: @escaping @Sendable (Timestamp) -> MessageID, clock: any RelayClock, logger: Logger,
        random: @escaping @Sendable () -> UInt64 = { .random(in: .min ... .max) },
        observe: @escaping @Sendable (SenderReportEvent) -> Void = { _ in }
    ) {
        self.store = store
        self.records = records
        self.configuration = Mutex(configuration)
        self.nextID = nextID
        self.clock = clock
        self.logger = logger
        self.random = random
        self.observe = observe
    }

    /// Sets the configuration from now on.
    public func reconfigure(_ configuration: Configuration) { self.configuration.withLock { $0 = configuration } }

    /// Works until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            let next = await round()
            do { try await clock.sleep(until: next) } catch { return }
        }
    }

    /// Makes the reports that are due. Returns when to look again.
    func round() async -> Timestamp {
        do {
            // Messages whose reports have no space. Reports after them may be shorter, or of the other environment,
            // which may have more space.
            var refused: Set<MessageID> = []
            var refusal: Refusal?
            while !Task.isCancelled, refused.count <= SenderReporter.mostRefused {
                let due = try await store.dueSenderReports(
                    limit: refused.count + SenderReporter.batch, now: clock.now()
                ).filter { !refused.contains($0.message.id) }
                guard !due.isEmpty else { break }
                for report in due {
                    guard let found = try await handle(report) else { continue }
                    refused.insert(report.message.id)
                    refusal = found
                }
            }
            if let refusal {
                failed(refusal.explanation)
                return clock.now() + SenderReporter.pause
            }
            let now = clock.now()
            let soon = now + SenderReporter.interval
            let next = try await store.nextSenderReport()
            worked()
            // If a report is past its time, it waits for the other recipients of its message.
            return next.map { $0 > now ? min($0, soon) : soon } ?? soon
        } catch {
            failed("\(error)")
            return clock.now() + SenderReporter.pause
        }
    }

    // MARK: One report

    /// Handles one report. Returns why there is no space for it, or nil when it is finished.
    private func handle(_ due: DueSenderReport) async throws -> Refusal? {
        let configuration = configuration.withLock { $0 }
        let addresses = due.recipients.map(\.address)
        guard let from = configuration.from, let to = recipient(of: due.message) else {
            try await store.forgetSenderReport(of: due.message.id, recipients: addresses)
            observe(.givenUp)
            return nil
        }
        let now = clock.now()
        let id = nextID(now)
        let octets = NonDeliveryReport(
            from: from, to: to, hostname: configuration.hostname,
            messageID: "<\(id).\(due.message.key)@\(configuration.hostname)>", date: now, message: due.message,
            recipients: due.recipients, original: await header(of: due.message), seed: random()
        ).octets()
        // The null reverse-path: if a report can't be delivered, no report about that is sent (RFC 5321 section 4.5.5).
        let report = Submission(
            id: id, key: due.message.key, client: .loopback,
            envelope: Envelope(reversePath: nil, recipients: [to.text]),
            subject: NonDeliveryReport.subject, body: .inline(octets), acceptedAt: now, isAutomatic: true)
        switch try await store.accept(report: report, of: due.message.id, recipients: addresses, now: now) {
        case .accepted: break
        case .overtaken: return nil
        case .refused(let refusal): return refusal
        }
        logger.info(
            "failure reported to the sender",
            metadata: [
                "message": "\(due.message.id)", "report": "\(id)", "key": "\(due.message.key)",
                "recipients": "\(addresses.count)",
            ])
        observe(.queued(id, due.message.environment))
        return nil
    }

    /// The address to which the report can be sent, or nil if there is none.
    private func recipient(of message: MessageRecord) -> AddrSpec? {
        guard let path = message.reversePath else { return nil }
        var obstacle = SenderIdentity.obstacle(to: path)
        do {
            let address = try AddrSpec(parsing: path.utf8)
            if obstacle == nil { return address }
        } catch {
            obstacle = error.explanation
        }
        let isNew = log.withLock { log in
            if log.unreachable.count >= SenderReporter.mostUnreachable { log.unreachable.removeAll() }
            return log.unreachable.insert(path).inserted
        }
        if isNew, let obstacle {
            logger.notice(
                "failures can't be reported to the envelope sender; give the application an envelope sender at a domain that accepts mail",
                metadata: ["sender": "\(path)", "because": "\(obstacle)", "key": "\(message.key)"])
        }
        return nil
    }

    /// Nil when the octets are no longer kept or can't be read. A report without the header says enough.
    private func header(of message: MessageRecord) async -> OriginalHeader? {
        guard message.hasBody, let body = try? await records.body(of: message.id) else { return nil }
        let wanted = min(body.size, OriginalHeader.longest)
        var beginning: [UInt8] = []
        while beginning.count < wanted {
            guard let piece = try? await body.read(at: beginning.count, count: wanted - beginning.count),
                !piece.isEmpty
            else { return nil }
            beginning += piece
        }
        return OriginalHeader(beginning: beginning)
    }

    // MARK: Log

    private func failed(_ reason: String) {
        let isNew = log.withLock { log in
            defer { log.isFailing = true }
            return !log.isFailing
        }
        guard isNew, !Task.isCancelled else { return }
        logger.warning(
            "reports to senders wait until the database can store them", metadata: ["error": "\(reason)"])
    }

    private func worked() {
        let wasFailing = log.withLock { log in
            defer { log.isFailing = false }
            return log.isFailing
        }
        if wasFailing { logger.notice("reports to senders can be stored again") }
    }
}

extension IPAddress {
    /// The client is the relay itself.
    fileprivate static let loopback = IPAddress(ipv4: 0x7F00_0001)
}
