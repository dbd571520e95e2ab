import Logging
import RelayCore
import Synchronization

/// Takes what is due in one lane from the queue, hands it to the transport, and records what became of it.
///
/// What to do is decided by `LaneMachine`, a value behind a lock; here it is done. One loop asks it for a plan and begins
/// what the plan says: claims, settlements and the like go on beside each other, each at most once at a time, and their
/// answers ring for the next plan. A sender that is done with one delivery takes the next by itself, without the loop.
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
    /// Whether a wake is to ring. Each accepted batch wakes the worker, and a thread that begins costs more than a message's commands.
    private let mayRing = Atomic(true)
    private let isStopped = Atomic(false)
    private let nextTurn = Mutex<[@Sendable () -> Void]>([])

    /// - Parameters:
    ///   - quota: where the account's rate is asked for; used with ``DeliveryConfiguration/Pacing-swift.enum/account(maximumRate:)``.
    ///   - random: at least 0 and below 1; scatters retries.
    ///   - observe: called in the worker's tasks; must be quick.
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

    /// Works until the task is cancelled, then lets what is under way end, for a limited time, and records it. Once.
    public func run() async {
        await withTaskCancellationHandler {
            // A task of its own, which is not cancelled: what is under way, and its record, must outlive the cancellation.
            await Task { await loop() }.value
        } onCancel: {
            isStopped.store(true, ordering: .releasing)
            alarm.ring()
        }
    }

    /// Something was put into the queue or released. Cheap, from any thread; calls that come together count as one.
    public func wake() {
        // In one order with the two in `nextPlan`: either this one sees that it may ring, or that one that it was woken.
        let wasWoken = isWoken.exchange(true, ordering: .sequentiallyConsistent)
        if !wasWoken, mayRing.load(ordering: .sequentiallyConsistent) { alarm.ring() }
    }

    /// Returns once the loop has come round: a sign that it lives. Or when the task is cancelled.
    public func comeRound() async {
        let (turns, turn) = AsyncStream.makeStream(of: Void.self)
        onNextTurn { turn.finish() }
        for await _ in turns {}
    }

    /// Calls `body` when the worker's loop comes around, which it does at once unless it hangs.
    public func onNextTurn(_ body: @escaping @Sendable () -> Void) {
        nextTurn.withLock { $0.append(body) }
        alarm.ring()
    }

    /// Other settings from now on. `maximumRate`, in emails per second, counts where the lane is paced by the account.
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
            tellPlace(&state.machine, now)
            let plan = state.machine.plan(at: now)
            // Inside the lock, so that a sender can't be done before it is known.
            for start in plan.starts {
                state.senders[start.slot] = Task(executorPreference: transport.executor) { await self.send(start) }
            }
            return (plan, plan.cancelSenders ? Array(state.senders.values) : [])
        }
        mayRing.store(plan.wantsToBeWoken, ordering: .sequentiallyConsistent)
        if plan.wantsToBeWoken, isWoken.load(ordering: .sequentiallyConsistent) { alarm.ring() }
        // Outside the lock: cancelling runs whatever the transport does on cancellation.
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

    /// One sender: an attempt, and whatever it is given after it.
    private func send(_ first: ActiveSet.Attempt) async {
        var next: ActiveSet.Attempt? = first
        while let attempt = next {
            // The last moment at which it costs nobody a second copy: another relay may have the delivery by now.
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
            state.senders[attempt.slot] = nil
        }
        alarm.ring()
    }

    private func tellPlace(_ machine: inout LaneMachine, _ now: Moment) {
        machine.stands(ownsClaims: queue.ownsClaims, shareOfRate: queue.shareOfRate, at: now)
    }

    private func finish(_ attempt: ActiveSet.Attempt, _ outcome: DeliveryOutcome) -> ActiveSet.Attempt? {
        let now = Moment(clock)
        let (next, mustRing) = state.withLock { state in
            tellPlace(&state.machine, now)
            let next = state.machine.finished(attempt, outcome, at: now, random: random)
            if next == nil { state.senders[attempt.slot] = nil }
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
