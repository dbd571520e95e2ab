import RelayCore
import Testing

@testable import Delivery

@Suite struct RetryScheduleTests {
    /// A number of attempts, each of which made the next pause longer.
    private func tries(_ count: Int) -> RetrySchedule.Tries { .init(attempts: count, pauses: count) }

    /// A pause depends on the attempts that lengthen pauses, but a pause after throttling depends on all attempts.
    /// Here, one of 10 attempts lengthens pauses.
    @Test(
        arguments: [(.normal, 60), (.slow, 1800), (.patient, 1800), (.throttled, 5.5)]
            as [(DeliveryOutcome.Pace, Double)])
    func throttledAttemptsDoNotLengthenPauses(pace: DeliveryOutcome.Pace, seconds: Double) {
        let tries = RetrySchedule.Tries(attempts: 10, pauses: 1)
        #expect(RetrySchedule().pause(after: tries, pace: pace, random: 0.5) == .seconds(seconds))
    }

    /// With `random` 0.5, the pause has no jitter.
    @Test(
        arguments: [
            (.normal, 0, 30), (.normal, 1, 60), (.normal, 2, 120), (.normal, 6, 1920), (.normal, 7, 3600),
            (.normal, 50, 3600),
            (.normal, .max, 3600), (.normal, -1, 30), (.slow, 0, 900), (.slow, 1, 1800), (.slow, 2, 3600),
            (.slow, 9, 3600),
            (.throttled, 0, 1.5), (.throttled, 1, 2), (.throttled, 3, 5), (.throttled, 4, 5.5), (.throttled, .max, 5.5),
        ] as [(DeliveryOutcome.Pace, Int, Double)])
    func pauses(pace: DeliveryOutcome.Pace, attempts: Int, seconds: Double) {
        #expect(RetrySchedule().pause(after: tries(attempts), pace: pace, random: 0.5) == .seconds(seconds))
    }

    @Test(
        arguments: [
            (.normal, 0, 24...36), (.normal, 20, 2880...4320), (.slow, 0, 720...1080), (.throttled, 0, 1...2),
            (.throttled, 20, 1...10),
        ] as [(DeliveryOutcome.Pace, Int, ClosedRange<Double>)])
    func jitter(pace: DeliveryOutcome.Pace, attempts: Int, bounds: ClosedRange<Double>) {
        let schedule = RetrySchedule()
        let least = schedule.pause(after: tries(attempts), pace: pace, random: 0).inSeconds
        let most = schedule.pause(after: tries(attempts), pace: pace, random: 1.0.nextDown).inSeconds
        #expect(abs(least - bounds.lowerBound) < 0.001 && abs(most - bounds.upperBound) < 0.001)
    }

    @Test func pausesFollowTheScheduleSettings() {
        let schedule = RetrySchedule(first: .seconds(1), maximum: .seconds(4), giveUpAfter: .seconds(60))
        let pauses = (0..<4).map { schedule.pause(after: tries($0), pace: .normal, random: 0.5) }
        #expect(pauses == [.seconds(1), .seconds(2), .seconds(4), .seconds(4)])
        #expect(schedule.pause(after: tries(0), pace: .slow, random: 0.5) == .seconds(4))
    }

    /// Seconds after acceptance at which an attempt ended, and at which the next one is due; nil: given up.
    @Test(
        arguments: [
            (.normal, 0, 0, 30), (.normal, 9, 170_000, 172_800), (.normal, 9, 172_799, 172_800),
            (.normal, 9, 172_800, nil),
            (.normal, 9, 999_999, nil), (.slow, 9, 172_800, nil), (.slow, 3, 172_000, 172_800),
            // This is the first attempt: the lane was held until then, or an operator retried the delivery.
            (.normal, 0, 500_000, 500_030), (.normal, 1, 500_030, nil),
            // Throttling is no reason to give up.
            (.throttled, 9, 172_799, 172_804.5), (.throttled, 9, 999_999, 1_000_004.5),
        ] as [(DeliveryOutcome.Pace, Int, Double, Double?)])
    func givesUp(pace: DeliveryOutcome.Pace, attempts: Int, endedAfter: Double, due: Double?) {
        let next = RetrySchedule().nextAttempt(
            after: tries(attempts), pace: pace, queuedSince: start, now: start + .seconds(endedAfter), random: 0.5)
        #expect(next == due.map { start + .seconds($0) })
    }

    /// A delivery that fails all the time is tried about 55 times in 48 hours.
    @Test func failingDeliveryIsTriedAbout55TimesIn48Hours() {
        let schedule = RetrySchedule()
        var now = start
        var attempts = 0
        while let next = schedule.nextAttempt(
            after: tries(attempts), pace: .normal, queuedSince: start, now: now, random: 0.5)
        {
            #expect(next > now)
            now = next
            attempts += 1
        }
        #expect(now == start + .seconds(48 * 3600))
        #expect(attempts + 1 == 55)
    }

    @Test(arguments: [(172_800, "48 h"), (5400, "90 min"), (45, "45 s"), (0, "0 s")])
    func words(seconds: Int, text: String) { #expect(Duration.seconds(seconds).inWords == text) }
}
