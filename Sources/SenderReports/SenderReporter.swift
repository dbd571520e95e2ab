import InternetMessage
import Logging
import RelayCore
import Synchronization

/// What a ``SenderReporter`` did.
public enum SenderReportEvent: Hashable, Sendable {
    /// A report is in the queue.
    case queued(MessageID, Lane)
    /// Nobody can be told.
    case givenUp
}

/// Tells the senders of messages by mail whom they did not reach: puts the reports that are due into the queue.
///
/// What is due stands in the store. A report gets into the queue in the transaction that takes it off there, so one that is lost on
/// the way is made again, and none is made twice.
public final class SenderReporter: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// From whom reports are; nil: nobody is told, and what waits is given up.
        public var from: AddrSpec?
        /// The relay's name.
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
        /// Why reports can't be stored just now; it is told once, until one can.
        var isFailing = false
        /// Senders who can't be told, and of whom the log has said so.
        var unreachable: Set<String> = []
    }

    /// Messages whose reports are made in one go.
    static let batch = 16
    /// Reports that are passed over in one go because there is no space for them.
    static let mostRefused = 64
    /// How long a failure can stay unseen that falls due at once.
    static let interval = Duration.seconds(2)
    /// The pause after the store has taken none.
    static let pause = Duration.seconds(30)
    /// Senders that are remembered as told of in the log.
    static let mostUnreachable = 1000

    /// - Parameters:
    ///   - records: where the headers of the messages come from.
    ///   - nextID: must never give an id that another message has: where messages are accepted beside, it is their generator.
    ///   - observe: is told what happens, on any thread; it must be quick. Who delivers is woken by it.
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

    /// Other settings from now on.
    public func reconfigure(_ configuration: Configuration) { self.configuration.withLock { $0 = configuration } }

    /// Works until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            let next = await round()
            do { try await clock.sleep(until: next) } catch { return }
        }
    }

    /// Makes what is due. Returns when to look again.
    func round() async -> Timestamp {
        do {
            // Messages whose reports there is no space for. Those behind them may be of the other environment, which has more, or
            // shorter.
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
            // One whose time has passed waits for the rest of its message.
            return next.map { $0 > now ? min($0, soon) : soon } ?? soon
        } catch {
            failed("\(error)")
            return clock.now() + SenderReporter.pause
        }
    }

    // MARK: One report

    /// Returns why there is no space for the report; nil when it is done with.
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
        // The null reverse-path: nobody is told that a report did not arrive (RFC 5321 section 4.5.5).
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
            "sender is told of a failure",
            metadata: [
                "message": "\(due.message.id)", "report": "\(id)", "key": "\(due.message.key)",
                "recipients": "\(addresses.count)",
            ])
        observe(.queued(id, due.message.environment))
        return nil
    }

    /// Whom a report can be sent to; nil: nobody.
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
                "the envelope sender can't be told of failures; give the application one at a domain that takes mail",
                metadata: ["sender": "\(path)", "because": "\(obstacle)", "key": "\(message.key)"])
        }
        return nil
    }

    /// Nil where the octets are no longer kept, or can't be read: a report without them says enough.
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
            "reports to senders wait until the database takes them", metadata: ["error": "\(reason)"])
    }

    private func worked() {
        let wasFailing = log.withLock { log in
            defer { log.isFailing = false }
            return log.isFailing
        }
        if wasFailing { logger.notice("reports to senders are stored again") }
    }
}

extension IPAddress {
    /// The relay itself is the client.
    fileprivate static let loopback = IPAddress(ipv4: 0x7F00_0001)
}
