import Logging
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Webhooks

@Suite("The dispatcher") struct WebhookDispatcherTests {
    /// Gives the answer of each host. A call to a host without an answer hangs until `release`.
    private final class ScriptedTransport: WebhookTransport {
        private struct State {
            var answers: [String: WebhookResult] = [:]
            var waiting: [(host: String, continuation: CheckedContinuation<WebhookResult, Never>)] = []
            var requests: [WebhookRequest] = []
            var most: [String: Int] = [:]
        }

        private let state = Mutex(State())

        init(_ answers: [String: WebhookResult]) { state.withLock { $0.answers = answers } }

        var requests: [WebhookRequest] { state.withLock { $0.requests } }
        /// The most calls to this host that were open at the same time.
        func most(_ host: String) -> Int { state.withLock { $0.most[host] ?? 0 } }

        func post(_ request: WebhookRequest, policy: WebhookAddressPolicy) async -> WebhookResult {
            let host = request.url.hostText
            return await withCheckedContinuation { continuation in
                let answer = state.withLock { state in
                    state.requests.append(request)
                    let answer = state.answers[host]
                    if answer == nil {
                        state.waiting.append((host, continuation))
                        state.most[host] = max(state.most[host] ?? 0, state.waiting.count { $0.host == host })
                    }
                    return answer
                }
                if let answer { continuation.resume(returning: answer) }
            }
        }

        func release(_ result: WebhookResult) {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for waiter in waiting { waiter.continuation.resume(returning: result) }
        }

        func shutdown() async {}
    }

    private func dispatcher(_ store: MemoryWebhooks, _ transport: ScriptedTransport, _ clock: ManualClock)
        -> WebhookDispatcher
    {
        WebhookDispatcher(
            store: store, transport: transport, policy: WebhookAddressPolicy(), clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, random: { 0.5 })
    }

    private func running(_ dispatcher: WebhookDispatcher, _ body: () async throws -> Void) async rethrows {
        let run = Task { await dispatcher.run() }
        try await body()
        run.cancel()
        await run.value
    }

    @Test("Waiting calls are signed, sent and recorded") func sends() async throws {
        let (store, clock) = (MemoryWebhooks(), ManualClock())
        let hook = webhook()
        _ = try await store.insert(hook)
        for id in 1...200 { _ = try await store.insert(call(Int64(id), of: hook), now: clock.now()) }
        let transport = ScriptedTransport(["app.example.com": ok])
        await running(dispatcher(store, transport, clock)) {
            await store.until { $0.attempts.count == 200 }
        }
        #expect(store.attempts.allSatisfy { $0.verdict == .delivered && $0.status == 200 })
        #expect(Set(transport.requests.map(\.signature.id)).count == 200)
        let first = try #require(transport.requests.first)
        #expect(
            first.signature
                == WebhookSignature(id: first.signature.id, body: first.body, secrets: [hook.secret], at: clock.now()))
    }

    @Test("A receiver that hangs delays no other receiver, and uses 4 places") func hanging() async throws {
        let (store, clock) = (MemoryWebhooks(), ManualClock())
        let (good, bad) = (webhook(1, url: "https://good.example/"), webhook(2, url: "https://bad.example/"))
        for hook in [good, bad] { _ = try await store.insert(hook) }
        for id in 1...100 { _ = try await store.insert(call(Int64(id), of: bad), now: clock.now()) }
        for id in 101...200 { _ = try await store.insert(call(Int64(id), of: good), now: clock.now()) }
        let transport = ScriptedTransport(["good.example": ok])
        await running(dispatcher(store, transport, clock)) {
            await store.until { $0.attempts.count == 100 }
            #expect(store.attempts.allSatisfy { $0.webhook == good.id })
            #expect(transport.most("bad.example") == 4)
            transport.release(.failed("timed out"))
            await store.until { $0.attempts.count == 104 }
        }
    }

    @Test("410 disables a webhook, and an invalid address causes no crash") func gone() async throws {
        let (store, clock) = (MemoryWebhooks(), ManualClock())
        let (gone, odd) = (webhook(1, url: "https://gone.example/"), webhook(2, url: "https://127.1/"))
        for (id, hook) in [gone, odd].enumerated() {
            _ = try await store.insert(hook)
            _ = try await store.insert(call(Int64(id), of: hook), now: clock.now())
        }
        let transport = ScriptedTransport(["gone.example": .answered(status: 410, retryAfter: nil, excerpt: "")])
        await running(dispatcher(store, transport, clock)) { await store.until { $0.attempts.count == 2 } }
        #expect(try await store.webhook(gone.id)?.isEnabled == false)
        let refused = try #require(store.attempts.first { $0.webhook == odd.id })
        #expect(refused.response.mentions("number", "IPv4"))
        #expect(transport.requests.count == 1)
    }

    @Test("Nothing is lost if the store fails for a time") func storeFails() async throws {
        let (store, clock) = (MemoryWebhooks(), ManualClock())
        let hook = webhook()
        _ = try await store.insert(hook)
        _ = try await store.insert(call(1, of: hook), now: clock.now())
        store.change { $0.failure = .full }
        let transport = ScriptedTransport(["app.example.com": ok])
        await running(dispatcher(store, transport, clock)) {
            store.change { $0.failure = nil }
            let time = Task {
                while !Task.isCancelled {
                    clock.advance(.seconds(1))
                    await Task.yield()
                }
            }
            await store.until { $0.attempts.count == 1 }
            time.cancel()
        }
    }
}
