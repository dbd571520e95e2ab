import RelayCore
import TestSupport
import Testing

@Suite struct MonotonicTimeTests {
    @Test func itGoesByTheClockThatIsNotStepped() {
        let clock = ManualClock()
        let before = clock.monotonicNow()
        clock.step(to: Sample.now + .seconds(86_400))
        #expect(clock.monotonicNow() == before)
        clock.advance(.milliseconds(1500))
        #expect(clock.monotonicNow().seconds(since: before) == 1.5)
        #expect(clock.monotonicNow() == before + .milliseconds(1500))
        #expect(MonotonicTime.distantPast < before)
    }
}
