import RelayCore
import Synchronization
import TestSupport

@testable import Webhooks

/// Ready-made values.
func key(_ text: String = "AbCd0123") -> KeyID {
    guard let id = KeyID(text) else { preconditionFailure("a valid id") }
    return id
}

func webhook(_ number: UInt64 = 1, url: String = "https://app.example.com/hook", failing: Bool = false) -> Webhook {
    var generator = SeededGenerator(seed: number)
    return Webhook(
        id: WebhookID(using: &generator), key: key(), url: url, createdAt: Sample.now,
        secret: WebhookSecret(using: &generator), failingSince: failing ? Sample.now : nil)
}

func call(
    _ id: Int64 = 1, of webhook: Webhook = webhook(), createdAt: Timestamp = Sample.now, attempts: Int = 0
) -> WebhookCall {
    WebhookCall(
        id: id, webhook: webhook.id, event: "evt_\(id)", type: "delivery", body: Array("{\"n\":\(id)}".utf8),
        createdAt: createdAt, attempts: attempts)
}

let ok = WebhookResult.answered(status: 200, retryAfter: nil, excerpt: "")
let broken = WebhookResult.answered(status: 500, retryAfter: nil, excerpt: "")

/// Webhooks and their calls in memory, as a store keeps them.
final class MemoryWebhooks: WebhookStore {
    struct State {
        var webhooks: [WebhookID: Webhook] = [:]
        var calls: [Int64: WebhookCall] = [:]
        var due: [Int64: Timestamp] = [:]
        var attempts: [WebhookAttempt] = []
        var failure: StoreError?
        var watchers: [(condition: @Sendable (State) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    func change<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        let (result, woken) = try state.withLock { state in
            let result = try body(&state)
            let woken = state.watchers.filter { $0.condition(state) }
            let left = state.watchers.filter { !$0.condition(state) }
            state.watchers = left
            return (result, woken)
        }
        for watcher in woken { watcher.continuation.resume() }
        return result
    }

    func until(_ condition: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { continuation in change { $0.watchers.append((condition, continuation)) } }
    }

    private func working<Result>(_ body: (inout State) throws -> Result) throws -> Result {
        try change { state in
            if let failure = state.failure { throw failure }
            return try body(&state)
        }
    }

    var attempts: [WebhookAttempt] { change { $0.attempts } }

    func insert(_ webhook: Webhook) async throws -> Bool {
        try working {
            $0.webhooks[webhook.id] = webhook; return true
        }
    }
    func webhooks(of key: KeyID?) async throws -> [Webhook] { try working { Array($0.webhooks.values) } }
    func webhook(_ id: WebhookID) async throws -> Webhook? { try working { $0.webhooks[id] } }
    func update(_ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void) async throws -> Webhook? {
        try working { state in
            guard var webhook = state.webhooks[id] else { return nil }
            change(&webhook)
            state.webhooks[id] = webhook
            return webhook
        }
    }
    func deleteWebhook(_ id: WebhookID) async throws -> Bool {
        try working { $0.webhooks.removeValue(forKey: id) != nil }
    }
    func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics { WebhookStatistics() }
    func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord] { [] }

    func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64 {
        try working { state in
            state.calls[call.id] = call
            state.due[call.id] = now
            return call.id
        }
    }

    func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)] {
        try working { state in
            var (room, taken) = (room, [(call: WebhookCall, webhook: Webhook)]())
            var placesOfFailing = ofFailing
            for (id, due) in state.due.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
                guard taken.count < limit, due <= now, let call = state.calls[id],
                    let webhook = state.webhooks[call.webhook], webhook.isEnabled, room[webhook.id] ?? otherwise > 0
                else { continue }
                if webhook.failingSince != nil {
                    guard placesOfFailing > 0, !taken.contains(where: { $0.webhook.id == webhook.id }) else { continue }
                    placesOfFailing -= 1
                }
                room[webhook.id] = (room[webhook.id] ?? otherwise) - 1
                state.due[id] = leaseUntil
                taken.append((call, webhook))
            }
            return taken
        }
    }

    func beginCalling(now: Timestamp) async throws {
        try working { state in
            for id in state.webhooks.keys where state.webhooks[id]?.failingSince != nil {
                state.webhooks[id]?.failingSince = now
            }
        }
    }

    func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook] {
        try working { state in
            state.attempts += attempts
            var disabled: [Webhook] = []
            for attempt in attempts {
                state.calls[attempt.call]?.attempts += 1
                if case .retry(let at) = attempt.verdict {
                    state.due[attempt.call] = at
                } else {
                    state.due[attempt.call] = nil
                }
                guard var webhook = state.webhooks[attempt.webhook] else { continue }
                if attempt.verdict == .delivered {
                    webhook.failingSince = nil
                } else {
                    webhook.failingSince = webhook.failingSince ?? now
                }
                if attempt.verdict == .gone {
                    webhook.isEnabled = false
                    webhook.disabledBecause = "it answered with 410"
                    disabled.append(webhook)
                }
                state.webhooks[webhook.id] = webhook
            }
            return disabled
        }
    }

    func nextCall() async throws -> Timestamp? { try working { $0.due.values.min() } }
    func webhookBacklog() async throws -> (waiting: Int, disabled: Int) { try working { ($0.due.count, 0) } }
    func pruneCalls(now: Timestamp) async throws -> Bool { false }
}
