import RelayCore

/// Decides which calls to claim, what their results mean, and what to do next. It is a value without I/O, clock or
/// task.
///
/// Each webhook has room for a few simultaneous calls, and a failing webhook for one. All failing webhooks together get
/// half of the places. So any number of receivers that hang leave places for the others, and no more calls are in
/// memory than there are places.
struct WebhookMachine: Sendable {
    struct Limits: Sendable, Hashable {
        /// The most calls at a time, including those whose results are not recorded yet.
        var calls = 64
        /// The most calls of one webhook.
        var ofWebhook = 4
        /// The most calls of all failing webhooks.
        var ofFailing = 32
        /// A claimed call is due again after this time unless its result is recorded. It must be longer than a
        /// call can take (``PinnedTransport``): otherwise a call that is still running is claimed again.
        var lease = Duration.seconds(30)
        /// The pause between two calls of a failing webhook: 100,000 calls to a port without a listener must not keep
        /// the machine busy.
        var failingPause = Duration.seconds(1)
        /// The longest time for which the Retry-After of one call delays the other calls of the same webhook.
        var longestPause = Duration.seconds(60)
        /// The pause between two looks for due calls in the store while there is no sign of waiting calls.
        var look = Duration.seconds(1)
        /// The pause between two looks while events arrive.
        var shortestLook = Duration.milliseconds(100)
        /// The first pause between two attempts to use a failing store. It doubles with each failure, up to
        /// `longestStorePause`.
        var storePause = Duration.seconds(1)
        var longestStorePause = Duration.seconds(30)
        /// How long running calls may take at the end. Calls that take longer are due again when their lease ends.
        var stopGrace = Duration.seconds(3)
    }

    struct Claim: Sendable, Hashable {
        var limit: Int
        var room: [WebhookID: Int]
        var otherwise: Int
        /// The number of calls for all failing webhooks together. Each failing webhook gets one.
        var ofFailing: Int
        var leaseUntil: Timestamp
    }

    /// A call to make now.
    struct Start: Sendable, Hashable {
        var call: WebhookCall
        var webhook: Webhook
    }

    struct Plan: Sendable {
        /// Whether to ask the store when the next call is due.
        var look = false
        var claim: Claim?
        /// The results to record.
        var settle: [WebhookAttempt] = []
        /// When to make the next plan at the latest; nil: when an event happens.
        var wakeAt: Timestamp?
        var isFinished = false
    }

    /// What is known about a webhook that has running calls or is failing.
    private struct Standing: Sendable {
        var calls = 0
        var isFailing = false
        var pausedUntil: Timestamp?
        /// Whether the last claim filled the webhook's room, so that more calls may be due.
        var hasMore = false
    }

    let limits: Limits
    private var standings: [WebhookID: Standing] = [:]
    private var underWay = 0
    private var results: [WebhookAttempt] = []
    private var settling = 0
    private var isSettling = false
    private var isClaiming = false
    private var isLooking = false
    /// Whether calls may be due, so that a claim is needed.
    private var mayBeDue = true
    private var isWoken = false
    private var lookAt: Timestamp?
    private var lookNoEarlierThan: Timestamp?
    private var storeRetry: (at: Timestamp, pause: Duration)?
    private var stopsAt: Timestamp?

    init(limits: Limits = Limits()) { self.limits = limits }

    /// The number of running calls and of results that are not recorded.
    var occupied: Int { underWay + results.count + settling }

    /// Whether the last attempt to use the store failed.
    var storeFails: Bool { storeRetry != nil }

    /// Whether `moment` has come. No moment is set more than `longest` ahead. One that is farther ahead was set before
    /// the clock was set back, and counts as come.
    private func ready(_ moment: Timestamp?, _ longest: Duration, at now: Timestamp) -> Bool {
        moment.map { $0 <= now || $0 > now + longest } ?? true
    }

    // MARK: What to do

    mutating func plan(at now: Timestamp) -> Plan {
        var plan = Plan()
        let storeIsReady = ready(storeRetry?.at, limits.longestStorePause, at: now)
        if storeIsReady, !isSettling, !results.isEmpty {
            plan.settle = results
            settling = results.count
            results = []
            isSettling = true
        }
        if let stopsAt {
            // If results can't be recorded now, their calls are due again when their lease ends.
            let isOver = ready(stopsAt, limits.stopGrace, at: now) || (underWay == 0 && !isClaiming)
            plan.isFinished = isOver && !isSettling && (results.isEmpty || storeFails)
            if !isOver { plan.wakeAt = stopsAt }
            return plan
        }
        if storeIsReady, !isClaiming, mayBeDue, occupied < limits.calls {
            mayBeDue = false
            isClaiming = true
            plan.claim = claim(at: now)
        }
        if storeIsReady, !isLooking, !isClaiming, !mayBeDue, ready(lookAt, limits.look, at: now) || isWoken,
            ready(lookNoEarlierThan, limits.shortestLook, at: now)
        {
            plan.look = true
            isLooking = true
            isWoken = false
        }
        plan.wakeAt = nextWake(at: now)
        return plan
    }

    /// When to make the next plan if no event happens: nil, or later than `now`. Work that is due but not in this plan
    /// waits for an event, which causes another plan.
    private func nextWake(at now: Timestamp) -> Timestamp? {
        if let storeRetry, !ready(storeRetry.at, limits.longestStorePause, at: now) { return storeRetry.at }
        if isLooking || isClaiming || mayBeDue { return nil }
        let look = max((isWoken ? now : lookAt) ?? now, lookNoEarlierThan ?? now)
        return look > now ? look : nil
    }

    /// The store knows which webhooks are failing. Only webhooks that are being called at the moment, or that pause,
    /// are excluded here.
    private mutating func claim(at now: Timestamp) -> Claim {
        standings = standings.filter { _, standing in
            standing.calls > 0 || !ready(standing.pausedUntil, limits.longestPause, at: now)
        }
        let room = standings.mapValues { $0.isFailing ? 0 : max(0, limits.ofWebhook - $0.calls) }
        let failing = standings.values.reduce(0) { $0 + ($1.isFailing ? $1.calls : 0) }
        return Claim(
            limit: limits.calls - occupied, room: room, otherwise: limits.ofWebhook,
            ofFailing: max(0, limits.ofFailing - failing), leaseUntil: now + limits.lease)
    }

    // MARK: What happened

    /// Events were recorded.
    mutating func woken() { isWoken = true }

    mutating func looked(_ next: Timestamp?, at now: Timestamp) {
        isLooking = false
        storeRetry = nil
        lookNoEarlierThan = now + limits.shortestLook
        lookAt = now + limits.look
        guard let next else { return }
        if next <= now { mayBeDue = true } else { lookAt = min(next, now + limits.look) }
    }

    /// Returns the calls to make.
    mutating func claimed(
        _ claimed: [(call: WebhookCall, webhook: Webhook)], by claim: Claim, at now: Timestamp
    ) -> [Start] {
        isClaiming = false
        storeRetry = nil
        if claimed.count >= claim.limit { mayBeDue = true }
        lookAt = now + limits.look
        lookNoEarlierThan = now + limits.shortestLook
        for (id, room) in claim.room where room > 0 { standings[id]?.hasMore = false }
        var taken: [WebhookID: Int] = [:]
        let starts = claimed.map { call, webhook in
            taken[webhook.id, default: 0] += 1
            standings[webhook.id, default: Standing()].calls += 1
            if webhook.failingSince != nil { standings[webhook.id]?.isFailing = true }
            return Start(call: call, webhook: webhook)
        }
        underWay += starts.count
        for (id, count) in taken { standings[id]?.hasMore = count >= (claim.room[id] ?? claim.otherwise) }
        return starts
    }

    /// Returns the result to record, and whether the webhook's state has changed: true if it fails from now on, false
    /// if it works again.
    mutating func finished(
        _ start: Start, _ result: WebhookResult, startedAt: Timestamp, at now: Timestamp, random: Double
    ) -> (attempt: WebhookAttempt, change: Bool?) {
        let id = start.webhook.id
        let verdict = WebhookSchedule.verdict(on: result, of: start.call, at: now, random: random)
        let attempt = WebhookAttempt(
            call: start.call.id, webhook: id, verdict: verdict, startedAt: startedAt, finishedAt: now,
            status: result.status, response: result.response)
        underWay -= 1
        results.append(attempt)
        var standing = standings[id] ?? Standing(calls: 1)
        let wasFailing = standing.isFailing
        standing.calls = max(0, standing.calls - 1)
        standing.isFailing = !result.isSuccess
        if result.isSuccess {
            standing.pausedUntil = nil
        } else {
            let asked = result.retryAfter(from: now) ?? now
            standing.pausedUntil = max(now + limits.failingPause, min(asked, now + limits.longestPause))
        }
        // There is room for more calls of this webhook. A webhook that fails pauses first, and the next look finds its
        // due calls.
        if result.isSuccess, standing.hasMore || wasFailing { mayBeDue = true }
        standings[id] = standing.calls == 0 && !standing.isFailing ? nil : standing
        if standings.count > WebhookMachine.mostStandings { forgetIdle() }
        // The result keeps the call's place until it is recorded. If no place is free, calls may have become due that
        // were not claimed.
        if occupied >= limits.calls { mayBeDue = true }
        return (attempt, wasFailing == standing.isFailing ? nil : standing.isFailing)
    }

    private static let mostStandings = 4096

    /// The store reports forgotten state again at the next claim.
    private mutating func forgetIdle() { standings = standings.filter { $0.value.calls > 0 } }

    mutating func settled(_ disabled: [WebhookID]) {
        isSettling = false
        // Until now, the recorded results took places. If they left none, calls that were due were not claimed.
        if settling + underWay + results.count >= limits.calls { mayBeDue = true }
        settling = 0
        storeRetry = nil
        for id in disabled where standings[id]?.calls == 0 { standings[id] = nil }
    }

    mutating func settlingFailed(_ attempts: [WebhookAttempt], at now: Timestamp) {
        isSettling = false
        settling = 0
        results = attempts + results
        storeFailed(at: now)
    }

    mutating func claimFailed(at now: Timestamp) {
        isClaiming = false
        mayBeDue = true
        storeFailed(at: now)
    }

    mutating func lookFailed(at now: Timestamp) {
        isLooking = false
        lookAt = nil
        storeFailed(at: now)
    }

    private mutating func storeFailed(at now: Timestamp) {
        let pause = storeRetry.map { min($0.pause * 2, limits.longestStorePause) } ?? limits.storePause
        storeRetry = (now + pause, pause)
    }

    /// Stops claiming calls. Running ones have some time to end.
    mutating func stop(at now: Timestamp) { if stopsAt == nil { stopsAt = now + limits.stopGrace } }
}
