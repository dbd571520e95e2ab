import RelayCore
import Synchronization
import TestSupport

@testable import Delivery

let start = Timestamp(milliseconds: 1_795_000_000_000)

func delivery(
    _ id: Int64, lane: Lane = .live, recipients: [String] = ["b@example.net"], queuedSince: Timestamp = start,
    attempts: Int = 0
) -> ClaimedDelivery {
    guard let message = MessageID(rawValue: id), let key = KeyID("AbCd0123") else { preconditionFailure("valid ids") }
    return ClaimedDelivery(
        id: DeliveryID(rawValue: id), message: message, key: key, lane: lane,
        envelope: Envelope(reversePath: "a@example.com", recipients: recipients), size: 100, queuedSince: queuedSince,
        attempts: attempts, pauses: attempts, maybeDuplicate: false)
}

/// A value that can be waited for.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var watchers: [(condition: @Sendable (Value) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

        static func tell(_ state: inout State) {
            let value = state.value
            state.watchers.removeAll { watcher in
                guard watcher.condition(value) else { return false }
                watcher.continuation.resume()
                return true
            }
        }
    }

    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    func change<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try state.withLock { state in
            // The watchers are informed even if `body` throws.
            defer { State.tell(&state) }
            return try body(&state.value)
        }
    }

    func until(_ condition: @escaping @Sendable (Value) -> Bool) async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if condition(state.value) {
                    continuation.resume()
                } else {
                    state.watchers.append((condition, continuation))
                }
            }
        }
    }
}

/// A queue in memory that behaves like the queue of every store. A test can make it fail or block.
final class MemoryQueue: DeliveryQueue {
    struct State: Sendable {
        var tables = MemoryTables()
        var settlements: [DeliveryID: [Settlement]] = [:]
        var batches: [Int] = []
        var statuses: [LaneStatus] = []
        var mostClaimed = 0
        var isBroken = false
        var failures = 0
        var settlingIsBlocked = false
        var ownsClaims = true
        var shareOfRate = RateShare.whole

        var rows: [DeliveryID: MemoryTables.Delivery] { tables.deliveries }
        func count(_ state: DeliveryState) -> Int { rows.values.count { $0.state == state } }
        var releases: Int { settlements.values.reduce(0) { $0 + $1.count { $0.result == .released } } }
    }

    let state = Watched(State())

    func enqueue(_ deliveries: [ClaimedDelivery]) {
        state.change { state in
            for delivery in deliveries { state.tables.enqueue(delivery) }
        }
    }

    func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        try state.change { state in
            try check(&state)
            let taken = state.tables.claim(
                lane: lane, limit: limit, recipients: recipients, leaseUntil: leaseUntil, now: now)
            state.mostClaimed = max(state.mostClaimed, state.count(.sending))
            return taken
        }
    }

    var ownsClaims: Bool { state.value.ownsClaims }
    var shareOfRate: RateShare { state.value.shareOfRate }

    func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        try state.change { state in
            try check(&state)
            state.tables.extendLease(deliveries, until: until)
        }
    }

    func settle(_ batch: [Settlement]) async throws {
        await state.until { !$0.settlingIsBlocked }
        try state.change { state in
            try check(&state)
            state.batches.append(batch.count)
            for settlement in batch {
                state.settlements[settlement.delivery, default: []].append(settlement)
                state.tables.settle(settlement)
            }
        }
    }

    func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        try state.change { state in
            try check(&state)
            return state.tables.reclaimAbandoned(lane: lane, now: now)
        }
    }

    func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        try state.change { state in
            try check(&state)
            return state.tables.bringForward(lane: lane, dueAfter: latest, now: now)
        }
    }

    func nextDue(lane: Lane) async throws -> Timestamp? {
        try state.change { state in
            try check(&state)
            return state.tables.nextDue(lane: lane)
        }
    }

    func body(of message: MessageID) async throws -> any StoredBody {
        try state.change { try check(&$0) }
        return MemoryBody(bytes: Array("Subject: x\r\n\r\n".utf8))
    }

    func record(_ status: LaneStatus) async throws {
        try state.change { state in
            try check(&state)
            state.statuses.append(status)
        }
    }

    private func check(_ state: inout State) throws {
        guard state.isBroken else { return }
        state.failures += 1
        throw StoreError.full
    }
}

/// A transport that answers as a test decides, and counts its calls.
final class ScriptedTransport: Transport {
    var executor: (any TaskExecutor)? { nil }

    struct Calls: Sendable {
        var begun = 0
        var atOnce = 0
        var mostAtOnce = 0
    }

    let calls = Watched(Calls())
    private let answer: @Sendable (ClaimedDelivery, any StoredBody) async -> DeliveryOutcome

    init(_ answer: @escaping @Sendable (ClaimedDelivery, any StoredBody) async -> DeliveryOutcome) {
        self.answer = answer
    }

    convenience init(_ outcome: DeliveryOutcome) { self.init { _, _ in outcome } }

    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        calls.change { calls in
            calls.begun += 1
            calls.atOnce += 1
            calls.mostAtOnce = max(calls.mostAtOnce, calls.atOnce)
        }
        defer { calls.change { $0.atOnce -= 1 } }
        return await answer(delivery, body)
    }
}

extension DeliveryOutcome {
    static let done = DeliveryOutcome.sent(sesMessageID: "0100")
    static let refused = DeliveryOutcome.failed(.init("MessageRejected", "No."))
    static let busy = DeliveryOutcome.retry(.init("ServiceUnavailable", "Later."), pace: .normal)
    static let lost = DeliveryOutcome.retry(
        .init("connection-lost", "No answer.", mayHaveBeenTaken: true), pace: .normal)
    static let throttled = DeliveryOutcome.retry(.init("TooManyRequestsException", "Slower."), pace: .throttled)
    static let denied = DeliveryOutcome.retry(.init("AccessDenied", "Not this identity."), pace: .patient)
    static let limited = DeliveryOutcome.retry(.init("LimitExceededException", "Much later."), pace: .slow)
    static let paused = DeliveryOutcome.laneHeld(.init("SendingPausedException", "Paused."), alert: true)
    static let usedUp = DeliveryOutcome.laneHeld(.init("daily-quota", "Used up."), alert: false)
}
