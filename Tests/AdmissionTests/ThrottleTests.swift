import Admission
import RelayCore
import TestSupport
import Testing

@Suite struct ThrottleTests {
    private static let guesser = Sample.client
    private static let other = IPAddress(ipv4: 0x0A00_0001)

    private func throttle(failures: Int, at now: MonotonicTime = 0) -> AuthenticationThrottle {
        var throttle = AuthenticationThrottle()
        for _ in 0..<failures { throttle.failed(ThrottleTests.guesser, isGuess: true, at: now) }
        return throttle
    }

    // MARK: Delays

    @Test(arguments: zip(0...12, [0, 0, 0, 0.125, 0.25, 0.5, 1, 1, 1, 1, 1, 1, 1]))
    func delayGrowsWithFailures(failures: Int, delay: Double) {
        let throttle = throttle(failures: failures)
        #expect(throttle.delay(for: ThrottleTests.guesser, at: 0) == delay)
        #expect(throttle.delay(for: ThrottleTests.other, at: 0) == 0)
    }

    @Test func delaysFollowTheThrottleConfiguration() {
        var configuration = AuthenticationThrottle.Configuration()
        configuration.freeFailures = 0
        configuration.firstDelay = 0.5
        configuration.longestDelay = 3
        var throttle = AuthenticationThrottle(configuration)
        var delays: [Double] = []
        for _ in 0..<5 {
            throttle.failed(ThrottleTests.guesser, isGuess: true, at: 0)
            delays.append(throttle.delay(for: ThrottleTests.guesser, at: 0))
        }
        #expect(delays == [0.5, 1, 2, 3, 3])
    }

    /// A person at the keyboard, or a test with a dialogue, can wait until these delays have passed.
    @Test func delaysBeforeTheBlockTotalUnderSixSeconds() {
        let sum = (1...10).map { throttle(failures: $0).delay(for: ThrottleTests.guesser, at: 0) }.reduce(0, +)
        #expect(sum < 6)
    }

    @Test func delayEndsWithTheWindow() {
        let throttle = throttle(failures: 5, at: 100)
        #expect(throttle.delay(for: ThrottleTests.guesser, at: 699.9) == 0.5)
        #expect(throttle.delay(for: ThrottleTests.guesser, at: 700) == 0)
    }

    // MARK: Blocking

    @Test func tenthFailureBlocksTheClient() {
        #expect(throttle(failures: 9).wait(for: ThrottleTests.guesser, at: 0) == nil)
        let throttle = throttle(failures: 10)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 0) == 600)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 599.5) == 0.5)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 600) == nil)
        #expect(throttle.wait(for: ThrottleTests.other, at: 0) == nil)
    }

    @Test func blockLastsTheFullWindowHoweverSlowTheFailures() {
        var throttle = AuthenticationThrottle()
        for number in 0..<10 {
            throttle.failed(ThrottleTests.guesser, isGuess: true, at: MonotonicTime(seconds: Double(number) * 60))
        }
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 540) == 600)
    }

    @Test func spacedOutFailuresNeverBlock() {
        var throttle = AuthenticationThrottle()
        for number in 0..<100 {
            throttle.failed(ThrottleTests.guesser, isGuess: true, at: MonotonicTime(seconds: Double(number) * 67))
            #expect(throttle.wait(for: ThrottleTests.guesser, at: MonotonicTime(seconds: Double(number) * 67)) == nil)
        }
    }

    @Test func failureCountRestartsAfterTheBlock() {
        var throttle = throttle(failures: 12)
        throttle.failed(ThrottleTests.guesser, isGuess: true, at: 600)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 600) == nil)
        #expect(throttle.delay(for: ThrottleTests.guesser, at: 600) == 0)
    }

    // MARK: Clients

    @Test(arguments: [1, 5, 10, 30])
    func successClearsAllFailures(failures: Int) {
        var throttle = throttle(failures: failures)
        throttle.succeeded(ThrottleTests.guesser)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 0) == nil)
        #expect(throttle.delay(for: ThrottleTests.guesser, at: 0) == 0)
        #expect(throttle.count == 0)
        for _ in 0..<9 { throttle.failed(ThrottleTests.guesser, isGuess: true, at: 1) }
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 1) == nil)
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.2", false), ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true), ("2001:db8::1", "2001:db8:0:1::1", false),
        ("2001:db8::1", "0.0.0.0", false), ("::1", "0.0.0.1", false),
    ])
    func whatCountsAsOneNetwork(a: String, b: String, isOne: Bool) throws {
        let (a, b) = (try #require(IPAddress(a)), try #require(IPAddress(b)))
        var throttle = AuthenticationThrottle()
        for _ in 0..<5 {
            throttle.failed(a, isGuess: true, at: 0)
            throttle.failed(b, isGuess: true, at: 0)
        }
        #expect((throttle.wait(for: a, at: 0) != nil) == isOne)
        #expect(throttle.count == (isOne ? 1 : 2))
        throttle.succeeded(a)
        #expect(throttle.count == (isOne ? 0 : 1))
    }

    // MARK: Memory

    private func address(_ number: Int) -> IPAddress { IPAddress(ipv4: UInt32(truncatingIfNeeded: number)) }

    @Test func aMillionAddressesTakeBoundedMemory() {
        var throttle = AuthenticationThrottle()
        var most = 0
        for number in 0..<1_000_000 {
            throttle.failed(address(number), isGuess: true, at: MonotonicTime(seconds: Double(number) / 1_000_000))
            most = max(most, throttle.count)
        }
        #expect(most <= 65_536)
        // The most recent addresses are still known.
        for _ in 0..<9 { throttle.failed(address(999_999), isGuess: true, at: 1) }
        #expect(throttle.wait(for: address(999_999), at: 1) != nil)
    }

    @Test func leastRecentFailuresAreEvictedFirst() {
        var configuration = AuthenticationThrottle.Configuration()
        configuration.maximumEntries = 8
        configuration.freeFailures = 0
        var throttle = AuthenticationThrottle(configuration)
        func known(_ numbers: Range<Int>) -> [Int] { numbers.filter { throttle.delay(for: address($0), at: 0) > 0 } }
        for number in 0..<7 { throttle.failed(address(number), isGuess: true, at: 0) }
        #expect(known(0..<8) == Array(0..<7))
        // This address failed again, so it is among the newest.
        throttle.failed(address(0), isGuess: true, at: 0)
        #expect(known(0..<8) == [0, 4, 5, 6])
        for number in 8..<11 { throttle.failed(address(number), isGuess: true, at: 0) }
        #expect(known(0..<11) == [0, 4, 5, 6, 8, 9, 10])
        throttle.failed(address(11), isGuess: true, at: 0)
        #expect(known(0..<12) == [8, 9, 10, 11])
        #expect(throttle.count == 4)
    }

    @Test func failuresInTheOlderGenerationStillCount() {
        var configuration = AuthenticationThrottle.Configuration()
        configuration.maximumEntries = 4
        var throttle = AuthenticationThrottle(configuration)
        for number in 0..<10 {
            throttle.failed(ThrottleTests.guesser, isGuess: true, at: 0)
            throttle.failed(address(number), isGuess: true, at: 0)
        }
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 0) == 600)
        throttle.succeeded(ThrottleTests.guesser)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 0) == nil)
    }

    /// The throttle expects a clock that never steps back. If a clock does, the throttle must not block a client for
    /// ever, and must not trap.
    @Test func stoppedOrBackwardClockDoesNotExtendTheBlock() {
        let throttle = throttle(failures: 10, at: 1000)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 1000) == 600)
        #expect(throttle.wait(for: ThrottleTests.guesser, at: 0) == 600)
    }
}
