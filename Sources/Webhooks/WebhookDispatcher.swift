import Logging
import NIOCore
import RelayCore
import Synchronization

/// Calls webhooks: claims due calls from the store, posts them, and records the results.
///
/// `WebhookMachine`, a value behind a lock, decides what to do; this class does it.
public final class WebhookDispatcher: Sendable {
    /// An event for metrics.
    public enum Event: Sendable {
        /// An attempt ended this many seconds after it began.
        case attempted(WebhookAttempt.Verdict, seconds: Double)
        /// The relay has disabled a webhook.
        case disabled(WebhookID)
    }

    private let store: any WebhookStore
    private let transport: any WebhookTransport
    private let clock: any RelayClock
    private let random: @Sendable () -> Double
    private let logger: Logger
    private let observe: @Sendable (Event) -> Void

    private let machine: Mutex<WebhookMachine>
    private let policy: Mutex<WebhookAddressPolicy>
    private let alarm: Alarm
    private let isWoken = Atomic(false)
    private let isStopped = Atomic(false)
    private let storeFailureIsTold = Atomic(false)

    init(
        store: any WebhookStore, transport: any WebhookTransport, policy: WebhookAddressPolicy,
        limits: WebhookMachine.Limits = .init(), clock: any RelayClock, logger: Logger,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        observe: @escaping @Sendable (Event) -> Void = { _ in }
    ) {
        self.store = store
        self.transport = transport
        self.clock = clock
        self.random = random
        self.logger = logger
        self.observe = observe
        self.policy = Mutex(policy)
        machine = Mutex(WebhookMachine(limits: limits))
        alarm = Alarm(clock: clock)
    }

    /// - Parameters:
    ///   - version: the relay's version, for the field User-Agent.
    ///   - observe: called on any thread; must return quickly.
    public convenience init(
        store: any WebhookStore, policy: WebhookAddressPolicy, group: any EventLoopGroup, version: String,
        clock: any RelayClock, logger: Logger, observe: @escaping @Sendable (Event) -> Void = { _ in }
    ) {
        let resolver = SystemResolver(clock: clock)
        self.init(
            store: store,
            transport: PinnedTransport(
                resolver: resolver, group: group, clock: clock, agent: "hiveku-relay/\(version)",
                stopResolver: { resolver.shutdown() }),
            policy: policy, clock: clock, logger: logger, observe: observe)
    }

    /// Works until the task is cancelled, then waits a few seconds for running calls to end. Call it once.
    public func run() async {
        await withTaskCancellationHandler {
            // A separate task that is not cancelled: running calls and their records must survive the cancellation.
            await Task {
                // If this fails, the time in which no relay made calls counts towards the time after which a failing
                // webhook is disabled.
                try? await store.beginCalling(now: clock.now())
                await loop()
            }.value
        } onCancel: {
            isStopped.store(true, ordering: .releasing)
            alarm.ring()
        }
    }

    /// Tells the dispatcher that events may have been recorded. This is cheap, and any thread can do it. Several calls
    /// before the dispatcher looks for events count as one.
    public func wake() {
        if !isWoken.exchange(true, ordering: .acquiringAndReleasing) { alarm.ring() }
    }

    /// Sets which addresses may be called from now on.
    public func reconfigure(_ policy: WebhookAddressPolicy) { self.policy.withLock { $0 = policy } }

    private func loop() async {
        while true {
            let wasWoken = isWoken.load(ordering: .acquiring)
            let mustStop = isStopped.load(ordering: .acquiring)
            let now = clock.now()
            let plan = machine.withLock { machine in
                if wasWoken { machine.woken() }
                if mustStop { machine.stop(at: now) }
                return machine.plan(at: now)
            }
            if plan.isFinished { break }
            // The look that follows finds the events that were recorded before this line. A wake() after it causes
            // another look.
            if plan.look { isWoken.store(false, ordering: .releasing) }
            if !plan.settle.isEmpty { Task { await settle(plan.settle) } }
            if let claim = plan.claim { Task { await self.claim(claim) } }
            if plan.look { Task { await look() } }
            await alarm.wait(until: plan.wakeAt)
        }
        alarm.cancel()
        await transport.shutdown()
    }

    private func look() async {
        do {
            let next = try await store.nextCall()
            storeWorks()
            tellMachine { $0.looked(next, at: $1) }
        } catch {
            storeFailed(error)
            tellMachine { $0.lookFailed(at: $1) }
        }
    }

    private func claim(_ claim: WebhookMachine.Claim) async {
        do {
            let claimed = try await store.claimCalls(
                limit: claim.limit, room: claim.room, otherwise: claim.otherwise, ofFailing: claim.ofFailing,
                leaseUntil: claim.leaseUntil, now: clock.now())
            storeWorks()
            let now = clock.now()
            let starts = machine.withLock { $0.claimed(claimed, by: claim, at: now) }
            for start in starts { Task { await call(start) } }
            alarm.ring()
        } catch {
            storeFailed(error)
            tellMachine { $0.claimFailed(at: $1) }
        }
    }

    private func call(_ start: WebhookMachine.Start) async {
        let (startedAt, began) = (clock.now(), clock.monotonicNow())
        let result = await post(start, at: startedAt)
        let seconds = clock.monotonicNow().seconds(since: began)
        let now = clock.now()
        let (attempt, change) = machine.withLock {
            $0.finished(start, result, startedAt: startedAt, at: now, random: random())
        }
        observe(.attempted(attempt.verdict, seconds: seconds))
        tell(start.webhook, result, attempt, change)
        alarm.ring()
    }

    private func post(_ start: WebhookMachine.Start, at now: Timestamp) async -> WebhookResult {
        let url: WebhookURL
        do throws(WebhookURL.Mistake) {
            url = try WebhookURL(start.webhook.url)
        } catch {
            return .failed("the URL \(error.explanation)")
        }
        let signature = WebhookSignature(
            id: start.call.event, body: start.call.body, secrets: start.webhook.secrets(at: now), at: now)
        return await transport.post(
            WebhookRequest(url: url, signature: signature, body: start.call.body),
            policy: policy.withLock { $0 })
    }

    private func settle(_ attempts: [WebhookAttempt]) async {
        do {
            let disabled = try await store.settle(attempts, now: clock.now())
            storeWorks()
            for webhook in disabled {
                var metadata = WebhookDispatcher.metadata(webhook)
                metadata["reason"] = "\(webhook.disabledBecause ?? "it has failed for too long")"
                metadata["remedy"] = "correct the receiver, then run: hiveku-relay webhooks enable \(webhook.id)"
                logger.error("webhook disabled", metadata: metadata)
                observe(.disabled(webhook.id))
            }
            tellMachine { machine, _ in machine.settled(disabled.map(\.id)) }
        } catch {
            storeFailed(error)
            tellMachine { $0.settlingFailed(attempts, at: $1) }
        }
    }

    private func tellMachine(_ event: (inout WebhookMachine, Timestamp) -> Void) {
        let now = clock.now()
        machine.withLock { event(&$0, now) }
        alarm.ring()
    }

    // MARK: Log

    /// Logs when a webhook begins to fail and when it works again. What happens in between is recorded with each call.
    private func tell(_ webhook: Webhook, _ result: WebhookResult, _ attempt: WebhookAttempt, _ change: Bool?) {
        var metadata = WebhookDispatcher.metadata(webhook)
        switch change {
        case true:
            metadata["because"] = "\(result.status.map { "it answered with \($0)" } ?? result.response)"
            logger.warning("webhook fails, its calls will be retried", metadata: metadata)
        case false: logger.notice("webhook works again", metadata: metadata)
        case nil: break
        }
    }

    /// The log metadata of a webhook. The path and the query of the URL are left out, because they contain a secret for
    /// some services.
    private static func metadata(_ webhook: Webhook) -> Logger.Metadata {
        let receiver = (try? WebhookURL(webhook.url))?.origin ?? "unknown"
        return ["webhook": "\(webhook.id)", "key": "\(webhook.key)", "receiver": "\(receiver)"]
    }

    private func storeFailed(_ error: any Error) {
        guard !storeFailureIsTold.exchange(true, ordering: .acquiringAndReleasing) else { return }
        logger.error("webhooks wait for the database", metadata: ["error": "\(error)"])
    }

    private func storeWorks() {
        guard storeFailureIsTold.exchange(false, ordering: .acquiringAndReleasing) else { return }
        logger.notice("webhooks continue, the database can be used again")
    }
}
