import Logging
import RelayCore
import TestSupport
import Testing

@testable import Delivery

@Suite struct DeliveryWorkerTests {
    /// A worker with its clock, queue, log and transport.
    struct Site: Sendable {
        let clock = ManualClock(start)
        let queue: MemoryQueue
        let log = LogRecorder(level: .debug)
        let events = Watched<[DeliveryEvent]>([])
        let transport: ScriptedTransport
        let worker: DeliveryWorker

        init(
            _ transport: ScriptedTransport, _ configuration: DeliveryConfiguration = Bench.unpaced(),
            quota: (any QuotaSource)? = nil, queue: MemoryQueue = MemoryQueue()
        ) {
            self.transport = transport
            self.queue = queue
            let events = events
            worker = DeliveryWorker(
                lane: .live, configuration: configuration, queue: queue, transport: transport, quota: quota,
                clock: clock, logger: log.logger, random: { 0.5 },
                observe: { event in events.change { $0.append(event) } })
        }

        /// Runs the worker while `body` runs, then stops it and waits for its end. Time passes by itself only if
        /// `flows` is true.
        func working(flows: Bool = false, _ body: (Task<Void, Never>) async throws -> Void) async rethrows {
            let run = Task { await worker.run() }
            let time = Task { if flows { await clock.run() } }
            try await body(run)
            run.cancel()
            await run.value
            time.cancel()
        }

        func count(_ level: Logger.Level) -> Int { log.entries.count { $0.level == level } }
    }

    private func deliveries(_ ids: Range<Int64>) -> [ClaimedDelivery] { ids.map { delivery($0) } }

    @Test func deliversMessagesQueuedBeforeStartup() async {
        let site = Site(ScriptedTransport(.done))
        site.queue.enqueue(deliveries(1..<101))
        await site.working { _ in
            await site.queue.state.until { $0.count(.sent) == 100 }
            await site.events.until { $0.count == 100 }
        }
        let line = site.log.entries.first { $0.metadata["message"] == "\(delivery(1).message)" }
        #expect(line?.level == .info && line?.message == "sent")
        #expect(line?.metadata["key"] == "AbCd0123" && line?.metadata["ses"] == "0100")
        #expect(site.count(.info) == 100)
    }

    /// The clock stands still, so no timer can have woken the worker.
    @Test func wakeDeliversWithoutPolling() async {
        let site = Site(ScriptedTransport(.done))
        await site.working { _ in
            for id in 1...20 as ClosedRange<Int64> {
                await site.clock.untilSlept()
                site.queue.enqueue([delivery(id)])
                site.worker.wake()
                await site.queue.state.until { $0.count(.sent) == id }
            }
        }
        #expect(site.clock.now() == start)
    }

    /// Another process that queues a delivery does not wake the worker.
    @Test func pollingFindsDeliveriesQueuedWithoutAWake() async {
        let site = Site(ScriptedTransport(.done))
        await site.working(flows: true) { _ in
            await site.clock.untilSlept()
            site.queue.enqueue(deliveries(1..<4))
            await site.queue.state.until { $0.count(.sent) == 3 }
        }
    }

    @Test func concurrentSendsAndClaimsStayWithinLimits() async {
        let gate = Watched(0)
        let site = Site(
            ScriptedTransport { _, _ in
                await gate.until { $0 > 0 }
                gate.change { $0 -= 1 }
                return .done
            }, Bench.unpaced(concurrency: 4))
        site.queue.enqueue(deliveries(1..<61))
        await site.working { _ in
            await site.transport.calls.until { $0.atOnce == 4 }
            gate.change { $0 = .max }
            await site.queue.state.until { $0.count(.sent) == 60 }
        }
        #expect(site.transport.calls.value.mostAtOnce == 4)
        #expect(site.queue.state.value.mostClaimed <= 16)
        #expect(site.transport.calls.value.begun == 60)
    }

    @Test func sendingGoesOnWhileASettlementIsSynced() async {
        let site = Site(ScriptedTransport(.done), .init(concurrency: 2, maxActive: 12, pacing: .unlimited))
        site.queue.state.change { $0.settlingIsBlocked = true }
        site.queue.enqueue(deliveries(1..<13))
        await site.working { _ in
            await site.transport.calls.until { $0.begun == 12 && $0.atOnce == 0 }
            site.queue.state.change { $0.settlingIsBlocked = false }
            await site.queue.state.until { $0.count(.sent) == 12 }
        }
    }

    @Test func heldLaneIsLoggedOnceAndResumesByItself() async {
        let isPaused = Watched(true)
        let site = Site(ScriptedTransport { _, _ in isPaused.value ? .paused : .done }, Bench.unpaced(concurrency: 4))
        site.queue.enqueue(deliveries(1..<41))
        await site.working(flows: true) { _ in
            await site.queue.state.until { $0.statuses.last?.heldBecause != nil }
            let since = site.clock.now()
            // The test waits for some more probes.
            let held = site.transport.calls.value.begun
            await site.transport.calls.until { $0.begun > held + 4 }
            #expect(site.clock.now() - since >= .seconds(30 + 60 + 120))
            #expect(site.queue.state.value.rows.values.allSatisfy { $0.delivery.attempts == 0 })
            isPaused.change { $0 = false }
            await site.queue.state.until { $0.count(.sent) == 40 && $0.statuses.last?.heldBecause == nil }
        }
        #expect(site.count(.critical) == 1)
        #expect(site.log.entries.count { $0.message.contains("moves again") } == 1)
        #expect(
            site.queue.state.value.statuses.first { $0.heldBecause != nil }?.heldBecause?.contains("Paused") == true)
    }

    @Test func exhaustedQuotaIsAWarningNotAnAlert() async {
        let site = Site(ScriptedTransport(.usedUp))
        site.queue.enqueue(deliveries(1..<3))
        await site.working { _ in await site.queue.state.until { $0.statuses.last?.heldBecause != nil } }
        #expect(site.count(.critical) == 0 && site.count(.warning) == 1)
    }

    @Test func shutdownReleasesUnstartedDeliveriesAndRecordsTheRest() async {
        let isOpen = Watched(false)
        let site = Site(
            ScriptedTransport { _, _ in
                await isOpen.until { $0 }
                return .done
            }, Bench.unpaced(concurrency: 2))
        site.queue.enqueue(deliveries(1..<21))
        await site.working { run in
            await site.transport.calls.until { $0.atOnce == 2 }
            run.cancel()
            await site.queue.state.until { $0.releases == 6 }
            isOpen.change { $0 = true }
        }
        let state = site.queue.state.value
        #expect(state.count(.sent) == 2 && state.count(.queued) == 18)
        #expect(state.rows.values.count { $0.delivery.attempts > 0 } == 2)
        #expect(site.clock.now() == start)
    }

    /// The send is cut off, whether it reacts to the cancellation or not.
    @Test(arguments: [true, false])
    func aSendThatNeverEndsIsCutOffAtShutdown(heeds: Bool) async {
        let never = Watched(false)
        let clock = ManualClock(start)
        let transport = ScriptedTransport { _, _ in
            if heeds {
                try? await clock.sleep(until: start + .seconds(1_000_000))
                return .lost
            }
            await never.until { $0 }
            return .done
        }
        let site = Site(transport)
        site.queue.enqueue(deliveries(1..<2))
        await site.working(flows: true) { _ in await site.transport.calls.until { $0.atOnce == 1 } }
        let row = site.queue.state.value.rows[DeliveryID(rawValue: 1)]
        let settlements = site.queue.state.value.settlements[DeliveryID(rawValue: 1)]
        #expect(row?.state == .queued && row?.delivery.attempts == 1)
        #expect(settlements?.last?.mayHaveBeenTaken == true)
        #expect(site.clock.now() >= start + .seconds(10))
        never.change { $0 = true }
    }

    @Test func storeOutageLosesNothingAndDoesNotFloodTheLog() async {
        let site = Site(ScriptedTransport(.done), Bench.unpaced(concurrency: 4))
        await site.working(flows: true) { _ in
            await site.queue.state.until { !$0.statuses.isEmpty }
            site.queue.state.change { $0.isBroken = true }
            site.queue.enqueue(deliveries(1..<31))
            site.worker.wake()
            await site.queue.state.until { $0.failures >= 5 }
            site.queue.state.change { $0.isBroken = false }
            await site.queue.state.until { $0.count(.sent) == 30 }
        }
        #expect(site.count(.error) == 1)
        #expect(site.transport.calls.value.begun == 30)
    }

    @Test func retriesUntilItGivesUp() async {
        var configuration = Bench.unpaced()
        configuration.schedule = .init(first: .seconds(10), maximum: .seconds(60), giveUpAfter: .seconds(600))
        let site = Site(ScriptedTransport(.busy), configuration)
        site.queue.enqueue(deliveries(1..<2))
        await site.working(flows: true) { _ in await site.queue.state.until { $0.count(.failed) == 1 } }
        // If the clock runs ahead of the worker, leases may expire, and claimed deliveries are then released untried.
        let settlements = site.queue.state.value.settlements.values.flatMap { $0 }.filter { $0.result != .released }
        #expect(settlements.last?.reason == "\(gaveUpReason) 10 min: ServiceUnavailable: Later.")
        // The pauses are at least 10, 20, 40 and then 60 s each, until the delivery is given up.
        #expect(settlements.count >= 4 && settlements.count <= 13)
        let pauses = zip(settlements, settlements.dropFirst()).map { ($1.startedAt - $0.finishedAt).inSeconds }
        #expect(zip(pauses.dropLast(), [10, 20, 40, 60, 60, 60, 60, 60, 60, 60, 60]).allSatisfy { $0 >= $1 })
    }

    @Test func anOutageIsSummarised() async {
        let isDown = Watched(true)
        let site = Site(
            ScriptedTransport { _, _ in isDown.value ? .busy : .done }, Bench.unpaced(concurrency: 4))
        site.queue.enqueue(deliveries(1..<201))
        await site.working(flows: true) { _ in
            await site.transport.calls.until { $0.begun >= 1000 }
            isDown.change { $0 = false }
            await site.queue.state.until { $0.count(.sent) == 200 }
        }
        let retries = site.log.entries.filter { $0.message.contains("tried again") }
        #expect(retries.count { $0.level > .debug } == 5)
        // The last four attempts may have succeeded already.
        #expect(retries.count >= 996)
        let minutes = Int((site.clock.now() - start).inSeconds / 60)
        #expect(site.count(.warning) >= 1 && site.count(.warning) <= minutes + 1)
        #expect(site.log.entries.count { $0.message.contains("succeed again") } == 1)
    }

    @Test func theTransportReadsTheBodyFromTheQueue() async {
        let site = Site(
            ScriptedTransport { _, body in
                do { _ = try await body.read(at: 0, count: 10) } catch { return .refused }
                return .done
            })
        site.queue.enqueue(deliveries(1..<3))
        await site.working { _ in await site.queue.state.until { $0.count(.sent) == 2 } }
    }

    @Test(
        arguments: [
            (StoreError.full, DeliveryOutcome.refused, false, "body-unreadable"),
            (.full, .lost, true, "body-unreadable"),
            (.bodyGone(delivery(1).message), .busy, false, "body-gone"),
            (.noSuchMessage(delivery(1).message), .paused, false, "body-gone"),
        ] as [(StoreError, DeliveryOutcome, Bool, String)])
    func aBodyThatFailsDecides(error: StoreError, told: DeliveryOutcome, taken: Bool, word: String) async {
        let queue = MemoryQueue()
        let body = QueuedBody(of: delivery(1), in: BrokenBodies(queue: queue, error: error))
        #expect(body.size == 100)
        #expect(body.judge(told) == told)
        await #expect(throws: error) { try await body.read(at: 0, count: 1) }
        #expect(body.judge(.done) == .done)
        switch body.judge(told) {
        case .retry(let cause, .normal): #expect(cause.word == word && cause.mayHaveBeenTaken == taken)
        case .failed(let cause): #expect(cause.word == word && word == "body-gone")
        default: Issue.record("the outcome is neither a retry nor a failure")
        }
    }

    /// The whole delivery of a test key's messages. The simulator's mailbox for throttling throttles twice, and then
    /// accepts the message.
    @Test func simulatedLane() async {
        let clock = ManualClock(start)
        let queue = MemoryQueue()
        let worker = DeliveryWorker(
            lane: .test, configuration: .simulated(), queue: queue, transport: SimulatedTransport(clock: clock),
            clock: clock, logger: LogRecorder().logger, random: { 0.5 })
        queue.enqueue((1...1000).map { delivery($0, lane: .test) })
        queue.enqueue([delivery(2000, lane: .test, recipients: ["throttle@simulator.amazonses.com"])])
        queue.enqueue([delivery(2001, lane: .test, recipients: ["bounce@simulator.amazonses.com"])])
        let run = Task { await worker.run() }
        let time = Task { await clock.run() }
        await queue.state.until { $0.count(.simulated) == 1002 }
        run.cancel()
        await run.value
        time.cancel()
        let (rows, settlements) = (queue.state.value.rows, queue.state.value.settlements)
        #expect(rows[DeliveryID(rawValue: 2000)]?.delivery.attempts == 3)
        #expect(settlements[DeliveryID(rawValue: 2001)]?.last?.events.map(\.event.kind) == [.bounced])
        #expect(queue.state.value.mostClaimed <= 1024)
    }

    // MARK: Place among relays

    /// The process loses its place between the claim and the attempt, for example because it was suspended for a while.
    @Test func nothingMoreIsSentOnceClaimsAreLost() async {
        let queue = MemoryQueue()
        let site = Site(
            ScriptedTransport { _, _ in
                queue.state.change { $0.ownsClaims = false }
                return .done
            }, Bench.unpaced(concurrency: 1), queue: queue)
        queue.enqueue(deliveries(1..<5))
        await site.working { _ in await queue.state.until { $0.releases == 3 } }
        #expect(site.transport.calls.value.begun == 1)
        #expect(queue.state.value.count(.queued) == 3 && queue.state.value.count(.sent) == 1)
    }

    /// The process is suspended after it has read the body.
    @Test func deliveryWithdrawnAfterReadingItsBodyIsNotSent() async {
        let queue = MemoryQueue()
        let site = Site(
            ScriptedTransport { _, body in
                _ = try? await body.read(at: 0, count: 100)
                queue.state.change { $0.ownsClaims = false }
                return body.mayBeSent ? .done : .retry(.init("broken", "withdrawn"), pace: .normal)
            }, queue: queue)
        queue.enqueue([delivery(1)])
        await site.working { _ in await queue.state.until { $0.releases == 1 } }
        #expect(queue.state.value.count(.queued) == 1)
    }

    @Test(arguments: [true, false]) func requestInProgressIsAbortedWhenClaimsAreLost(mayHaveBeenTaken: Bool) async {
        let queue = MemoryQueue()
        let site = Site(
            ScriptedTransport { _, body in
                do {
                    _ = try await body.read(at: 0, count: 4)
                    queue.state.change { $0.ownsClaims = false }
                    _ = try await body.read(at: 4, count: 4)
                    return .done
                } catch {
                    return .retry(.init("broken", "\(error)", mayHaveBeenTaken: mayHaveBeenTaken), pace: .normal)
                }
            }, queue: queue)
        queue.enqueue([delivery(1)])
        await site.working { _ in await queue.state.until { $0.releases == 1 } }
        #expect(queue.state.value.count(.queued) == 1)
        let settlement = queue.state.value.settlements[DeliveryID(rawValue: 1)]?.first
        #expect(settlement?.mayHaveBeenTaken == mayHaveBeenTaken)
    }

    @Test func deliverySentAfterClaimsWereLostIsRecordedAsSent() async {
        let queue = MemoryQueue()
        let site = Site(
            ScriptedTransport { _, body in
                queue.state.change { $0.ownsClaims = false }
                _ = try? await body.read(at: 0, count: 4)
                return .done
            }, queue: queue)
        queue.enqueue([delivery(1)])
        await site.working { _ in await queue.state.until { $0.count(.sent) == 1 } }
    }

    @Test func laterRateShareIsUsedWithoutAWake() async {
        let queue = MemoryQueue()
        queue.state.change { $0.shareOfRate = .none }
        let site = Site(
            ScriptedTransport(.done), DeliveryConfiguration(pacing: .account(maximumRate: 100)), queue: queue)
        queue.enqueue(deliveries(1..<4))
        await site.working(flows: true) { _ in
            await queue.state.until { !$0.statuses.isEmpty }
            #expect(site.transport.calls.value.begun == 0)
            queue.state.change { $0.shareOfRate = RateShare(place: 0, count: 2) }
            await queue.state.until { $0.count(.sent) == 3 }
        }
    }

    @Test func wakingBeforeAndAfterItRunsIsHarmless() async {
        let site = Site(ScriptedTransport(.done))
        site.worker.wake()
        site.worker.wake()
        await site.working { _ in await site.clock.untilSlept() }
        site.worker.wake()
    }
}

/// A queue whose bodies can't be read.
struct BrokenBodies: DeliveryQueue {
    var queue: MemoryQueue
    var error: StoreError

    func body(of message: MessageID) async throws -> any StoredBody { throw error }

    func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        try await queue.claim(
            lane: lane, limit: limit, recipients: recipients, leaseUntil: leaseUntil, now: now)
    }
    func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        try await queue.extendLease(deliveries, until: until)
    }
    func settle(_ batch: [Settlement]) async throws { try await queue.settle(batch) }
    func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        try await queue.reclaimAbandoned(lane: lane, now: now)
    }
    func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        try await queue.bringForward(lane: lane, dueAfter: latest, now: now)
    }
    func nextDue(lane: Lane) async throws -> Timestamp? { try await queue.nextDue(lane: lane) }
    func record(_ status: LaneStatus) async throws { try await queue.record(status) }
}
