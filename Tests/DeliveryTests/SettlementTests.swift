import RelayCore
import Testing

@testable import Delivery

@Suite struct SettlementTests {
    struct Case: Sendable {
        var outcome: DeliveryOutcome
        var attempts = 0
        var acceptedBefore = 10
        var mayGiveUp = true
        var result: Settlement.Result
        var reason: String?
        var mayHaveBeenTaken = false
    }

    @Test(arguments: [
        Case(outcome: .done, result: .sent(sesMessageID: "0100"), reason: nil),
        Case(outcome: .sent(sesMessageID: "01", note: "n"), result: .sent(sesMessageID: "01"), reason: "n"),
        Case(outcome: .simulated(sesMessageID: "01"), result: .simulated(sesMessageID: "01"), reason: nil),
        Case(outcome: .simulated(sesMessageID: "01", note: "n"), result: .simulated(sesMessageID: "01"), reason: "n"),
        Case(outcome: .refused, result: .failed, reason: "MessageRejected: No."),
        Case(outcome: .refused, attempts: 9, acceptedBefore: 999_999, result: .failed, reason: "MessageRejected: No."),
        Case(outcome: .busy, result: .retry(at: start + .seconds(30)), reason: "ServiceUnavailable: Later."),
        Case(
            outcome: .lost, attempts: 1, result: .retry(at: start + .seconds(60)),
            reason: "connection-lost: No answer.",
            mayHaveBeenTaken: true),
        Case(
            outcome: .throttled, attempts: 4, acceptedBefore: 999_999, result: .retry(at: start + .seconds(5.5)),
            reason: "TooManyRequestsException: Slower."),
        Case(
            outcome: .limited, result: .retry(at: start + .seconds(900)), reason: "LimitExceededException: Much later."),
        Case(
            outcome: .busy, attempts: 50, acceptedBefore: 172_800, result: .failed,
            reason: "\(gaveUpReason) 48 h: ServiceUnavailable: Later."),
        Case(
            outcome: .lost, attempts: 50, acceptedBefore: 172_800, result: .failed,
            reason: "\(gaveUpReason) 48 h: connection-lost: No answer.", mayHaveBeenTaken: true),
        Case(
            outcome: .busy, attempts: 50, acceptedBefore: 172_800, mayGiveUp: false,
            result: .retry(at: start + .seconds(3600)), reason: "ServiceUnavailable: Later."),
        // After few attempts, the delivery is retried soon. The jitter spreads the retries of several deliveries.
        Case(
            outcome: .busy, attempts: 1, acceptedBefore: 172_800, mayGiveUp: false,
            result: .retry(at: start + .seconds(60)), reason: "ServiceUnavailable: Later."),
        Case(
            outcome: .denied, attempts: 50, acceptedBefore: 999_999, result: .retry(at: start + .seconds(3600)),
            reason: "AccessDenied: Not this identity."),
        Case(outcome: .paused, result: .released, reason: "SendingPausedException: Paused."),
        Case(
            outcome: .usedUp, attempts: 50, acceptedBefore: 999_999, result: .released, reason: "daily-quota: Used up."),
    ])
    func settles(_ example: Case) {
        let claimed = delivery(
            7, queuedSince: start - .seconds(example.acceptedBefore), attempts: example.attempts)
        let settlement = Settlement(
            example.outcome, of: claimed, schedule: RetrySchedule(), mayGiveUp: example.mayGiveUp,
            startedAt: start - .seconds(1), finishedAt: start, random: 0.5)
        #expect(settlement.delivery == claimed.id)
        #expect(settlement.result == example.result)
        #expect(settlement.reason == example.reason)
        #expect(settlement.mayHaveBeenTaken == example.mayHaveBeenTaken)
        #expect(settlement.startedAt == start - .seconds(1) && settlement.finishedAt == start)
    }

    /// A throttled answer says nothing about the message, so it does not lengthen the pauses.
    @Test(arguments: [
        (DeliveryOutcome.busy, true), (.lost, true), (.limited, true), (.denied, true), (.throttled, false),
    ])
    func lengthensThePauses(_ outcome: DeliveryOutcome, _ lengthens: Bool) {
        let settlement = Settlement(
            outcome, of: delivery(7), schedule: RetrySchedule(), startedAt: start, finishedAt: start, random: 0.5)
        #expect(settlement.lengthensPause == lengthens)
    }

    @Test func releasingAnUntriedDelivery() {
        let settlement = Settlement(releasing: delivery(7), at: start)
        #expect(settlement.result == .released && settlement.reason == nil && !settlement.mayHaveBeenTaken)
    }
}
