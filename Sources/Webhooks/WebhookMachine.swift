import RelayCore

/// Which calls to take, what their results mean, and what to do next: a value without I/O, clock or task.
///
/// Each webhook has room for a few calls at a time, one that fails for one. All that fail share half of the places. So a receiver
/// that hangs, and any number of them, leaves places for the others; and no more calls are in memory than there are places.
struct WebhookMachine: Sendable {
    struct Limits: Sendable, Hashable {
        /// Calls at a time, with those whose results are not on record yet.
        var calls = 64
        /// Of one webhook.
        var ofWebhook = 4
        /// Of all webhooks that fail.
        var ofFailing = 32
        /// A call that was taken is due again after this, unless its result is on record. Longer than a call takes.
        var lease = Duration.seconds(30)
        /// Between two calls of a webhook that fails: 100,000 calls to a port where nobody listens must not keep the machine busy.
        var failingPause = Duration.seconds(1)
        /// The longest pause that a receiver can ask for on behalf of its other calls.
        var longestPause = Duration.seconds(60)
        /// Between two looks into the store while nothing tells that calls wait.
        var look = Duration.seconds(1)
        /// Between two looks while events arrive.
        var shortestLook = Duration.milliseconds(100)
        /// Between two tries at a store that fails; doubles up to the second.
        var storePause = Duration.seconds(1)
        var longestStorePause = Duration.seconds(30)
        /// How long calls under way are waited for at the end. Those that take longer are due again when their lease ends.
        var stopGrace = Duration.seconds(3)
    }

    struct Claim: Sendable, Hashable {
        var limit: Int
        var room: [WebhookID: Int]
        var otherwise: Int
        /// Of all that fail, one of each.
        var ofFailing: Int
        var leaseUntil: Timestamp
    }

    /// A call to be made now.
    struct Start: Sendable, Hashable {
        var call: WebhookCall
        var webhook: Webhook
    }

    struct Plan: Sendable {
        /// Ask when the next call is due.
        var look = false
        var claim: Claim?
        /// Results to record.
        var settle: [WebhookAttempt] = []
        /// Make the next plan then at the latest; nil: when something happens.
        var wakeAt: Timestamp?
        var isFinished = false
    }

    /// What is known of a webhook that has calls under way, or fails.
    private struct Standing: Sendable {
        var calls = 0
        var isFailing = false
        var pausedUntil: Timestamp?
        /// Whether the last claim filled its room, so that more may be due.
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
    /// Whether calls may be due: a claim follows.
    private var mayBeDue = true
    private var isWoken = false
    private var lookAt: Timestamp?
    private var lookNoEarlierThan: Timestamp?
    private var storeRetry: (at: Timestamp, pause: Duration)?
    private var stopsAt: Timestamp?

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Calls under way and results that are not on record.
    var occupied: Int { underWay + results.count + settling }

    /// Whether the store has failed at the last try.
    var storeFails: Bool { storeRetry != nil }

    /// Whether a moment has come that was set so far ahead at most. One that lies farther ahead was set before the clock was put
    /// back.
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
            // What can't be recorded now is due again when its lease ends.
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

    /// Later than `now`: what could be done already waits for something that happens.
    private func nextWake(at now: Timestamp) -> Timestamp? {
        if let storeRetry, !ready(storeRetry.at, limits.longestStorePause, at: now) { return storeRetry.at }
        if isLooking || isClaiming || mayBeDue { return nil }
        let look = max((isWoken ? now : lookAt) ?? now, lookNoEarlierThan ?? now)
        return look > now ? look : nil
    }

    /// The store knows which webhooks fail. Only those that are called at the moment, or pause, are kept from it.
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

    /// Returns what goes on record, and whether the webhook's standing has changed: true where it fails from now on, false where it
    /// works again.
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
        // There is room for more. Where it fails there is a pause first, and the next look finds what is due.
        if result.isSuccess, standing.hasMore || wasFailing { mayBeDue = true }
        standings[id] = standing.calls == 0 && !standing.isFailing ? nil : standing
        if standings.count > WebhookMachine.mostStandings { forgetIdle() }
        // Before it there may have been no place at all.
        if occupied >= limits.calls { mayBeDue = true }
        return (attempt, wasFailing == standing.isFailing ? nil : standing.isFailing)
    }

    private static let mostStandings = 4096

    /// What is forgotten is told again by the store at the next claim.
    private mutating func forgetIdle() { standings = standings.filter { $0.value.calls > 0 } }

    mutating func settled(_ disabled: [WebhookID]) {
        isSettling = false
        // Their places were taken.
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

    /// Takes no more calls. Those under way have some time to end.
    mutating func stop(at now: Timestamp) { if stopsAt == nil { stopsAt = now + limits.stopGrace } }
}
