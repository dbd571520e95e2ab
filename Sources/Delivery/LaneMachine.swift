import RelayCore

/// A lane's worker as a state machine. Events report what happened, and ``plan(at:)`` returns what must be done.
///
/// A value without tasks, clock, log or store. When it must wait, it returns the time at which to ask for the next
/// plan. When an operation of a plan completes, an event reports it, and a new plan is due.
struct LaneMachine {
    struct Claiming: Equatable {
        var limit: Int
        /// Claim no more deliveries once the claimed ones have this many recipients together.
        var recipients: Int
        var leaseUntil: Timestamp
        var isProbe: Bool
    }

    struct Upkeep: Equatable {
        var extend: [DeliveryID] = []
        var leaseUntil: Timestamp
        var reclaim = false
        /// Look for deliveries that are due later than the longest pause allows.
        var bringForward = false
        /// Deliveries that are due later than this were queued before the clock was set back.
        var latestDue: Timestamp
        var status: LaneStatus?
        /// The place in which the status is recorded.
        var place: Int64?
    }

    /// What must be done. Several attempts may run at the same time. Of each other kind of operation, at most one runs
    /// at a time.
    struct Plan {
        var starts: [ActiveSet.Attempt] = []
        var claim: Claiming?
        var settle: [Settlement] = []
        /// Ask when the next delivery will be due.
        var look = false
        var upkeep: Upkeep?
        var askQuota = false
        var cancelSenders = false
        var isFinished = false
        /// Whether another plan is wanted as soon as something is put into the queue. If not, ``LaneMachine/woken()``
        /// can wait until the next plan is asked for, because nothing would be claimed earlier.
        var wantsToBeWoken = false
        var notes: [Note] = []
        /// When to ask for a plan again if nothing happens. Nil when only an event can change the plan.
        var wakeAt: Timestamp?
    }

    /// What must be logged and reported to observers.
    enum Note {
        case ended(ClaimedDelivery, Settlement)
        case suppressed(ClaimedDelivery)
        case retried(ClaimedDelivery, Settlement, OutageLog.Line)
        case outageEnded(retries: Int, seconds: Double)
        case slowedDown(rate: Double, isNews: Bool)
        case held(DeliveryOutcome.Cause, alert: Bool)
        case resumed(afterSeconds: Double)
        case storeFailed(any Error)
        case storeRecovered(afterSeconds: Double)
        case reclaimed(Int)
        case broughtForward(Int)
        /// At shutdown: this many outcomes could not be recorded.
        case unrecorded(Int)
    }

    private enum Phase: Equatable {
        case running
        /// Attempts in progress may still complete.
        case draining(until: MonotonicTime)
        /// Attempts in progress were cancelled.
        case cancelling(until: MonotonicTime)
        /// The last outcomes are being recorded.
        case closing(until: MonotonicTime)
    }

    private let lane: Lane
    private var configuration: DeliveryConfiguration
    private let hasQuotaSource: Bool
    private let reclaimInterval: Duration

    private var phase = Phase.running
    private var active = ActiveSet()
    private var rateController: SendRateController?
    /// Whether this process may still send what it has claimed.
    private var ownsClaims = true
    private var hold = LaneHold()
    private var storeOutage = StoreOutage()
    private var transportOutage = OutageLog()
    private var notes: [Note] = []

    private var isClaiming = false
    private var isLooking = false
    private var isKeepingUp = false
    private var isAskingQuota = false

    /// Whether there may be due deliveries that have not been claimed.
    private var mayHaveDue = true
    private var nextDueAt: Timestamp?
    private var pollAt: MonotonicTime
    private var upkeepAt: MonotonicTime
    private var bringForwardAt: MonotonicTime
    private var quotaAt: MonotonicTime
    /// Nothing is sent before the account's quota is known or this time is reached.
    private var awaitsQuotaUntil: MonotonicTime
    private var sentSinceQuota = true
    private var nextSender = 0
    /// The time of the first outcome that waits to be recorded together with others. Nil when outcomes need not wait.
    private var unsettledSince: MonotonicTime?
    /// The time for which the last plan requested the next plan. Nil when only an event can change the plan.
    private var wakesAt: MonotonicTime?

    private let startedAt: MonotonicTime
    /// The longest pause that any schedule has allowed since the start, even if the present schedule allows only
    /// shorter pauses.
    private var longestPause: Duration
    private var since: Timestamp
    private var recorded: LaneStatus?
    /// The place in which the status was recorded.
    private var place: Int64?
    private var recordedAt = MonotonicTime.distantPast
    private var slowedDownAt = MonotonicTime.distantPast

    static let upkeepInterval = Duration.seconds(30)
    static let quotaTimeout = Duration.seconds(5)
    static let cancelTime = Duration.seconds(1)
    static let closeTime = Duration.seconds(5)
    /// The lane's rate is recorded again when it has changed by more than this fraction, but at most once in each
    /// ``statusInterval``.
    static let notableChange = 0.1
    static let statusInterval = Duration.seconds(10)
    static let slowedDownInterval = Duration.seconds(60)

    /// - Parameter reclaimInterval: how often to look for deliveries of relays that no longer run. Used if it is
    ///   shorter than the interval at which leases are extended.
    init(
        lane: Lane, configuration: DeliveryConfiguration, hasQuotaSource: Bool,
        reclaimInterval: Duration = LaneMachine.upkeepInterval, at now: Moment
    ) {
        self.reclaimInterval = reclaimInterval
        self.lane = lane
        self.configuration = configuration
        self.hasQuotaSource = hasQuotaSource
        if case .account(let setting) = configuration.pacing {
            rateController = SendRateController(setting: setting, at: now.monotonic)
        }
        startedAt = now.monotonic
        longestPause = configuration.schedule.longestPause
        since = now.time
        pollAt = now.monotonic
        upkeepAt = now.monotonic
        bringForwardAt = now.monotonic
        quotaAt = now.monotonic
        awaitsQuotaUntil = hasQuotaSource ? now.monotonic + LaneMachine.quotaTimeout : .distantPast
    }

    /// Tells the machine what this process may do, if several relays share the queue. Call it before each plan and each
    /// outcome.
    ///
    /// - Parameter place: the number under which this relay records the status of its lane, if several relays share the
    ///   queue. Nil if it has no such number now, or if only this process uses the queue.
    mutating func setMembership(ownsClaims: Bool, shareOfRate: RateShare, place: Int64? = nil, at now: Moment) {
        if let place, place != self.place {
            self.place = place
            // The status belongs to the place, so it is recorded again in the new place.
            recorded = nil
        }
        rateController?.take(share: shareOfRate, at: now.monotonic)
        self.ownsClaims = ownsClaims
        // Deliveries that this process may not send are left to the other relays.
        if !hasPlace { releaseWaiting(at: now) }
    }

    /// Whether this process may claim and send.
    private var hasPlace: Bool { ownsClaims && rateController?.maySend ?? true }

    private var isRunning: Bool { phase == .running }
    private var isClosing: Bool { if case .closing = phase { true } else { false } }

    /// Returns what must be done now, and the time until which nothing else must be done.
    mutating func plan(at now: Moment) -> Plan {
        var plan = Plan()
        advancePhase(&plan, now)
        while let attempt = startNext(for: nextSender, at: now) {
            plan.starts.append(attempt)
            nextSender += 1
        }
        plan.claim = beginClaim(at: now)
        plan.look = beginLook(at: now)
        plan.askQuota = beginAskingQuota(at: now)
        plan.settle = beginSettling(at: now)
        plan.upkeep = beginUpkeep(at: now)
        plan.notes = notes
        notes = []
        plan.wantsToBeWoken = !mayHaveDue && !isClaiming
        plan.wakeAt = wakeAt(now)
        return plan
    }

    /// Replaces the retry schedule and the highest rate. A retry that was already scheduled keeps its time.
    mutating func reconfigured(schedule: RetrySchedule, maximumRate: Double?, at now: Moment) {
        configuration.schedule = schedule
        longestPause = max(longestPause, schedule.longestPause)
        // The rest of this function concerns the rate, which `Pacing.unlimited` does not have.
        guard case .account = configuration.pacing else { return }
        configuration.pacing = .account(maximumRate: maximumRate)
        rateController?.limit(to: maximumRate, at: now.monotonic)
    }

    /// Whether a new plan is worth asking for after an attempt finished.
    func needsPlan(at now: Moment) -> Bool {
        !notes.isEmpty || !isRunning || maySettle(at: now) || mustWakeToSettle || claimable(at: now) > 0
            || (active.waiting > 0 && active.underWay.count < configuration.concurrency)
    }
}

// MARK: - Attempts

extension LaneMachine {
    /// The transport has finished an attempt. Returns the next attempt for the same sender; nil if there is none, and
    /// the sender ends.
    mutating func finished(
        _ attempt: ActiveSet.Attempt, _ outcome: DeliveryOutcome, at now: Moment, random: () -> Double
    ) -> ActiveSet.Attempt? {
        guard let attempt = active.finished(attempt) else { return nil }
        var pace: DeliveryOutcome.Pace?
        if case .retry(_, let told) = outcome { pace = told }
        let settlement = Settlement(
            outcome, of: attempt.delivery, schedule: configuration.schedule, mayGiveUp: mayGiveUp(at: now),
            startedAt: attempt.startedAt.time, finishedAt: now.time, random: pace == nil ? 0 : random())
        if active.unsettled.isEmpty { unsettledSince = now.monotonic }
        active.ended(attempt.claim, settlement, pace: pace)
        sentSinceQuota = true
        adjustRate(outcome, sentAt: attempt.startedAt.monotonic, at: now)
        judgeLane(outcome, attempt, at: now)
        return startNext(for: attempt.sender, at: now)
    }

    /// An attempt was not made, or was broken off, because another relay may have the delivery by now. The delivery
    /// goes back to the queue.
    ///
    /// - Parameter mayHaveBeenTaken: whether SES may have accepted the message, because the transport had begun to send
    ///   it.
    mutating func gaveUp(_ attempt: ActiveSet.Attempt, mayHaveBeenTaken: Bool, at now: Moment) {
        guard let attempt = active.finished(attempt) else { return }
        var settlement = Settlement(releasing: attempt.delivery, at: now.time)
        settlement.mayHaveBeenTaken = mayHaveBeenTaken
        if mayHaveBeenTaken {
            settlement.startedAt = attempt.startedAt.time
            settlement.reason =
                "claim-lost: this relay lost contact with the database while the message was being sent; another relay may send it too"
        }
        if active.unsettled.isEmpty { unsettledSince = now.monotonic }
        active.ended(attempt.claim, settlement)
        if attempt.isProbe { hold.foundNothing() }
    }

    /// Whether a delivery may be given up. Time during which the lane was held, or the relay was not running, does not
    /// count as time in which the message was tried.
    private func mayGiveUp(at now: Moment) -> Bool {
        let movingSince = max(startedAt, hold.resumedAt)
        return !hold.isHeld && now.monotonic - movingSince >= configuration.schedule.grace
    }

    private mutating func startNext(for sender: Int, at now: Moment) -> ActiveSet.Attempt? {
        guard mayStart else { return nil }
        guard (rateController?.delay(at: now.monotonic) ?? 0) <= 0 else { return nil }
        while let claim = active.next() {
            guard claim.leaseUntil > now.time else {
                // The computer slept, or its clock was set forward. Another process may have the delivery by now.
                giveBack(claim, at: now)
                continue
            }
            rateController?.take(claim.delivery.recipientCount, at: now.monotonic)
            let attempt = ActiveSet.Attempt(sender: sender, claim: claim, startedAt: now, isProbe: hold.isHeld)
            active.started(attempt)
            return attempt
        }
        return nil
    }

    /// Whether an attempt may start. Whether the lane is held need not be checked: a held lane has no waiting delivery
    /// other than the probe, and the probe may start.
    private var mayStart: Bool { hasNext && active.underWay.count < configuration.concurrency }

    /// Whether another attempt could start if the number of attempts at the same time were not limited.
    private var hasNext: Bool { isRunning && hasPlace && !storeOutage.isFailing && active.waiting > 0 }

    private mutating func giveBack(_ claim: ActiveSet.Claim, at now: Moment) {
        active.ended(claim, Settlement(releasing: claim.delivery, at: now.time))
        hold.foundNothing()
    }

    private mutating func releaseWaiting(at now: Moment) {
        while let claim = active.next() { giveBack(claim, at: now) }
    }

    private mutating func adjustRate(_ outcome: DeliveryOutcome, sentAt: MonotonicTime, at now: Moment) {
        let wasCut: Bool
        switch outcome {
        case .sent, .simulated, .failed:
            _ = rateController?.answered(throttled: false, sentAt: sentAt, at: now.monotonic)
            return
        case .retry(_, .throttled):
            wasCut = rateController?.answered(throttled: true, sentAt: sentAt, at: now.monotonic) ?? false
        case .retry, .laneHeld: return
        }
        guard wasCut, let rate = rateController?.rate(at: now.monotonic) else { return }
        let isNews = now.monotonic - slowedDownAt >= LaneMachine.slowedDownInterval
        if isNews { slowedDownAt = now.monotonic }
        notes.append(.slowedDown(rate: rate, isNews: isNews))
    }

    /// Draws conclusions from an outcome about the whole lane.
    private mutating func judgeLane(_ outcome: DeliveryOutcome, _ attempt: ActiveSet.Attempt, at now: Moment) {
        switch outcome {
        case .laneHeld(let cause, let alert):
            if attempt.isProbe { return hold.probeFailed(at: now.monotonic) }
            // An attempt that began before the lane moved again says nothing about the lane's present state.
            guard attempt.startedAt.monotonic >= hold.resumedAt, hold.begin(cause, at: now) else { return }
            since = now.time
            releaseWaiting(at: now)
            notes.append(.held(cause, alert: alert))
        case .sent, .simulated, .failed, .retry(_, .throttled):
            // A refusal of the message, or throttling, also shows that the account may send.
            guard attempt.isProbe, let held = hold.held else { return }
            hold.resume(at: now.monotonic)
            since = now.time
            mayHaveDue = true
            notes.append(.resumed(afterSeconds: now.monotonic.seconds(since: held.since.monotonic)))
        case .retry:
            if attempt.isProbe { hold.probeFailed(at: now.monotonic) }
        }
    }
}

// MARK: - Claims

extension LaneMachine {
    /// Something was put into the queue.
    mutating func woken() { mayHaveDue = true }

    mutating func claimed(_ found: DeliveryClaim, by claim: Claiming, at now: Moment) {
        isClaiming = false
        storeWorked(.claim, at: now)
        notes += found.suppressed.map { .suppressed($0) }
        let deliveries = found.deliveries
        let isAll =
            found.suppressed.isEmpty && deliveries.count < claim.limit
            && deliveries.reduce(0, { $0 + $1.recipientCount }) < claim.recipients
        if isAll { pollAt = now.monotonic + configuration.pollInterval } else { mayHaveDue = true }
        active.claimed(deliveries, leaseUntil: claim.leaseUntil)
        // In the meantime the lane may have been held, or the worker may have been stopped.
        if !isRunning || !hasPlace || hold.isHeld != claim.isProbe { return releaseWaiting(at: now) }
        if claim.isProbe, active.waiting == 0 { hold.foundNothing() }
    }

    mutating func claimFailed(_ error: any Error, at now: Moment) {
        isClaiming = false
        mayHaveDue = true
        hold.foundNothing()
        storeFailed(.claim, error, at: now)
    }

    mutating func looked(_ next: Timestamp?, at now: Moment) {
        isLooking = false
        nextDueAt = next
        storeWorked(.look, at: now)
    }

    mutating func lookFailed(_ error: any Error, at now: Moment) {
        isLooking = false
        storeFailed(.look, error, at: now)
    }

    private func isDue(_ now: Moment) -> Bool { mayHaveDue || nextDueAt.map { $0 <= now.time } ?? false }

    /// The most deliveries to claim now. Where the account's rate applies, this is also the number of recipients at
    /// which the claim ends.
    private func claimable(at now: Moment) -> Int {
        guard isRunning, hasPlace, !isClaiming, isDue(now), storeOutage.mayAsk(at: now.monotonic),
            now.monotonic >= awaitsQuotaUntil
        else { return 0 }
        if let held = hold.held {
            return hold.mayProbe(at: now.monotonic) && (held.isCleared || !hasQuotaSource) && active.waiting == 0
                ? 1 : 0
        }
        let room = configuration.maxActive - active.count
        let target = waitingTarget(at: now)
        let waiting = rateController == nil ? active.waiting : active.waitingRecipients
        let wanted = min(room, configuration.claimBatch, target - waiting)
        guard wanted > 0 else { return 0 }
        // A claim costs a sync. So the next claim waits until enough deliveries are wanted, or until there is nothing
        // else to do.
        let isIdle = active.waiting == 0 && active.settling.isEmpty
        return isIdle || wanted >= min(configuration.claimBatch, (target + 3) / 4) ? wanted : 0
    }

    /// How many deliveries should wait for their turn, or how many recipients where the account's rate applies. With a
    /// limited rate, this is the number that can be sent in one second. So a key that is new in the queue need not wait
    /// for many deliveries of other keys.
    private func waitingTarget(at now: Moment) -> Int {
        guard let rate = rateController?.rate(at: now.monotonic) else { return configuration.maxActive }
        return min(configuration.maxActive, max(1, Int(min(rate, 1e6).rounded(.up))))
    }

    private mutating func beginClaim(at now: Moment) -> Claiming? {
        let limit = claimable(at: now)
        guard limit > 0 else { return nil }
        isClaiming = true
        mayHaveDue = false
        if let next = nextDueAt, next <= now.time { nextDueAt = nil }
        let isProbe = hold.isHeld
        if isProbe { hold.probing() }
        return Claiming(
            limit: limit, recipients: rateController == nil ? .max : limit,
            leaseUntil: now.time + configuration.leaseTime,
            isProbe: isProbe)
    }

    private mutating func beginLook(at now: Moment) -> Bool {
        guard isRunning, !isLooking, !isClaiming, !isDue(now), now.monotonic >= pollAt,
            storeOutage.mayAsk(at: now.monotonic),
            !hold.isHeld || hold.mayProbe(at: now.monotonic)
        else { return false }
        isLooking = true
        pollAt = now.monotonic + configuration.pollInterval
        return true
    }
}

// MARK: - Records

extension LaneMachine {
    mutating func settled(at now: Moment) {
        for ended in active.settling { tell(ended, at: now) }
        active.settled()
        storeWorked(.settle, at: now)
    }

    mutating func settlingFailed(_ error: any Error, at now: Moment) {
        unsettledSince = nil
        active.settlingFailed()
        storeFailed(.settle, error, at: now)
    }

    mutating func keptUp(_ upkeep: Upkeep, reclaimed: Int, broughtForward: Int, at now: Moment) {
        isKeepingUp = false
        active.extended(upkeep.extend, until: upkeep.leaseUntil)
        // The status counts as recorded only if the place has not changed in the meantime.
        if let status = upkeep.status, upkeep.place == place {
            recorded = status
            recordedAt = now.monotonic
        }
        if reclaimed > 0 {
            mayHaveDue = true
            notes.append(.reclaimed(reclaimed))
        }
        if broughtForward > 0 {
            mayHaveDue = true
            notes.append(.broughtForward(broughtForward))
        }
        storeWorked(.upkeep, at: now)
    }

    mutating func upkeepFailed(_ error: any Error, at now: Moment) {
        isKeepingUp = false
        upkeepAt = now.monotonic
        storeFailed(.upkeep, error, at: now)
    }

    private mutating func tell(_ ended: ActiveSet.Ended, at now: Moment) {
        switch ended.settlement.result {
        case .retry(let due):
            nextDueAt = nextDueAt.map { min($0, due) } ?? due
            let line = ended.pace == .throttled ? .quiet : transportOutage.retried(at: now.monotonic)
            notes.append(.retried(ended.delivery, ended.settlement, line))
        case .sent, .simulated, .failed:
            // A delivery that was given up has a pace. It got no answer, so it does not end an outage.
            if ended.pace == nil, let over = transportOutage.answered(at: now.monotonic) {
                notes.append(.outageEnded(retries: over.retries, seconds: over.seconds))
            }
            notes.append(.ended(ended.delivery, ended.settlement))
        case .released: mayHaveDue = true
        }
    }

    private func maySettle(at now: Moment) -> Bool {
        guard !active.unsettled.isEmpty, active.settling.isEmpty,
            storeOutage.mayAsk(at: now.monotonic, inHurry: isClosing)
        else { return false }
        if let settlesAt, now.monotonic < settlesAt { return false }
        // Outcomes wait for a full batch only while deliveries wait for their turn and may be sent. Otherwise the batch
        // might never fill: while the store fails, no delivery starts, and the deliveries that wait for their turn
        // leave no room for new claims.
        return active.unsettled.count >= configuration.settleBatch || !hasNext
    }

    /// Until when outcomes wait to be recorded with others; nil when they do not wait.
    private var settlesAt: MonotonicTime? {
        guard isRunning, active.unsettled.count < active.underWay.count, active.settling.isEmpty else { return nil }
        return unsettledSince.map { $0 + configuration.settleDelay }
    }

    private var mustWakeToSettle: Bool {
        settlesAt.map { settlesAt in wakesAt.map { settlesAt < $0 } ?? true } ?? false
    }

    private mutating func beginSettling(at now: Moment) -> [Settlement] {
        guard maySettle(at: now) else { return [] }
        unsettledSince = nil
        return active.beginSettling().map(\.settlement)
    }

    private mutating func beginUpkeep(at now: Moment) -> Upkeep? {
        guard !isClosing, !isKeepingUp, storeOutage.mayAsk(at: now.monotonic) else { return nil }
        var upkeep = Upkeep(
            leaseUntil: now.time + configuration.leaseTime, latestDue: now.time + longestPause,
            status: statusToRecord(at: now), place: place)
        if now.monotonic >= upkeepAt {
            upkeepAt = now.monotonic + min(LaneMachine.upkeepInterval, reclaimInterval, configuration.leaseTime / 4)
            if now.monotonic >= bringForwardAt {
                bringForwardAt = now.monotonic + min(LaneMachine.upkeepInterval, configuration.leaseTime / 4)
                upkeep.bringForward = true
            }
            // Leases are extended first, so that deliveries that are held here are not reclaimed, even if the clock was
            // set forward.
            upkeep.extend = active.leased(before: now.time + .seconds(configuration.leaseTime.inSeconds * 0.6))
            upkeep.reclaim = true
        }
        guard upkeep.reclaim || upkeep.status != nil else { return nil }
        isKeepingUp = true
        return upkeep
    }

    private func statusToRecord(at now: Moment) -> LaneStatus? {
        let rate = rateController.map { ($0.rate(at: now.monotonic) * 100).rounded() / 100 }
        let status = LaneStatus(lane: lane, heldBecause: hold.held?.cause.description, since: since, rate: rate)
        guard let recorded, recorded.heldBecause == status.heldBecause, recorded.since == status.since else {
            return status
        }
        let before = recorded.rate ?? 0
        let isNotable = abs((rate ?? 0) - before) > before * LaneMachine.notableChange
        return isNotable && now.monotonic - recordedAt >= LaneMachine.statusInterval ? status : nil
    }

    private mutating func storeWorked(_ operation: StoreOutage.Operation, at now: Moment) {
        if let seconds = storeOutage.worked(operation, at: now.monotonic) {
            notes.append(.storeRecovered(afterSeconds: seconds))
        }
    }

    /// Also releases the waiting deliveries: a delivery whose outcome can't be recorded should not be sent.
    private mutating func storeFailed(_ operation: StoreOutage.Operation, _ error: any Error, at now: Moment) {
        if storeOutage.failed(operation, at: now.monotonic) { notes.append(.storeFailed(error)) }
        releaseWaiting(at: now)
    }
}

// MARK: - Quota

extension LaneMachine {
    mutating func quotaAnswered(_ quota: SendQuota?, at now: Moment) {
        isAskingQuota = false
        awaitsQuotaUntil = .distantPast
        quotaAt = now.monotonic + configuration.quotaInterval
        sentSinceQuota = false
        if let quota { rateController?.learn(quota, at: now.monotonic) }
        guard hold.mayProbe(at: now.monotonic) else { return }
        if quota?.isUsedUp ?? false { hold.probeFailed(at: now.monotonic) } else { hold.cleared() }
    }

    private mutating func beginAskingQuota(at now: Moment) -> Bool {
        guard hasQuotaSource, isRunning, !isAskingQuota else { return false }
        let isForProbe = hold.mayProbe(at: now.monotonic) && !(hold.held?.isCleared ?? true)
        guard isForProbe || (sentSinceQuota && !hold.isHeld && now.monotonic >= quotaAt) else { return false }
        isAskingQuota = true
        return true
    }
}

extension SendQuota {
    var isUsedUp: Bool { maximum24Hours.map { sentLast24Hours >= $0 } ?? false }
}

// MARK: - Time

extension LaneMachine {
    /// Begins the shutdown of the worker.
    mutating func stop(at now: Moment) {
        guard isRunning else { return }
        phase = .draining(until: now.monotonic + configuration.drainTime)
        releaseWaiting(at: now)
    }

    private mutating func advancePhase(_ plan: inout Plan, _ now: Moment) {
        if case .draining(let until) = phase {
            if active.underWay.isEmpty {
                phase = .closing(until: now.monotonic + LaneMachine.closeTime)
            } else if now.monotonic >= until {
                plan.cancelSenders = true
                phase = .cancelling(until: now.monotonic + LaneMachine.cancelTime)
            }
        }
        if case .cancelling(let until) = phase, active.underWay.isEmpty || now.monotonic >= until {
            abandonUnderWay(at: now)
            phase = .closing(until: now.monotonic + LaneMachine.closeTime)
        }
        if case .closing(let until) = phase {
            let isDone = active.isEmpty && !isClaiming && !isKeepingUp
            plan.isFinished = isDone || now.monotonic >= until
            if plan.isFinished, active.count > 0 { notes.append(.unrecorded(active.count)) }
        }
    }

    /// Gives up the attempts in progress, because the transport does not return. What happened to their deliveries is
    /// unknown.
    private mutating func abandonUnderWay(at now: Moment) {
        let cause = DeliveryOutcome.Cause(
            "shutdown", "The relay was stopped while the message was being sent.", mayHaveBeenTaken: true)
        for attempt in active.underWay.values {
            guard let attempt = active.finished(attempt) else { continue }
            var settlement = Settlement(releasing: attempt.delivery, at: now.time)
            settlement.result = .retry(at: now.time)
            settlement.reason = cause.description
            settlement.startedAt = attempt.startedAt.time
            settlement.mayHaveBeenTaken = true
            active.ended(attempt.claim, settlement, pace: .normal)
        }
    }

    /// The next time at which a new plan would differ from this one only because time has passed; nil if there is none.
    /// Work that is already due was started by this plan, or waits for an event.
    private mutating func wakeAt(_ now: Moment) -> Timestamp? {
        var moments = [upkeepAt]
        switch phase {
        case .draining(let until), .cancelling(let until), .closing(let until): moments.append(until)
        case .running:
            if mayStart {
                moments.append(now.monotonic.advanced(bySeconds: rateController?.delay(at: now.monotonic) ?? 0))
            }
            // The other relays can change what this process may do, and no event reports it.
            if !hasPlace || rateController.map({ $0.share != .whole }) ?? false {
                moments.append(now.monotonic + configuration.pollInterval)
            }
            if let held = hold.held { moments.append(held.probeAt) }
            if let next = nextDueAt { moments.append(now.monotonic + (next - now.time)) }
            moments.append(pollAt)
            moments.append(awaitsQuotaUntil)
            if let settlesAt { moments.append(settlesAt) }
            if sentSinceQuota, hasQuotaSource { moments.append(quotaAt) }
        }
        if storeOutage.isFailing {
            moments.append(isClosing ? now.monotonic + StoreOutage.firstPause : storeOutage.retryAt)
        }
        wakesAt = moments.filter { $0 > now.monotonic }.min()
        guard let nearest = wakesAt else { return nil }
        // Rounded up to a whole millisecond, because at an earlier time there would be nothing to do.
        return now.time + .milliseconds(max(1, (nearest.seconds(since: now.monotonic) * 1000).rounded(.up)))
    }
}
