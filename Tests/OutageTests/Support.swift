import Delivery
import Foundation
import Logging
import RelayCore
import SQLiteStore
import Synchronization
import TestSupport
import Testing

/// Acts as SES, and counts the messages that it accepted.
final class StandIn: Transport {
    var executor: (any TaskExecutor)? { nil }

    enum Condition: Sendable {
        case up
        /// No connection.
        case down
        /// The account may not send.
        case paused
    }

    struct State: Sendable {
        var condition = Condition.up
        var attempts = 0
        /// The accepted messages, in order.
        var taken: [(message: MessageID, key: KeyID)] = []
        /// The last answer was that the account may not send. The worker waits until it may ask again.
        var isRefusing = false
        var onTaking: @Sendable (_ before: Int) async throws -> Void = { _ in }
    }

    private let state = Mutex(State())
    private let clock: SteppedClock

    init(clock: SteppedClock) { self.clock = clock }

    /// Runs `body` while a message is being accepted. `before` is the number of messages that were accepted before it.
    func whenTaking(_ body: @escaping @Sendable (_ before: Int) async throws -> Void) {
        state.withLock { $0.onTaking = body }
    }

    var taken: [(message: MessageID, key: KeyID)] { state.withLock { $0.taken } }
    var count: Int { state.withLock { $0.taken.count } }
    var isRefusing: Bool { state.withLock { $0.isRefusing } }
    var attempts: Int { state.withLock { $0.attempts } }

    func become(_ condition: Condition) { state.withLock { $0.condition = condition } }

    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        await clock.during {
            let condition = state.withLock { state in
                state.attempts += 1
                state.isRefusing = state.condition == .paused
                return state.condition
            }
            switch condition {
            case .down: return .retry(.init("connection-failed", "No connection to SES."), pace: .normal)
            case .paused:
                return .laneHeld(.init("SendingPausedException", "SES has paused the account."), alert: true)
            case .up: return await take(delivery, body)
            }
        }
    }

    private func take(_ delivery: ClaimedDelivery, _ body: any StoredBody) async -> DeliveryOutcome {
        let bytes = (try? await body.read(at: 0, count: body.size)) ?? []
        guard bytes == Site.body(of: delivery.message) else {
            return .failed(.init("wrong-body", "These are not the bytes of \(delivery.message)."))
        }
        do {
            let now = state.withLock { $0 }
            try await now.onTaking(now.taken.count)
        } catch {
            return .failed(.init("test", "\(error)"))
        }
        state.withLock { $0.taken.append((delivery.message, delivery.key)) }
        return .sent(sesMessageID: "ses-\(delivery.message)")
    }
}

/// The store as the worker's queue. It tells the clock when an operation runs, and keeps the keys of the claimed
/// deliveries.
final class WatchedQueue: DeliveryQueue {
    let store: SQLiteStore
    private let clock: SteppedClock
    private let keys = Mutex<[[KeyID]]>([])
    /// The number of deliveries that are claimed and not settled.
    private let atWorker = Mutex(0)

    init(store: SQLiteStore, clock: SteppedClock) {
        self.store = store
        self.clock = clock
    }

    /// The keys of each claim's deliveries, in order.
    var claims: [[KeyID]] { keys.withLock { $0 } }

    func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        try await clock.during {
            let claimed = try await store.claim(
                lane: lane, limit: limit, recipients: recipients, leaseUntil: leaseUntil, now: now)
            if !claimed.deliveries.isEmpty { keys.withLock { $0.append(claimed.deliveries.map(\.key)) } }
            atWorker.withLock { $0 += claimed.deliveries.count }
            return claimed
        }
    }

    func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        try await clock.during { try await store.extendLease(deliveries, until: until) }
    }

    func settle(_ batch: [Settlement]) async throws {
        try await clock.during {
            try await store.settle(batch)
            atWorker.withLock { $0 -= batch.count }
        }
    }

    func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        try await clock.during { try await store.reclaimAbandoned(lane: lane, now: now) }
    }

    func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        try await clock.during { try await store.bringForward(lane: lane, dueAfter: latest, now: now) }
    }

    func nextDue(lane: Lane) async throws -> Timestamp? {
        try await clock.during { try await store.nextDue(lane: lane) }
    }

    func body(of message: MessageID) async throws -> any StoredBody {
        try await clock.during { try await store.body(of: message) }
    }

    func record(_ status: LaneStatus) async throws { try await clock.during { try await store.record(status) } }

    var isAtWork: Bool { atWorker.withLock { $0 > 0 } }
}

/// A worker on a store on disk, with keys whose messages go to the stand-in.
final class Site: Sendable {
    let clock = SteppedClock()
    let store: SQLiteStore
    let queue: WatchedQueue
    let standIn: StandIn
    let worker: DeliveryWorker
    let log = LogRecorder(level: .info)
    let keys: [KeyID]

    private let directory: TemporaryDirectory
    private let ids = Mutex(InstanceIDs(instance: 0))

    init(keys count: Int, _ configuration: DeliveryConfiguration) async throws {
        directory = try TemporaryDirectory()
        store = try SQLiteStore(path: directory.file("relay.db"), role: .relay, now: clock.now())
        var keys: [KeyID] = []
        for index in 0..<count {
            let (secret, stored) = Sample.key(.live, name: "key \(index)")
            try await store.insertKey(stored)
            keys.append(secret.id)
        }
        self.keys = keys
        queue = WatchedQueue(store: store, clock: clock)
        standIn = StandIn(clock: clock)
        if configuration.pacing == .unlimited {
            let (queue, standIn, clock, store) = (queue, standIn, clock, store)
            clock.expectsWork {
                if queue.isAtWork { return true }
                guard !standIn.isRefusing, let due = try? await store.nextDue(lane: .live) else { return false }
                return due <= clock.now()
            }
        }
        let generator = Mutex(SeededGenerator(seed: 1))
        worker = DeliveryWorker(
            lane: .live, configuration: configuration, queue: queue, transport: standIn, clock: clock,
            logger: log.logger,
            random: { generator.withLock { .random(in: 0..<1, using: &$0) } })
    }

    static func body(of message: MessageID) -> [UInt8] { Array("Subject: \(message)\r\n\r\n\(message)\r\n".utf8) }

    /// Puts messages of these keys into the queue, as the relay does.
    @discardableResult
    func accept(_ keys: some Collection<KeyID>) async throws -> [MessageID] {
        let now = clock.now()
        let submissions = keys.map { key in
            let id = ids.withLock { $0.next(at: now) }
            return Sample.submission(id, key: key, body: Site.body(of: id), at: now)
        }
        for start in stride(from: 0, to: submissions.count, by: 250) {
            let batch = Array(submissions[start..<min(start + 250, submissions.count)])
            let outcomes = try await store.accept(batch, now: now)
            let refused = outcomes.count { $0 != .accepted }
            #expect(refused == 0)
        }
        worker.wake()
        return submissions.map(\.id)
    }

    /// Runs the worker while `body` runs, then stops it and waits for its end.
    func working(_ body: () async throws -> Void) async throws {
        let run = Task { await worker.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        run.cancel()
        await run.value
        standIn.whenTaking { _ in }
        try result.get()
    }

    /// Lets time pass until nothing is queued, but not longer than `limit`.
    func drain(within limit: Duration, stride: Duration) async throws {
        let end = clock.now() + limit
        while try await !store.queueStatus(now: clock.now()).depths.isEmpty, clock.now() < end {
            await clock.run(until: clock.now() + .seconds(60), stride: stride)
        }
    }
}

/// A number from the environment, for the long forms of tests.
func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

/// Whether keys are served strictly in turn: no key is served before a key that had fewer messages so far and has more
/// to come.
func isInTurn(_ order: some Collection<KeyID>) -> Bool {
    var left: [KeyID: Int] = [:]
    for key in order { left[key, default: 0] += 1 }
    var had = left.mapValues { _ in 0 }
    for key in order {
        guard let mine = had[key], !left.contains(where: { $0.value > 0 && had[$0.key, default: 0] < mine }) else {
            return false
        }
        had[key] = mine + 1
        left[key, default: 0] -= 1
    }
    return true
}
