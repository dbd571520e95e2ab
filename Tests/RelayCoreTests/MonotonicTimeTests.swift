import RelayCore
import TestSupport
import Testing

@Suite struct MonotonicTimeTests {
    @Test func monotonicTimeIgnoresClockSteps() {
        let clock = ManualClock()
        let before = clock.monotonicNow()
        clock.step(to: Sample.now + .seconds(86_400))
        #expect(clock.monotonicNow() == before)
        clock.advance(.milliseconds(1500))
        #expect(clock.monotonicNow().seconds(since: before) == 1.5)
        #expect(clock.monotonicNow() == before + .milliseconds(1500))
        #expect(clock.monotonicNow() - before == .milliseconds(1500))
        #expect(before - clock.monotonicNow() == .milliseconds(-1500))
        #expect(MonotonicTime.distantPast < before)
    }

    /// However far apart two moments are, their difference does not trap.
    @Test func theDistantPastIsLongerAgoThanAnythingElse() {
        let past = MonotonicTime.distantPast
        #expect((7 as MonotonicTime) - past == .seconds(1e18))
        #expect(past - 7 == .seconds(-1e18))
        #expect(past - past == .zero)
        #expect(past + .seconds(7) == past)
        #expect((7 as MonotonicTime).seconds(since: past) == .infinity)
    }
}
