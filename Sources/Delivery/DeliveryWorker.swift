import Logging
import RelayCore
import Synchronization

/// Takes due deliveries of one lane from the queue, passes them to the transport, and records the outcomes.
///
/// `LaneMachine`, a value behind a lock, decides what to do. This class carries out its decisions. One loop asks the
/// machine for a plan and starts what the plan says. Operations of different kinds, such as a claim and a settlement,
/// may run at the same time, but never two of one kind. An operation that completes wakes the loop for the next plan. A
/// sender that has finished one delivery takes the next one itself, without the loop.
public final class DeliveryWorker: Sendable {
    private struct State {
        var machine: LaneMachine
        var senders: [Int: Task<Void, Never>] = [:]
    }

    private let lane: Lane
    private let queue: any DeliveryQueue
    private let transport: any Transport
    private let quota: (any QuotaSource)?
    private let clock: any RelayClock
    private let random: @Sendable () -> Double
    private let log: DeliveryLog

    private let state: Mutex<State>
    private let alarm: Alarm
    private let isWoken = Atomic(false)
    /// Whether ``wake()`` must ring the alarm. It is called for each accepted batch. Resuming the loop on a thread each
    /// time would cost more than handling the SMTP commands of a message.
    private let mustRing = Atomic(true)
    private let isStopped = Atomic(false)
    private let nextTurn = Mutex<[@Sendable () -> Void]>([])

    /// - Parameters:
    ///   - quota: the source of the account's rate. Used with
    ///     ``DeliveryConfiguration/Pacing-swift.enum/account(maximumRate:)``.
    ///   - random: returns at least 0 and less than 1. It spreads retries over time.
    ///   - observe: is called in the worker's tasks, so it must be quick.
    public init(
        lane: Lane, configuration: DeliveryConfiguration, queue: any DeliveryQueue, transport: any Transport,
        quota: (any QuotaSource)? = nil, clock: any RelayClock, logger: Logger,
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        observe: @escaping @Sendable (DeliveryEvent) -> Void = { _ in }
    ) {
        self.lane = lane
        self.queue = queue
        self.transport = transport
        self.quota = quota
        self.clock = clock
        self.random = random
        log = DeliveryLog(lane: lane, logger: logger, observe: observe)
        let machine = LaneMachine(
            lane: lane, configuration: configuration, hasQuotaSource: quota != nil,
            reclaimInterval: queue.reclaimInterval, at: Moment(clock))
        state = Mutex(State(machine: machine))
        alarm = Alarm(clock: clock)
    }

    /// Works until the task is cancelled. After that, attempts in progress have a limited time to end, and their
    /// outcomes are recorded. Call this function only once.
    public func run() async {
        await withTaskCancellationHandler {
            // A separate task that is not cancelled: attempts in progress and their records must outlive the
            // cancellation.
            await Task { await loop() }.value
        } onCancel: {
            isStopped.store(true, ordering: .releasing)
            alarm.ring()
        }
    }

    /// Call this when a delivery was put into the queue or released. It is cheap and may be called from any thread.
    /// Calls at the same time count as one.
    public func wake() {
        // The accesses here and in `nextPlan` have one total order. So either this call sees that it must ring, or
        // `nextPlan` sees the wake-up.
        let wasWoken = isWoken.exchange(true, ordering: .sequentiallyConsistent)
        if !wasWoken, mustRing.load(ordering: .sequentiallyConsistent) { alarm.ring() }
    }

    /// Returns when the loop has made a turn, which shows that the loop does not hang. Also returns when the task is
    /// cancelled.
    public func ping() async {
        let (turns, turn) = AsyncStream.makeStream(of: Void.self)
        onNextTurn { turn.finish() }
        for await _ in turns {}
    }

    /// Calls `body` at the loop's next turn, which comes at once unless the loop hangs.
    public func onNextTurn(_ body: @escaping @Sendable () -> Void) {
        nextTurn.withLock { $0.append(body) }
        alarm.ring()
    }

    /// Replaces the retry schedule and the highest rate, which is in recipients per second. A lane that has no limit
    /// (`Pacing.unlimited`) ignores the rate.
    public func reconfigure(schedule: RetrySchedule, maximumRate: Double?) {
        tellMachine { $0.reconfigured(schedule: schedule, maximumRate: maximumRate, at: $1) }
    }

    private func loop() async {
        while true {
            let plan = nextPlan()
            log.tell(plan.notes)
            if plan.isFinished { break }
            begin(plan)
            let waiting = nextTurn.withLock { bodies in
                defer { bodies = [] }
                return bodies
            }
            for body in waiting { body() }
            await alarm.wait(until: plan.wakeAt)
        }
        alarm.cancel()
    }

    private func nextPlan() -> LaneMachine.Plan {
        let wasWoken = isWoken.exchange(false, ordering: .sequentiallyConsistent)
        let mustStop = isStopped.load(ordering: .acquiring)
        let now = Moment(clock)
        let (plan, cancelled) = state.withLock { state in
            if wasWoken { state.machine.woken() }
            if mustStop { state.machine.stop(at: now) }
            updateMembership(&state.machine, now)
            let plan = state.machine.plan(at: now)
            // The senders are started inside the lock, so that none can finish before it is in `senders`.
            for start in plan.starts {
                state.senders[start.sender] = Task(executorPreference: transport.executor) { await self.send(start) }
            }
            return (plan, plan.cancelSenders ? Array(state.senders.values) : [])
        }
        mustRing.store(plan.wantsToBeWoken, ordering: .sequentiallyConsistent)
        if plan.wantsToBeWoken, isWoken.load(ordering: .sequentiallyConsistent) { alarm.ring() }
        // The senders are cancelled outside the lock, because cancelling runs the transport's cancellation handlers.
        for sender in cancelled { sender.cancel() }
        return plan
    }

    private func begin(_ plan: LaneMachine.Plan) {
        if !plan.settle.isEmpty { Task { await settle(plan.settle) } }
        if let claim = plan.claim { Task { await self.claim(claim) } }
        if let upkeep = plan.upkeep { Task { await keepUp(upkeep) } }
        if plan.look { Task { await look() } }
        if plan.askQuota { Task { await askQuota() } }
    }

    /// The work of one sender: it makes the first attempt, and then each attempt that the machine returns for it.
    private func send(_ first: ActiveSet.Attempt) async {
        var next: ActiveSet.Attempt? = first
        while let attempt = next {
            // Another relay may have the delivery by now. This is the last point at which giving up can't cause the
            // message to be sent twice.
            guard queue.owns(attempt.delivery) else {
                giveUp(attempt, mayHaveBeenTaken: false)
                return
            }
            let body = QueuedBody(of: attempt.delivery, in: queue)
            let told = await transport.send(attempt.delivery, body: body)
            if let mayHaveBeenTaken = body.brokenOff(told) {
                giveUp(attempt, mayHaveBeenTaken: mayHaveBeenTaken)
                return
            }
            next = finish(attempt, body.judge(told))
        }
    }

    private func giveUp(_ attempt: ActiveSet.Attempt, mayHaveBeenTaken: Bool) {
        let now = Moment(clock)
        state.withLock { state in
            state.machine.gaveUp(attempt, mayHaveBeenTaken: mayHaveBeenTaken, at: now)
            state.senders[attempt.sender] = nil
        }
        alarm.ring()
    }

    private func updateMembership(_ machine: inout LaneMachine, _ now: Moment) {
        machine.setMembership(
            ownsClaims: queue.ownsClaims, shareOfRate: queue.shareOfRate, place: queue.place, at: now)
    }

    private func finish(_ attempt: ActiveSet.Attempt, _ outcome: DeliveryOutcome) -> ActiveSet.Attempt? {
        let now = Moment(clock)
        let (next, mustRing) = state.withLock { state in
            updateMembership(&state.machine, now)
            let next = state.machine.finished(attempt, outcome, at: now, random: random)
            if next == nil { state.senders[attempt.sender] = nil }
            return (next, state.machine.needsPlan(at: now))
        }
        if mustRing { alarm.ring() }
        return next
    }

    private func tellMachine(_ event: (inout LaneMachine, Moment) -> Void) {
        let now = Moment(clock)
        state.withLock { event(&$0.machine, now) }
        alarm.ring()
    }

    private func settle(_ batch: [Settlement]) async {
        do {
            try await queue.settle(batch)
            tellMachine { $0.settled(at: $1) }
        } catch {
            tellMachine { $0.settlingFailed(error, at: $1) }
        }
    }

    private func claim(_ claim: LaneMachine.Claiming) async {
        do {
            let deliveries = try await queue.claim(
                lane: lane, limit: claim.limit, recipients: claim.recipients, leaseUntil: claim.leaseUntil,
                now: clock.now())
            tellMachine { $0.claimed(deliveries, by: claim, at: $1) }
        } catch {
            tellMachine { $0.claimFailed(error, at: $1) }
        }
    }

    private func look() async {
        do {
            let next = try await queue.nextDue(lane: lane)
            tellMachine { $0.looked(next, at: $1) }
        } catch {
            tellMachine { $0.lookFailed(error, at: $1) }
        }
    }

    private func keepUp(_ upkeep: LaneMachine.Upkeep) async {
        do {
            if !upkeep.extend.isEmpty { try await queue.extendLease(upkeep.extend, until: upkeep.leaseUntil) }
            var (reclaimed, broughtForward) = (0, 0)
            if upkeep.reclaim {
                reclaimed = try await queue.reclaimAbandoned(lane: lane, now: clock.now())
            }
            if upkeep.bringForward {
                broughtForward = try await queue.bringForward(lane: lane, dueAfter: upkeep.latestDue, now: clock.now())
            }
            if let status = upkeep.status { try await queue.record(status) }
            tellMachine { [reclaimed, broughtForward] in
                $0.keptUp(upkeep, reclaimed: reclaimed, broughtForward: broughtForward, at: $1)
            }
        } catch {
            tellMachine { $0.upkeepFailed(error, at: $1) }
        }
    }

    private func askQuota() async {
        let answer = await quota?.quota()
        tellMachine { $0.quotaAnswered(answer, at: $1) }
    }
}
