import RelayCore
import TestSupport
import Testing

@Suite struct DeliveryChangeTests {
    private static let later = Sample.now + .seconds(30)

    private func settlement(
        _ result: Settlement.Result, reason: String? = "why", mayHaveBeenTaken: Bool = false, lengthens: Bool = true
    ) -> Settlement {
        Settlement(
            delivery: DeliveryID(rawValue: 1), result: result, reason: reason, startedAt: Sample.now,
            finishedAt: Sample.now, mayHaveBeenTaken: mayHaveBeenTaken, lengthensPause: lengthens)
    }

    private func standing(
        _ state: DeliveryState = .sending, isOurs: Bool = true, onReturn: QueuedDisposition = .deliver
    ) -> DeliveryChange.Standing {
        .init(state: state, isHeldByReporter: isOurs, onReturn: onReturn)
    }

    @Test(
        arguments: [
            (.sent(sesMessageID: "1"), .sent, "sent", "1"),
            (.simulated(sesMessageID: "2"), .simulated, "simulated", "2"),
            (.failed, .failed, "failed", nil), (.retry(at: later), .queued, "retry", nil),
            (.released, .queued, nil, nil),
        ] as [(Settlement.Result, DeliveryState, String?, String?)])
    func anOutcomeIsRecorded(
        _ result: Settlement.Result, _ state: DeliveryState, _ word: String?, _ sesMessageID: String?
    ) throws {
        let change = try #require(DeliveryChange(settling: settlement(result), of: standing()))
        #expect(change.state == state)
        #expect(change.reason == .set("why"))
        #expect(change.attempt?.outcome == word)
        #expect(change.sesMessageID == sesMessageID)
        #expect(change.endedAt == (state.isFinal ? Sample.now : nil))
        #expect(change.due == (word == "retry" ? DeliveryChangeTests.later : nil))
        #expect(change.lengthensPause == (word == "retry"))
        #expect(change.queuedSince == nil)
    }

    @Test func untriedReleaseKeepsTheLastReason() {
        #expect(DeliveryChange(settling: settlement(.released, reason: nil), of: standing())?.reason == .kept)
        #expect(
            DeliveryChange(settling: settlement(.sent(sesMessageID: "1"), reason: nil), of: standing())?.reason
                == .set(nil))
    }

    @Test func throttledRetryDoesNotLengthenThePause() {
        let throttled = settlement(.retry(at: DeliveryChangeTests.later), lengthens: false)
        #expect(DeliveryChange(settling: throttled, of: standing())?.lengthensPause == false)
    }

    @Test func possiblyAcceptedDeliveryIsMarkedAsPossibleDuplicate() {
        for result in [Settlement.Result.failed, .retry(at: Sample.now), .released] {
            #expect(
                DeliveryChange(settling: settlement(result, mayHaveBeenTaken: true), of: standing())?.mayBeDuplicate
                    == true)
        }
    }

    /// A process that has lost the delivery may still report that it was sent, unless this is recorded already.
    @Test(arguments: DeliveryState.allCases)
    func lateOutcomeCountsOnlyIfTheDeliveryWasSent(_ state: DeliveryState) {
        let standing = standing(state, isOurs: false)
        let isOnRecord = state == .sent || state == .simulated
        #expect((DeliveryChange(settling: settlement(.sent(sesMessageID: "1")), of: standing) == nil) == isOnRecord)
        for result in [Settlement.Result.failed, .retry(at: Sample.now), .released] {
            #expect(DeliveryChange(settling: settlement(result), of: standing) == nil)
        }
    }

    /// Deliveries of a revoked key that return to the queue are treated like the queued ones. Deliveries that have
    /// ended do not return.
    @Test(
        arguments: [(.deliver, .queued), (.hold, .held), (.drop, .failed)] as [(QueuedDisposition, DeliveryState)])
    func returnedDeliveriesOfARevokedKeyFollowItsDisposition(_ onReturn: QueuedDisposition, _ expected: DeliveryState)
        throws
    {
        let back: [DeliveryChange?] = [
            DeliveryChange(
                settling: settlement(.retry(at: DeliveryChangeTests.later)), of: standing(onReturn: onReturn)),
            DeliveryChange(settling: settlement(.released), of: standing(onReturn: onReturn)),
            DeliveryChange(abandonedIn: .live, onReturn: onReturn, at: Sample.now),
        ]
        for change in back {
            let change = try #require(change)
            #expect(change.state == expected)
            #expect(change.endedAt == (expected == .failed ? Sample.now : nil))
            if expected != .queued {
                #expect(change.reason == DeliveryChange(revoked: onReturn, at: Sample.now)?.reason)
            }
        }
        let ended = DeliveryChange(settling: settlement(.failed), of: standing(onReturn: onReturn))
        #expect(ended?.state == .failed && ended?.reason == .set("why"))
    }

    @Test(arguments: Lane.allCases)
    func abandonedDeliveryIsDueAtOnce(_ lane: Lane) {
        let change = DeliveryChange(abandonedIn: lane, onReturn: .deliver, at: Sample.now)
        #expect(change.state == .queued && change.due == Sample.now && change.attempt?.outcome == "retry")
        #expect(change.mayBeDuplicate == (lane == .live))
        #expect(!change.lengthensPause)
    }

    /// The states that each action affects, and the state that results.
    @Test(
        arguments: [
            (.retry(dropped: true), [.failed], .queued), (.retry(dropped: false), [.failed], .queued),
            (.hold, [.queued], .held), (.release, [.held], .queued), (.drop, [.queued, .held], .failed),
        ] as [(OperatorAction, Set<DeliveryState>, DeliveryState)])
    func anOperatorActionChanges(
        _ operatorAction: OperatorAction, _ affected: Set<DeliveryState>, _ expected: DeliveryState
    ) {
        #expect(Set(DeliveryState.allCases.filter { operatorAction.affects($0, reason: "why") }) == affected)
        let change = DeliveryChange(operatorAction, scheduledAt: nil, at: Sample.now)
        #expect(change.state == expected)
        #expect(change.attempt == nil)
        // A delivery that is queued again is like a new one: it is due at once, has all its time, and has the shortest
        // pause.
        #expect(change.queuedSince == (expected == .queued ? Sample.now : nil))
        #expect(change.due == change.queuedSince)
    }

    @Test func retrySkipsDroppedDeliveriesUnlessRequested() throws {
        guard case .set(let reason) = DeliveryChange(.drop, scheduledAt: nil, at: Sample.now).reason else {
            Issue.record("dropped without a reason")
            return
        }
        #expect(DeliveryChange(revoked: .drop, at: Sample.now)?.reason == .set(reason))
        #expect(!OperatorAction.retry(dropped: false).affects(.failed, reason: reason))
        #expect(OperatorAction.retry(dropped: true).affects(.failed, reason: reason))
        #expect(OperatorAction.retry(dropped: false).affects(.failed, reason: nil))
    }

    /// A delivery that is put back into the queue keeps its scheduled time if that is in the future.
    @Test(arguments: [OperatorAction.release, .retry(dropped: true)], [-1, 0, 1])
    func aScheduledTimeIsKept(_ operatorAction: OperatorAction, _ seconds: Int) {
        let change = DeliveryChange(operatorAction, scheduledAt: Sample.now + .seconds(seconds), at: Sample.now)
        let due = Sample.now + .seconds(max(0, seconds))
        #expect(change.state == .queued && change.due == due && change.queuedSince == due)
    }

    @Test func cancelledDeliveryHasEnded() {
        let change = DeliveryChange(cancelledAt: Sample.now)
        #expect(change.state == .cancelled && change.endedAt == Sample.now)
        guard case .set(let reason) = change.reason else {
            Issue.record("cancelled without a reason")
            return
        }
        #expect(reason.mentions("cancelled", "application"))
    }

    @Test(
        arguments: [
            ([], .queued), ([.queued, .held], .queued), ([.cancelled], .cancelled),
            ([.cancelled, .cancelled], .cancelled), ([.cancelled, .sent], .partlyFailed),
            ([.cancelled, .failed], .partlyFailed), ([.held, .cancelled], .held),
        ] as [([DeliveryState], MessageState)])
    func aMessagesStateIsThatOfItsDeliveries(_ deliveries: [DeliveryState], _ expected: MessageState) {
        #expect(MessageState(of: deliveries) == expected)
    }

    /// Times in seconds from now: when each delivery is tried next (nil: it has ended), and for when the message was
    /// scheduled.
    @Test(
        arguments: [
            ([10], 10, .scheduled), ([10, 10], 10, .scheduled), ([10, nil], 10, .scheduled),
            ([0], 0, .queued), ([-1], -1, .queued), ([10], nil, .queued),
            // The first delivery was tried already, before the clock was set back.
            ([30, 10], 10, .queued), ([nil], 10, .sent),
        ] as [([Int?], Int?, MessageState)])
    func aMessageIsScheduledWhileAllOfItWaits(_ due: [Int?], _ scheduled: Int?, _ expected: MessageState) {
        let deliveries = due.map { seconds -> (state: DeliveryState, nextAttemptAt: Timestamp?) in
            (seconds == nil ? .sent : .queued, seconds.map { Sample.now + .seconds($0) })
        }
        let state = MessageState(
            of: deliveries, scheduledAt: scheduled.map { Sample.now + .seconds($0) }, at: Sample.now)
        #expect(state == expected)
    }
}
