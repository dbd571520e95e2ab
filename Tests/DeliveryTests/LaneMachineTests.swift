import RelayCore
import TestSupport
import Testing

@testable import Delivery

/// A lane machine, and the time that a test lets pass for it.
struct Bench {
    var machine: LaneMachine
    var now = Moment(time: start, monotonic: 1000)

    init(_ configuration: DeliveryConfiguration = unpaced(), hasQuotaSource: Bool = false) {
        machine = LaneMachine(lane: .live, configuration: configuration, hasQuotaSource: hasQuotaSource, at: now)
    }

    static func unpaced(concurrency: Int = 2, settleBatch: Int = 1) -> DeliveryConfiguration {
        DeliveryConfiguration(
            concurrency: concurrency, maxActive: 4 * concurrency, settleBatch: settleBatch, pacing: .unlimited)
    }

    mutating func pass(_ seconds: Double) {
        let milliseconds = Int64((seconds * 1000).rounded())
        now = Moment(
            time: now.time + .milliseconds(milliseconds), monotonic: now.monotonic.advanced(bySeconds: seconds))
    }

    mutating func plan() -> LaneMachine.Plan { machine.plan(at: now) }

    /// Answers everything that plans ask of the store, until a plan asks for nothing more. `due` is the queue.
    @discardableResult
    mutating func settleDown(due: [ClaimedDelivery] = []) -> LaneMachine.Plan {
        var due = due
        var whole = LaneMachine.Plan()
        for _ in 0..<20 {
            let plan = plan()
            whole.starts += plan.starts
            whole.settle += plan.settle
            whole.notes += plan.notes
            whole.wakeAt = plan.wakeAt
            whole.isFinished = plan.isFinished
            whole.cancelSenders = whole.cancelSenders || plan.cancelSenders
            if let claim = plan.claim {
                whole.claim = claim
                let taken = Array(due.prefix(claim.limit))
                due.removeFirst(taken.count)
                machine.claimed(DeliveryClaim(taken), by: claim, at: now)
            }
            if plan.look { machine.looked(nil, at: now) }
            if let upkeep = plan.upkeep {
                whole.upkeep = upkeep
                machine.keptUp(upkeep, reclaimed: 0, broughtForward: 0, at: now)
            }
            if !plan.settle.isEmpty { machine.settled(at: now) }
            if plan.askQuota { whole.askQuota = true }
        }
        return whole
    }

    @discardableResult
    mutating func finish(_ attempt: ActiveSet.Attempt, _ outcome: DeliveryOutcome = .done) -> ActiveSet.Attempt? {
        machine.finished(attempt, outcome, at: now) { 0.5 }
    }
}

private func deliveries(_ ids: Range<Int64>) -> [ClaimedDelivery] { ids.map { delivery($0) } }

extension LaneMachine.Note {
    var word: String {
        switch self {
        case .ended: "ended"
        case .suppressed: "suppressed"
        case .retried(_, _, let line): "retried \(line)"
        case .outageEnded: "outageEnded"
        case .slowedDown: "slowedDown"
        case .held: "held"
        case .resumed: "resumed"
        case .storeFailed: "storeFailed"
        case .storeRecovered: "storeRecovered"
        case .reclaimed(let count): "reclaimed \(count)"
        case .broughtForward(let count): "brought forward \(count)"
        case .unrecorded(let count): "unrecorded \(count)"
        }
    }
}

@Suite struct LaneMachineTests {
    // MARK: Place among relays

    @Test func lostClaimsAreReleasedAndNothingNewIsClaimed() {
        var bench = Bench(Bench.unpaced(concurrency: 1))
        let begun = bench.settleDown(due: deliveries(1..<4))
        #expect(begun.starts.map(\.delivery.id.rawValue) == [1])
        bench.machine.setMembership(ownsClaims: false, shareOfRate: .whole, at: bench.now)
        let lost = bench.plan()
        #expect(lost.starts.isEmpty && lost.claim == nil)
        #expect(lost.settle.map(\.delivery.rawValue) == [2, 3])
        #expect(lost.settle.allSatisfy { $0.result == .released && !$0.mayHaveBeenTaken })
        bench.machine.settled(at: bench.now)
        bench.machine.gaveUp(begun.starts[0], mayHaveBeenTaken: true, at: bench.now)
        let broken = bench.settleDown()
        #expect(broken.settle.map(\.delivery.rawValue) == [1])
        #expect(broken.settle.allSatisfy { $0.result == .released && $0.mayHaveBeenTaken })
        #expect(broken.claim == nil)
        // No event reports that the place is back, so the machine is asked for a plan every second.
        #expect(broken.wakeAt.map { $0 <= bench.now.time + .milliseconds(1001) } == true)
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .whole, at: bench.now)
        #expect(bench.settleDown(due: deliveries(1..<4)).starts.count == 1)
    }

    @Test func claimArrivingAfterClaimsAreLostIsReleased() throws {
        var bench = Bench()
        let claim = try #require(bench.plan().claim)
        bench.machine.setMembership(ownsClaims: false, shareOfRate: .whole, at: bench.now)
        bench.machine.claimed(DeliveryClaim(deliveries(1..<3)), by: claim, at: bench.now)
        let plan = bench.plan()
        #expect(plan.starts.isEmpty && plan.settle.count == 2)
    }

    @Test func withoutARateShareNothingIsClaimedOrAlerted() {
        var bench = Bench(DeliveryConfiguration(pacing: .account(maximumRate: 100)))
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .none, at: bench.now)
        let waiting = bench.settleDown(due: deliveries(1..<4))
        #expect(waiting.starts.isEmpty && waiting.claim == nil && waiting.notes.isEmpty)
        #expect(waiting.upkeep?.status == LaneStatus(lane: .live, heldBecause: nil, since: bench.now.time, rate: 0))
        #expect(waiting.wakeAt.map { $0 <= bench.now.time + .milliseconds(1001) } == true)
        bench.machine.setMembership(ownsClaims: true, shareOfRate: RateShare(place: 0, count: 2), at: bench.now)
        #expect(bench.settleDown(due: deliveries(1..<4)).starts.count == 1)
        bench.pass(11)
        #expect(bench.settleDown().upkeep?.status?.rate == 50 * SendRateController.sharedHeadroom)
    }

    @Test func losingTheRateShareReleasesWaitingDeliveries() {
        var bench = Bench(DeliveryConfiguration(pacing: .account(maximumRate: 100)))
        let begun = bench.settleDown(due: deliveries(1..<4))
        #expect(begun.starts.count == 1)
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .none, at: bench.now)
        #expect(bench.plan().settle.map(\.result) == [.released, .released])
    }

    @Test func statusIsRecordedAgainAfterAPlaceChange() {
        var bench = Bench()
        func status(in place: Int64?) -> LaneStatus? {
            bench.machine.setMembership(ownsClaims: place != nil, shareOfRate: .whole, place: place, at: bench.now)
            return bench.settleDown().upkeep?.status
        }
        let first = status(in: 7)
        #expect(first != nil)
        #expect(status(in: 7) == nil)
        #expect(status(in: nil) == nil)
        #expect(status(in: 8) == first)
        #expect(status(in: 8) == nil)
    }

    @Test func statusRecordedDuringAPlaceChangeIsRecordedAgain() throws {
        var bench = Bench()
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .whole, place: 7, at: bench.now)
        let upkeep = try #require(bench.plan().upkeep)
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .whole, place: 8, at: bench.now)
        bench.machine.keptUp(upkeep, reclaimed: 0, broughtForward: 0, at: bench.now)
        #expect(bench.plan().upkeep?.status == upkeep.status)
    }

    @Test func unpacedLaneNeedsNoRateShare() {
        var bench = Bench()
        bench.machine.setMembership(ownsClaims: true, shareOfRate: .none, at: bench.now)
        #expect(bench.settleDown(due: deliveries(1..<3)).starts.count == 2)
    }

    // MARK: Claims

    @Test func startsByClaimingReclaimingAndRecordingItsStatus() {
        var bench = Bench()
        let plan = bench.plan()
        #expect(plan.claim == .init(limit: 8, recipients: .max, leaseUntil: start + .seconds(120), isProbe: false))
        #expect(plan.upkeep?.reclaim == true)
        #expect(plan.upkeep?.status == LaneStatus(lane: .live, heldBecause: nil, since: start, rate: nil))
        #expect(!plan.look && plan.settle.isEmpty && plan.starts.isEmpty)
        // Everything is asked for only once.
        let second = bench.plan()
        #expect(second.claim == nil && second.upkeep == nil)
    }

    @Test func emptyQueueIsLookedAtOncePerPollInterval() {
        var bench = Bench()
        #expect(bench.settleDown().wakeAt == start + .seconds(1))
        bench.pass(0.5)
        #expect(!bench.plan().look)
        bench.pass(0.5)
        #expect(bench.plan().look)
        #expect(!bench.plan().look)
        bench.machine.looked(start + .seconds(1.2), at: bench.now)
        let plan = bench.plan()
        #expect(plan.claim == nil)
        #expect(plan.wakeAt == start + .seconds(1.2))
        bench.pass(0.2)
        #expect(bench.plan().claim != nil)
    }

    @Test func wakeTriggersAClaimAtOnce() {
        var bench = Bench()
        bench.settleDown()
        #expect(bench.plan().claim == nil)
        bench.machine.woken()
        #expect(bench.plan().claim?.limit == 8)
    }

    @Test func wakeDuringAClaimTriggersAnotherClaim() {
        var bench = Bench()
        let claim = bench.plan().claim
        bench.machine.woken()
        #expect(bench.plan().claim == nil)
        if let claim { bench.machine.claimed(DeliveryClaim([]), by: claim, at: bench.now) }
        #expect(bench.plan().claim != nil)
    }

    @Test("A wake-up is wanted only if a claim would follow it, and otherwise waits for the next plan")
    func wantsToBeWoken() {
        var bench = Bench()
        // The answer to the claim under way leads to the next plan anyway.
        let first = bench.plan()
        #expect(first.claim != nil && !first.wantsToBeWoken)
        if let claim = first.claim { bench.machine.claimed(DeliveryClaim([]), by: claim, at: bench.now) }
        bench.settleDown()
        #expect(bench.plan().wantsToBeWoken)
    }

    @Test func claimedDeliveriesNeverExceedMaxActive() {
        var bench = Bench(.init(concurrency: 2, maxActive: 6, pacing: .unlimited))
        let plan = bench.settleDown(due: deliveries(1..<100))
        #expect(plan.starts.map(\.delivery.id.rawValue) == [1, 2])
        #expect(bench.plan().claim == nil)
        // A sender takes the next delivery by itself. Deliveries whose outcomes are not recorded yet count towards the
        // limit.
        let next = bench.finish(plan.starts[0])
        #expect(next?.delivery.id.rawValue == 3 && next?.sender == plan.starts[0].sender)
        let settle = bench.plan()
        #expect(settle.settle.count == 1 && settle.claim == nil)
        // While other deliveries wait, room for one delivery is no reason for a claim, but room for two is.
        bench.machine.settled(at: bench.now)
        #expect(bench.plan().claim == nil)
        bench.finish(plan.starts[1])
        bench.settleDown(due: deliveries(100..<200))
        #expect(bench.machine.needsPlan(at: bench.now) == false)
    }

    @Test func neverMoreThanConcurrencyAtOnce() {
        var bench = Bench(Bench.unpaced(concurrency: 3))
        var underWay = bench.settleDown(due: deliveries(1..<50)).starts
        var ids = underWay.map(\.delivery.id.rawValue)
        for _ in 0..<20 {
            #expect(underWay.count == 3)
            if let next = bench.finish(underWay.removeFirst()) { underWay.append(next) }
            underWay += bench.settleDown(due: deliveries(Int64(ids.count + 1000)..<2000)).starts
            ids.append(underWay.last?.delivery.id.rawValue ?? 0)
        }
        #expect(Set(ids).count == ids.count)
    }

    @Test func deliveriesWithExpiredLeasesAreReleased() {
        var bench = Bench(.init(concurrency: 1, pacing: .unlimited))
        let first = bench.settleDown(due: deliveries(1..<4)).starts[0]
        // The computer was suspended for an hour.
        bench.now.time = bench.now.time + .seconds(3600)
        #expect(bench.finish(first) == nil)
        let results = bench.plan().settle.map(\.result)
        #expect(results == [.sent(sesMessageID: "0100"), .released, .released])
    }

    @Test func leasesAreExtendedBeforeTheyEnd() {
        var bench = Bench(.init(concurrency: 1, pacing: .unlimited))
        bench.settleDown(due: deliveries(1..<4))
        for second in stride(from: 30, through: 600, by: 30) {
            bench.pass(30)
            let upkeep = bench.settleDown().upkeep
            #expect(upkeep?.reclaim == true)
            let isDue = second % 60 == 0
            #expect(upkeep?.extend.count == (isDue ? 3 : 0), "\(second)")
            #expect(upkeep?.leaseUntil == bench.now.time + .seconds(120))
        }
        #expect(bench.settleDown().settle.isEmpty)
    }

    @Test func deliveryInProgressIsNotRestartedWhenItsLeaseExpires() {
        var bench = Bench(Bench.unpaced(concurrency: 2))
        bench.settleDown(due: deliveries(1..<2))
        bench.machine.woken()
        #expect(bench.settleDown(due: deliveries(1..<3)).starts.map(\.delivery.id.rawValue) == [2])
    }

    // MARK: Settlements

    private func gatheringBench() -> (bench: Bench, starts: [ActiveSet.Attempt]) {
        var bench = Bench(
            .init(concurrency: 4, maxActive: 16, settleDelay: .milliseconds(10), pacing: .unlimited))
        let starts = bench.settleDown(due: deliveries(1..<5)).starts
        return (bench, starts)
    }

    @Test("An outcome waits for others while more attempts are under way, but not for long") func gathering() {
        var (bench, starts) = gatheringBench()
        bench.finish(starts[0])
        #expect(bench.machine.needsPlan(at: bench.now))
        let plan = bench.plan()
        #expect(plan.settle.isEmpty)
        #expect(plan.wakeAt == bench.now.time + .milliseconds(10))
        // A wake-up in the meantime does not end the wait.
        bench.pass(0.004)
        bench.machine.woken()
        #expect(bench.plan().settle.isEmpty)
        bench.pass(0.006)
        #expect(bench.plan().settle.map(\.delivery.rawValue) == [1])
    }

    @Test("Outcomes are recorded at once when there are as many of them as attempts under way") func gatheredHalf() {
        var (bench, starts) = gatheringBench()
        bench.finish(starts[0])
        #expect(bench.plan().settle.isEmpty)
        bench.finish(starts[1])
        #expect(bench.machine.needsPlan(at: bench.now))
        #expect(bench.plan().settle.map(\.delivery.rawValue) == [1, 2])
    }

    @Test("The only attempt's outcome is recorded at once, and so is each outcome at shutdown") func notGathered() {
        var alone = Bench(.init(concurrency: 4, maxActive: 16, settleDelay: .milliseconds(10), pacing: .unlimited))
        let only = alone.settleDown(due: deliveries(1..<2)).starts[0]
        alone.finish(only)
        #expect(alone.plan().settle.map(\.delivery.rawValue) == [1])
        var (bench, starts) = gatheringBench()
        bench.machine.stop(at: bench.now)
        bench.finish(starts[0])
        #expect(bench.plan().settle.map(\.delivery.rawValue) == [1])
    }

    @Test func outcomesDuringASettlementAreBatched() {
        var bench = Bench(Bench.unpaced(concurrency: 4))
        let starts = bench.settleDown(due: deliveries(1..<5)).starts
        bench.finish(starts[0])
        #expect(bench.plan().settle.map(\.delivery.rawValue) == [1])
        for attempt in starts[1...] { bench.finish(attempt) }
        #expect(bench.plan().settle.isEmpty)
        bench.machine.settled(at: bench.now)
        let plan = bench.plan()
        #expect(plan.settle.map(\.delivery.rawValue) == [2, 3, 4])
        #expect(plan.notes.map(\.word) == ["ended"])
    }

    @Test func settlesInLargeBatchesWhereAskedTo() {
        var bench = Bench(.init(concurrency: 1, maxActive: 8, settleBatch: 3, pacing: .unlimited))
        var attempt = bench.settleDown(due: deliveries(1..<9)).starts.first
        var batches: [Int] = []
        while let current = attempt {
            attempt = bench.finish(current)
            batches.append(bench.plan().settle.count)
            bench.machine.settled(at: bench.now)
        }
        // When no delivery waits for its turn any more, outcomes are recorded at once.
        #expect(batches == [0, 0, 3, 0, 0, 3, 1, 1])
    }

    @Test func aRetryIsClaimedWhenItIsDueWithoutAPoll() {
        var bench = Bench(.init(pacing: .unlimited, pollInterval: .seconds(100)))
        let first = bench.settleDown(due: deliveries(1..<2)).starts[0]
        bench.finish(first, .throttled)
        #expect(bench.settleDown().wakeAt == start + .seconds(1.5))
        bench.pass(1.4)
        #expect(bench.plan().claim == nil)
        bench.pass(0.1)
        let plan = bench.plan()
        #expect(plan.claim != nil && !plan.look)
    }

    // MARK: Pacing

    @Test func claimsOneSecondOfWorkAndStartsAtTheRate() {
        var bench = Bench(.init(concurrency: 50, pacing: .account(maximumRate: 10)))
        #expect(bench.plan().claim?.limit == 10)
        bench = Bench(.init(concurrency: 50, pacing: .account(maximumRate: 10)))
        var queue = deliveries(1..<1000)
        var started: [MonotonicTime] = []
        for _ in 0..<400 {
            for attempt in bench.settleDown(due: Array(queue.prefix(20))).starts {
                started.append(bench.now.monotonic)
                queue.removeAll { $0.id == attempt.delivery.id }
                bench.finish(attempt)
            }
            bench.pass(0.025)
        }
        #expect(started.count >= 93 && started.count <= 100)
    }

    /// The revocation of a key does not stop deliveries that are claimed already. So a claim takes no more recipients
    /// than can be sent in a second.
    @Test func claimLimitIsCountedInRecipients() throws {
        var bench = Bench(.init(concurrency: 50, pacing: .account(maximumRate: 10)))
        let claim = try #require(bench.plan().claim)
        #expect(claim.recipients == 10)
        // These are fewer deliveries than the limit, but enough recipients. So there may be more in the queue.
        let six = (0..<6).map { "r\($0)@example.net" }
        bench.machine.claimed(
            DeliveryClaim([delivery(1, recipients: six), delivery(2, recipients: six)]), by: claim, at: bench.now)
        let plan = bench.plan()
        #expect(plan.starts.count == 1)
        #expect(plan.claim?.recipients == 4)
    }

    /// The lease of the delivery expired while its outcome was being recorded, so the delivery is claimed again.
    @Test func deliveryBeingSettledIsNotStartedAgain() throws {
        var bench = Bench()
        let start = try #require(bench.settleDown(due: deliveries(1..<2)).starts.first)
        bench.finish(start)
        #expect(bench.plan().settle.count == 1)
        bench.machine.woken()
        let claim = try #require(bench.plan().claim)
        bench.machine.claimed(DeliveryClaim(deliveries(1..<2)), by: claim, at: bench.now)
        #expect(bench.plan().starts.isEmpty)
    }

    // MARK: Giving up

    /// The relay was not running, or the lane was held, so nothing could be tried in the meantime.
    @Test(arguments: [false, true]) func oldDeliveriesGetMoreAttemptsWhenTheLaneResumes(wasHeld: Bool) throws {
        var bench = Bench()
        if wasHeld {
            bench.pass(10_000)
            let first = try #require(bench.settleDown(due: [delivery(1)]).starts.first)
            bench.finish(first, .paused)
            bench.pass(400_000)
            let probe = try #require(bench.settleDown(due: [delivery(1)]).starts.first)
            bench.finish(probe)
            bench.settleDown()
        }
        let old = { (id: Int64) in
            delivery(id, queuedSince: bench.now.time - .seconds(400_000), attempts: 1)
        }
        func end(_ id: Int64) throws -> Settlement.Result {
            bench.machine.woken()
            let attempt = try #require(bench.settleDown(due: [old(id)]).starts.first)
            bench.finish(attempt, .busy)
            return try #require(bench.settleDown().settle.first).result
        }
        #expect(try end(2) == .retry(at: bench.now.time + .seconds(60)))
        bench.pass(7199)
        #expect(try end(3) == .retry(at: bench.now.time + .seconds(60)))
        bench.pass(2)
        #expect(try end(4) == .failed)
    }

    @Test func wakesWhenTheRateAllowsTheNext() {
        var bench = Bench(.init(concurrency: 50, pacing: .account(maximumRate: 10)))
        let plan = bench.settleDown(due: deliveries(1..<100))
        #expect(plan.starts.count == 1)
        let wait = (plan.wakeAt.map { $0 - start } ?? .zero).inSeconds
        #expect(wait > 0.07 && wait < 0.11)
    }

    @Test func throttlingSlowsDownAndIsLoggedOncePerMinute() {
        var bench = Bench(.init(concurrency: 4, pacing: .account(maximumRate: 100)))
        let before = bench.settleDown().upkeep?.status?.rate ?? 0
        var news = 0
        for second in 1...30 {
            bench.machine.woken()
            for attempt in bench.settleDown(due: deliveries(Int64(second * 10)..<Int64(second * 10 + 1))).starts {
                bench.pass(0.1)
                bench.finish(attempt, .throttled)
            }
            bench.pass(1.5)
            let notes = bench.settleDown().notes
            for case .slowedDown(let rate, let isNews) in notes {
                #expect(rate < before)
                if isNews { news += 1 }
            }
            #expect(!notes.map(\.word).contains("retried each"))
        }
        #expect(news == 1)
    }

    @Test func nothingIsSentUntilTheQuotaIsKnownOrItsTimeout() {
        var bench = Bench(.init(pacing: .account(maximumRate: nil)), hasQuotaSource: true)
        var plan = bench.plan()
        #expect(plan.askQuota && plan.claim == nil)
        plan = bench.plan()
        #expect(!plan.askQuota)
        #expect(plan.wakeAt == start + .seconds(5))
        bench.machine.quotaAnswered(.init(maximumRate: 1, maximum24Hours: 200, sentLast24Hours: 0), at: bench.now)
        #expect(bench.plan().claim?.limit == 1)

        bench = Bench(.init(pacing: .account(maximumRate: nil)), hasQuotaSource: true)
        bench.settleDown()
        bench.pass(5)
        #expect(bench.plan().claim?.limit == 14)
    }

    @Test func quotaIsAskedForOnceAMinuteWhileThereIsSomethingToSend() {
        var bench = Bench(.init(pacing: .account(maximumRate: nil)), hasQuotaSource: true)
        bench.settleDown()
        bench.machine.quotaAnswered(nil, at: bench.now)
        bench.pass(100)
        #expect(!bench.settleDown().askQuota)
        bench.machine.woken()
        let attempt = bench.settleDown(due: deliveries(1..<2)).starts[0]
        bench.finish(attempt)
        #expect(bench.settleDown().askQuota)
        bench.machine.quotaAnswered(nil, at: bench.now)
        bench.machine.woken()
        bench.pass(1)
        bench.finish(bench.settleDown(due: deliveries(2..<3)).starts[0])
        #expect(!bench.settleDown().askQuota)
        bench.pass(59)
        #expect(bench.settleDown().askQuota)
    }

    @Test func statusIsRecordedWhenTheRateChangesNotablyButNotOften() {
        var bench = Bench(.init(concurrency: 4, pacing: .account(maximumRate: 100)))
        var rates: [Double] = [bench.settleDown().upkeep?.status?.rate ?? 0]
        bench.pass(1)
        bench.machine.woken()
        bench.finish(bench.settleDown(due: deliveries(1..<2)).starts[0], .throttled)
        for _ in 0..<60 {
            bench.pass(1)
            if let rate = bench.settleDown().upkeep?.status?.rate { rates.append(rate) }
        }
        // The rates are: full, reduced (recorded 10 s later), and full again.
        #expect(rates.count >= 1 && rates.count <= 3)
        #expect(rates.first == 96)
    }
}

@Suite struct LaneHoldingTests {
    /// Two attempts are under way, and some deliveries wait. The first attempt answers that nothing can be sent.
    private func heldBench(
        _ outcome: DeliveryOutcome = .paused, hasQuotaSource: Bool = false
    ) -> (bench: Bench, other: ActiveSet.Attempt, plan: LaneMachine.Plan) {
        var bench = Bench(Bench.unpaced(concurrency: 2), hasQuotaSource: hasQuotaSource)
        bench.settleDown()
        if hasQuotaSource { bench.machine.quotaAnswered(nil, at: bench.now) }
        bench.machine.woken()
        let starts = bench.settleDown(due: deliveries(1..<5)).starts
        bench.finish(starts[0], outcome)
        let plan = bench.settleDown()
        return (bench, starts[1], plan)
    }

    /// Starts a probe and returns it.
    private func probe(_ bench: inout Bench, _ id: Int64) throws -> ActiveSet.Attempt {
        let starts = bench.settleDown(due: deliveries(id..<id + 1)).starts
        #expect(starts.count == 1 && starts[0].isProbe)
        return try #require(starts.first)
    }

    @Test("While the lane is held, no further wake-up is wanted after the first one") func isWokenOnce() {
        var (bench, _, _) = heldBench()
        bench.machine.woken()
        let plan = bench.plan()
        #expect(plan.claim == nil && !plan.wantsToBeWoken && plan.wakeAt != nil)
    }

    @Test func heldLaneStopsAndReleasesItsDeliveries() {
        var (bench, other, plan) = heldBench()
        #expect(plan.settle.map(\.result) == [.released, .released, .released])
        #expect(plan.settle.map(\.delivery.rawValue) == [1, 3, 4])
        #expect(plan.notes.map(\.word) == ["held"])
        #expect(plan.upkeep?.status?.heldBecause == "SendingPausedException: Paused.")
        // The other attempt under way is released too, and the hold is not reported again.
        bench.finish(other, .paused)
        let after = bench.settleDown()
        #expect(after.settle.map(\.result) == [.released] && after.notes.isEmpty)
        bench.machine.woken()
        bench.pass(29)
        #expect(bench.plan().claim == nil)
    }

    @Test func lateSuccessDoesNotResumeAHeldLane() {
        var (bench, other, _) = heldBench()
        bench.finish(other, .done)
        #expect(bench.settleDown().notes.map(\.word) == ["ended"])
        #expect(bench.plan().claim == nil)
    }

    @Test func heldLaneIsProbedAtGrowingIntervals() throws {
        var (bench, other, _) = heldBench()
        bench.finish(other, .paused)
        for (seconds, id) in zip([30.0, 60, 120, 240, 300, 300], 10...) {
            bench.pass(seconds - 1)
            #expect(bench.settleDown(due: deliveries(5..<9)).starts.isEmpty)
            bench.pass(1)
            let attempt = try probe(&bench, Int64(id))
            // Only one probe is sent at a time.
            #expect(bench.settleDown(due: deliveries(50..<59)).starts.isEmpty)
            bench.finish(attempt, .paused)
            let plan = bench.settleDown()
            #expect(plan.settle.map(\.result) == [.released])
            #expect(plan.notes.isEmpty)
        }
    }

    @Test(arguments: [.done, .refused, .throttled] as [DeliveryOutcome])
    func probeAnswerAboutTheMessageResumesTheLane(outcome: DeliveryOutcome) throws {
        var (bench, other, _) = heldBench()
        bench.finish(other, .paused)
        bench.pass(30)
        bench.finish(try probe(&bench, 10), outcome)
        let plan = bench.settleDown(due: deliveries(1..<5))
        #expect(plan.notes.map(\.word).contains("resumed"))
        #expect(plan.starts.count == 2 && !plan.starts[0].isProbe)
        #expect(plan.upkeep?.status == LaneStatus(lane: .live, heldBecause: nil, since: bench.now.time, rate: nil))
    }

    @Test(arguments: [.busy, .lost, .limited] as [DeliveryOutcome])
    func probeFailingForAnotherReasonKeepsTheLaneHeld(outcome: DeliveryOutcome) throws {
        var (bench, other, _) = heldBench()
        bench.finish(other, .paused)
        bench.pass(200_000)
        let old = delivery(10, attempts: 60)
        let attempt = try #require(bench.settleDown(due: [old]).starts.first)
        bench.finish(attempt, outcome)
        let settle = bench.settleDown(due: deliveries(20..<30))
        guard case .retry = settle.settle[0].result else {
            Issue.record("\(settle.settle)")
            return
        }
        #expect(settle.starts.isEmpty)
    }

    @Test func probeWaitsUntilThereIsADelivery() throws {
        var (bench, other, _) = heldBench()
        bench.finish(other, .paused)
        bench.settleDown()
        bench.pass(30)
        #expect(bench.settleDown().starts.isEmpty)
        #expect(bench.settleDown().starts.isEmpty)
        bench.machine.woken()
        bench.finish(try probe(&bench, 10), .done)
        #expect(bench.settleDown().notes.map(\.word).contains("resumed"))
    }

    @Test func theQuotaIsConsultedBeforeAProbe() throws {
        var (bench, other, plan) = heldBench(.usedUp, hasQuotaSource: true)
        #expect(plan.notes.map(\.word) == ["held"])
        bench.finish(other, .usedUp)
        bench.pass(30)
        let used = SendQuota(maximumRate: 14, maximum24Hours: 200, sentLast24Hours: 200)
        #expect(bench.settleDown(due: deliveries(5..<9)).askQuota)
        bench.machine.quotaAnswered(used, at: bench.now)
        plan = bench.settleDown(due: deliveries(5..<9))
        #expect(plan.starts.isEmpty && !plan.askQuota)
        bench.pass(60)
        #expect(bench.settleDown().askQuota)
        bench.machine.quotaAnswered(.init(maximumRate: 14, maximum24Hours: 200, sentLast24Hours: 150), at: bench.now)
        bench.finish(try probe(&bench, 10), .done)
        #expect(bench.settleDown(due: deliveries(5..<9)).starts.count == 2)
    }

    @Test func flappingLaneKeepsItsProbeInterval() throws {
        var (bench, other, _) = heldBench()
        bench.finish(other, .paused)
        for (seconds, id) in zip([30.0, 60, 120], 10...) {
            bench.pass(seconds)
            bench.finish(try probe(&bench, Int64(id)), seconds == 120 ? .done : .paused)
        }
        let starts = bench.settleDown(due: deliveries(20..<21)).starts
        bench.pass(5)
        bench.finish(starts[0], .paused)
        bench.settleDown()
        bench.pass(119)
        #expect(bench.settleDown(due: deliveries(30..<40)).starts.isEmpty)
        bench.pass(1)
        bench.finish(try probe(&bench, 40), .done)
        // After the lane has moved for a long time, the first pause is the shortest one again.
        bench.pass(400)
        bench.machine.woken()
        bench.finish(bench.settleDown(due: deliveries(50..<51)).starts[0], .paused)
        bench.settleDown()
        bench.pass(30)
        _ = try probe(&bench, 60)
    }

    @Test func pausedAnswerFromBeforeResumptionDoesNotHoldTheLane() throws {
        var (bench, other, _) = heldBench()
        bench.pass(30)
        bench.finish(try probe(&bench, 10), .done)
        bench.pass(1)
        bench.finish(other, .paused)
        let plan = bench.settleDown(due: deliveries(20..<21))
        #expect(plan.settle.contains { $0.delivery.rawValue == 2 && $0.result == .released })
        #expect(plan.starts.count == 1)
    }
}

@Suite struct StoreFailureTests {
    @Test func outcomesAreKeptUntilTheStoreIsBack() throws {
        var bench = Bench(Bench.unpaced(concurrency: 2))
        let starts = bench.settleDown(due: deliveries(1..<5)).starts
        let next = bench.finish(starts[0])
        let third = try #require(next)
        #expect(bench.plan().settle.count == 1)
        bench.machine.settlingFailed(StoreError.full, at: bench.now)
        var plan = bench.plan()
        #expect(plan.notes.map(\.word) == ["storeFailed"])
        #expect(plan.settle.isEmpty && plan.claim == nil)
        // Nothing is sent whose outcome can't be recorded. Attempts under way may end.
        #expect(bench.finish(starts[1]) == nil)
        var pauses: [Double] = []
        var last = bench.now.monotonic
        for _ in 0..<200 {
            bench.pass(0.5)
            plan = bench.plan()
            guard !plan.settle.isEmpty else { continue }
            // Two deliveries were sent, and one was not.
            #expect(plan.settle.count == 3)
            #expect(plan.starts.isEmpty)
            pauses.append(bench.now.monotonic.seconds(since: last))
            last = bench.now.monotonic
            bench.machine.settlingFailed(StoreError.full, at: bench.now)
            if plan.claim != nil { bench.machine.claimFailed(StoreError.full, at: bench.now) }
            #expect(bench.plan().notes.isEmpty)
        }
        #expect(pauses.prefix(6) == [1, 2, 4, 8, 16, 30])
        bench.finish(third)
        bench.pass(30)
        plan = bench.plan()
        #expect(plan.settle.count == 4)
        bench.machine.settled(at: bench.now)
        if let claim = plan.claim { bench.machine.claimed(DeliveryClaim([]), by: claim, at: bench.now) }
        let notes = bench.settleDown(due: deliveries(3..<5)).notes.map(\.word)
        #expect(notes.filter { $0 == "ended" }.count == 3)
        #expect(notes.filter { $0 == "storeRecovered" }.count == 1)
    }

    /// A claim that was under way when the store failed brings deliveries that can't start. Outcomes must not wait for
    /// a full batch then.
    @Test func failedSettlementIsRetriedWhileDeliveriesWait() throws {
        var bench = Bench(.init(concurrency: 1, maxActive: 8, settleBatch: 3, pacing: .unlimited))
        let first = try #require(bench.settleDown(due: deliveries(1..<2)).starts.first)
        bench.machine.woken()
        let claim = try #require(bench.plan().claim)
        bench.finish(first)
        #expect(bench.plan().settle.count == 1)
        bench.machine.settlingFailed(StoreError.full, at: bench.now)
        bench.machine.claimed(DeliveryClaim(deliveries(2..<3)), by: claim, at: bench.now)
        bench.pass(1)
        let plan = bench.plan()
        #expect(plan.settle.count >= 1)
        #expect(plan.starts.isEmpty)
        bench.machine.settled(at: bench.now)
        let over = bench.settleDown()
        #expect(over.notes.map(\.word).contains("storeRecovered"))
        #expect(over.starts.map(\.delivery.id.rawValue) == [2])
    }

    /// A full disk can still be read. That must not count as recovery: the log would alternate between failure and
    /// recovery.
    @Test func storeOutageLastsUntilEveryFailedOperationWorksAgain() {
        var outage = StoreOutage()
        let steps: [(operation: StoreOutage.Operation, works: Bool, at: MonotonicTime, begins: Bool, lasted: Double?)] =
            [
                (.look, true, 0, false, nil), (.claim, false, 1, true, nil), (.settle, false, 1.1, false, nil),
                (.look, true, 2, false, nil), (.claim, true, 3, false, nil), (.settle, false, 4, false, nil),
                (.upkeep, true, 5, false, nil), (.settle, true, 9, false, 8), (.settle, true, 10, false, nil),
                (.look, false, 11, true, nil), (.claim, true, 13, false, 2),
            ]
        for step in steps {
            if step.works {
                let lasted = outage.worked(step.operation, at: step.at)
                #expect(lasted == step.lasted, "\(step)")
            } else {
                let begins = outage.failed(step.operation, at: step.at)
                #expect(begins == step.begins, "\(step)")
            }
        }
        #expect(!outage.isFailing)
    }

    @Test func retriesBroughtForwardAfterAClockStepAreClaimedAtOnce() throws {
        var bench = Bench()
        bench.settleDown()
        bench.now.time = bench.now.time - .seconds(86_400)
        bench.pass(30)
        let begun = bench.plan()
        let upkeep = try #require(begun.upkeep)
        #expect(upkeep.latestDue == bench.now.time + .seconds(3600 * 1.2))
        bench.machine.keptUp(upkeep, reclaimed: 0, broughtForward: 3, at: bench.now)
        if begun.look { bench.machine.looked(start, at: bench.now) }
        let plan = bench.plan()
        #expect(plan.notes.map(\.word) == ["brought forward 3"])
        #expect(plan.claim != nil)
    }

    @Test func failedStoreOperationsAreRetried() throws {
        var bench = Bench()
        let plan = bench.plan()
        bench.machine.claimFailed(StoreError.full, at: bench.now)
        bench.machine.upkeepFailed(StoreError.full, at: bench.now)
        #expect(plan.claim != nil && plan.upkeep != nil)
        let after = bench.plan()
        #expect(after.notes.map(\.word) == ["storeFailed"])
        #expect(after.wakeAt == start + .seconds(1))
        bench.pass(1)
        let again = bench.plan()
        #expect(again.claim != nil && again.upkeep?.reclaim == true && again.upkeep?.status != nil)
    }
}

@Suite struct ShutdownTests {
    private func stopped(due: Range<Int64> = 1..<6) -> (bench: Bench, starts: [ActiveSet.Attempt]) {
        var bench = Bench(Bench.unpaced(concurrency: 2))
        let starts = bench.settleDown(due: deliveries(due)).starts
        bench.machine.stop(at: bench.now)
        return (bench, starts)
    }

    @Test func idleMachineStopsAtOnce() {
        var bench = Bench()
        bench.settleDown()
        bench.machine.stop(at: bench.now)
        #expect(bench.plan().isFinished)
    }

    @Test func releasesWaitingDeliveriesAndLetsRunningOnesFinish() {
        var (bench, starts) = stopped()
        var plan = bench.settleDown(due: deliveries(10..<20))
        #expect(plan.settle.map(\.delivery.rawValue) == [3, 4, 5])
        #expect(plan.settle.allSatisfy { $0.result == .released })
        #expect(plan.starts.isEmpty && !plan.isFinished && plan.wakeAt == start + .seconds(10))
        bench.pass(9)
        for attempt in starts { #expect(bench.finish(attempt, .done) == nil) }
        plan = bench.settleDown()
        #expect(plan.settle.count == 2 && plan.isFinished && !plan.cancelSenders)
    }

    @Test func cancelsSendsThatOutlastTheShutdown() {
        var (bench, starts) = stopped()
        bench.settleDown()
        bench.pass(10)
        #expect(bench.settleDown().cancelSenders)
        // One attempt reacts to the cancellation.
        bench.finish(starts[0], .lost)
        #expect(bench.settleDown().settle.map(\.mayHaveBeenTaken) == [true])
        bench.pass(1)
        let plan = bench.settleDown()
        #expect(plan.settle.map(\.result) == [.retry(at: bench.now.time)])
        #expect(plan.settle.map(\.mayHaveBeenTaken) == [true])
        #expect(plan.isFinished)
        // The answer of the other attempt comes too late.
        #expect(bench.finish(starts[1], .done) == nil)
        #expect(bench.plan().settle.isEmpty)
    }

    @Test func claimReturnedDuringShutdownIsReleased() throws {
        var bench = Bench()
        let begun = bench.plan()
        let claim = try #require(begun.claim)
        if let upkeep = begun.upkeep { bench.machine.keptUp(upkeep, reclaimed: 0, broughtForward: 0, at: bench.now) }
        bench.machine.stop(at: bench.now)
        #expect(!bench.plan().isFinished)
        bench.machine.claimed(DeliveryClaim(deliveries(1..<4)), by: claim, at: bench.now)
        let plan = bench.settleDown()
        #expect(plan.settle.map(\.result) == [.released, .released, .released] && plan.starts.isEmpty)
        #expect(plan.isFinished)
    }

    @Test func shutdownDoesNotWaitForeverForAFailingStore() {
        var (bench, starts) = stopped(due: 1..<3)
        for attempt in starts { bench.finish(attempt) }
        var tries = 0
        for _ in 0..<60 {
            let plan = bench.plan()
            if plan.upkeep != nil { bench.machine.upkeepFailed(StoreError.full, at: bench.now) }
            if !plan.settle.isEmpty {
                tries += 1
                bench.machine.settlingFailed(StoreError.full, at: bench.now)
            }
            if plan.isFinished {
                #expect(plan.notes.map(\.word).contains("unrecorded 2"))
                #expect(tries >= 4 && tries <= 6)
                return
            }
            bench.pass(0.25)
        }
        Issue.record("the machine did not finish")
    }
}

/// Settings that change while the worker runs.
@Suite struct ReconfigurationTests {
    private static let schedule = RetrySchedule(
        first: .seconds(7), maximum: .seconds(7), giveUpAfter: .seconds(1000))

    @Test func retriesPausedUnderALongerOldScheduleStayPut() throws {
        var bench = Bench()
        let before = try #require(bench.plan().upkeep).latestDue
        bench = Bench()
        bench.machine.reconfigured(schedule: Self.schedule, maximumRate: nil, at: bench.now)
        #expect(Self.schedule.longestPause < RetrySchedule().longestPause)
        #expect(try #require(bench.plan().upkeep).latestDue == before)
    }

    @Test func nextRetryFollowsTheNewSchedule() throws {
        var bench = Bench()
        let plan = bench.settleDown(due: [delivery(1)])
        bench.machine.reconfigured(schedule: Self.schedule, maximumRate: 1, at: bench.now)
        bench.finish(try #require(plan.starts.first), .retry(.init("x", "y"), pace: .normal))
        let settlement = try #require(bench.settleDown().settle.first)
        #expect(settlement.result == .retry(at: bench.now.time + .seconds(7)))
    }

    @Test func reconfiguredRateAppliesOnlyToPacedLanes() {
        for (pacing, rate) in [(DeliveryConfiguration.Pacing.account(maximumRate: 50), 4.8), (.unlimited, nil)] {
            var bench = Bench(DeliveryConfiguration(pacing: pacing))
            bench.settleDown()
            bench.machine.reconfigured(schedule: Self.schedule, maximumRate: 5, at: bench.now)
            bench.pass(40)
            #expect(bench.settleDown().upkeep?.status?.rate == rate)
        }
    }
}

@Suite struct OutageLogTests {
    @Test func sixHourOutageLogsOneSummaryAMinute() {
        var log = OutageLog()
        var lines: [OutageLog.Line] = []
        for tenth in 0..<216_000 { lines.append(log.retried(at: MonotonicTime(seconds: Double(tenth) / 10))) }
        #expect(lines.prefix(7) == [.each, .each, .each, .each, .each, .summary(retries: 6), .quiet])
        #expect(lines.count { $0 != .quiet } == 5 + 360)
        let over = log.answered(at: 21_600)
        #expect(over?.retries == 216_000 && over?.seconds == 21_600)
        let again = log.answered(at: 21_601)
        #expect(again == nil)
        let line = log.retried(at: 21_602)
        #expect(line == .each)
    }

    @Test func retriesBetweenSuccessesAreLoggedIndividually() {
        var log = OutageLog()
        for second in 0..<100 {
            let line = log.retried(at: MonotonicTime(seconds: Double(second)))
            #expect(line == .each)
            if second % 3 == 0 {
                let over = log.answered(at: MonotonicTime(seconds: Double(second)))
                #expect(over == nil)
            }
        }
    }
}
