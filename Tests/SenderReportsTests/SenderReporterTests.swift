import InternetMessage
import Logging
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import SenderReports

@Suite("The reporter") struct SenderReporterTests {
    @Test func senderGetsOneReportForAllRecipients() async throws {
        let bench = try await Bench()
        let message = try await bench.fail(recipients: 60)
        let reporter = try bench.reporter()
        #expect(await reporter.round() == Sample.now + .seconds(2))
        #expect(try await bench.claimed().isEmpty)
        bench.clock.advance(.seconds(2))
        _ = await reporter.round()
        let claimed = try await bench.claimed()
        #expect(claimed.map(\.envelope) == [Envelope(reversePath: nil, recipients: ["app@example.com"])])
        let text = try await bench.text(claimed[0].message)
        #expect(text.components("Final-Recipient: ").count == 61)
        #expect(text.contains("References: <1@b>") && !text.contains("secret"))
        #expect(text.contains("Message-ID: <\(claimed[0].message).\(bench.key.secret.id)@relay.example.com>"))
        #expect(bench.events.withLock { $0 } == [.queued(claimed[0].message, .test)])
        #expect(claimed[0].message != message)
        bench.clock.advance(.seconds(60))
        _ = await reporter.round()
        #expect(try await bench.records().count == 2)
        // The report does not count as an email of the key.
        #expect(try await bench.store.keyRecord(bench.key.secret.id, now: bench.clock.now())?.usage.emailsTotal == 60)
    }

    @Test func failedReportTriggersNoFurtherReport() async throws {
        let bench = try await Bench()
        try await bench.fail()
        bench.clock.advance(.seconds(2))
        let reporter = try bench.reporter()
        _ = await reporter.round()
        try await bench.failAll()
        #expect(try await bench.store.nextSenderReport() == nil)
    }

    @Test(arguments: ["root@relay", "app@host.local", "app@[192.0.2.1]", "app@localhost"])
    func reportToAnUnreachableSenderIsGivenUp(sender: String) async throws {
        let bench = try await Bench()
        for _ in 0..<3 { try await bench.fail(from: sender) }
        bench.clock.advance(.seconds(2))
        let reporter = try bench.reporter()
        _ = await reporter.round()
        #expect(try await bench.store.nextSenderReport() == nil)
        #expect(try await bench.claimed().isEmpty)
        #expect(bench.events.withLock { $0 } == [.givenUp, .givenUp, .givenUp])
        let entries = bench.log.entries
        #expect(entries.map(\.level) == [.notice])
        #expect(entries.first?.message.mentions("envelope sender", "domain") == true)
    }

    @Test func withoutASenderAddressPendingReportsAreGivenUp() async throws {
        let bench = try await Bench()
        try await bench.fail()
        bench.clock.advance(.seconds(2))
        let reporter = try bench.reporter(from: nil)
        _ = await reporter.round()
        #expect(try await bench.store.nextSenderReport() == nil)
        #expect(try await bench.claimed().isEmpty)
        reporter.reconfigure(
            .init(from: try AddrSpec(parsing: "bounces@example.com".utf8), hostname: "relay.example.com"))
        try await bench.fail()
        bench.clock.advance(.seconds(2))
        _ = await reporter.round()
        #expect(try await bench.claimed().count == 1)
    }

    @Test func reportWithoutSpaceWaitsWithoutBlockingOthers() async throws {
        let bench = try await Bench()
        let first = try await bench.fail()
        for _ in 0..<40 { try await bench.fail() }
        bench.clock.advance(.seconds(2))
        let store = FaultyStore(bench.store)
        store.refused.withLock { $0 = [first] }
        let reporter = try bench.reporter(store: store)
        #expect(await reporter.round() == bench.clock.now() + SenderReporter.pause)
        #expect(try await bench.claimed().count == 40)
        #expect(await reporter.round() == bench.clock.now() + SenderReporter.pause)
        #expect(bench.log.entries.count { $0.level == .warning } == 1)
        store.refused.withLock { $0 = [] }
        _ = await reporter.round()
        #expect(try await bench.claimed().count == 1)
        #expect(bench.log.entries.last?.level == .notice)
        #expect(bench.log.entries.last?.message.mentions("reports", "again") == true)
    }

    @Test func failedStoreRequestIsRetried() async throws {
        let bench = try await Bench()
        try await bench.fail()
        bench.clock.advance(.seconds(2))
        let store = FaultyStore(bench.store)
        store.fails.withLock { $0 = true }
        let reporter = try bench.reporter(store: store)
        for _ in 0..<5 { #expect(await reporter.round() == bench.clock.now() + SenderReporter.pause) }
        #expect(bench.log.entries.count == 1)
        store.fails.withLock { $0 = false }
        _ = await reporter.round()
        #expect(try await bench.claimed().count == 1)
    }

    /// While some deliveries of a message are still under way, its report waits. The reporter must not look again at
    /// once.
    @Test func partlyFailedMessageIsNotPolledConstantly() async throws {
        let bench = try await Bench()
        let id = bench.nextID()
        _ = try await bench.store.accept(
            [Sample.submission(id, key: bench.key.secret.id, recipients: Sample.recipients(60))], now: bench.clock.now()
        )
        let claimed = try await bench.claimed()
        try await bench.fail(claimed[0])
        bench.clock.advance(.seconds(10))
        let reporter = try bench.reporter()
        #expect(await reporter.round() == bench.clock.now() + SenderReporter.interval)
        #expect(try await bench.records().count == 1)
        bench.clock.advance(.seconds(3600))
        _ = await reporter.round()
        #expect(try await bench.records().count == 2)
    }

    @Test func reporterRunsUntilCancelled() async throws {
        let bench = try await Bench()
        let reporter = try bench.reporter()
        let task = Task { await reporter.run() }
        task.cancel()
        await task.value
    }
}

private final class Bench: Sendable {
    let store = MemoryStore()
    let clock = ManualClock()
    private let ids = Mutex(InstanceIDs(instance: 1))
    let events = Mutex<[SenderReportEvent]>([])
    let log = LogRecorder(level: .notice)
    let key = Sample.key()

    init() async throws {
        store.senderReports = .ofFailuresAndEvents
        try await store.insertKey(key.stored)
    }

    func nextID() -> MessageID { ids.withLock { $0.next(at: clock.now()) } }

    @discardableResult
    func fail(from sender: String? = "app@example.com", recipients: Int = 1) async throws -> MessageID {
        let id = nextID()
        var submission = Sample.submission(
            id, key: key.secret.id, recipients: Sample.recipients(recipients),
            body: Array("From: a@b\r\nMessage-ID: <1@b>\r\n\r\nsecret\r\n".utf8))
        submission.envelope.reversePath = sender
        _ = try await store.accept([submission], now: clock.now())
        try await failAll()
        return id
    }

    func failAll() async throws { for delivery in try await claimed() { try await fail(delivery) } }

    func fail(_ delivery: ClaimedDelivery) async throws {
        try await store.settle([
            Settlement(
                delivery: delivery.id, result: .failed, reason: "MessageRejected: no", startedAt: clock.now(),
                finishedAt: clock.now())
        ])
    }

    func reporter(from: String? = "bounces@example.com", store other: FaultyStore? = nil) throws -> SenderReporter {
        SenderReporter(
            configuration: .init(from: try from.map { try AddrSpec(parsing: $0.utf8) }, hostname: "relay.example.com"),
            store: other ?? FaultyStore(store), records: store,
            nextID: { [self] now in ids.withLock { $0.next(at: now) } }, clock: clock,
            logger: log.logger,
            random: { 7 }, observe: { [self] event in events.withLock { $0.append(event) } })
    }

    func claimed() async throws -> [ClaimedDelivery] {
        try await store.claim(lane: .test, limit: 100, leaseUntil: clock.now() + .seconds(60), now: clock.now())
    }

    func records() async throws -> [MessageRecord] { try await store.messages(MessageFilter(), now: clock.now()) }

    func text(_ message: MessageID) async throws -> String {
        let body = try await store.body(of: message)
        return String(decoding: try await body.read(at: 0, count: body.size), as: UTF8.self)
    }
}

/// Passes calls on to another store. A test can make it fail, or make it refuse the reports of some messages.
private final class FaultyStore: SenderReportStore {
    let store: MemoryStore
    let refused = Mutex<Set<MessageID>>([])
    let fails = Mutex(false)

    init(_ store: MemoryStore) { self.store = store }

    var senderReports: SenderReports {
        get { store.senderReports }
        set { store.senderReports = newValue }
    }

    func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport] {
        if fails.withLock({ $0 }) { throw StoreError.unavailable("the disk is gone") }
        return try await store.dueSenderReports(limit: limit, now: now)
    }

    func nextSenderReport() async throws -> Timestamp? { try await store.nextSenderReport() }

    func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance {
        if refused.withLock({ $0.contains(message) }) { return .refused(Refusal(.storage, "There is no space")) }
        return try await store.accept(report: report, of: message, recipients: recipients, now: now)
    }

    func forgetSenderReport(of message: MessageID, recipients: [String]) async throws {
        try await store.forgetSenderReport(of: message, recipients: recipients)
    }
}
