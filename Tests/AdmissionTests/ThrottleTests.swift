import Admission
import RelayCore
import Testing

@Suite struct ThrottleTests {
    private let client = IPAddress(ipv4: 0xC000_0201)

    private func throttle(after failures: Int, of client: IPAddress, at now: Double = 0) -> AuthenticationThrottle {
        var throttle = AuthenticationThrottle()
        for _ in 0..<failures { throttle.failed(client, at: now) }
        return throttle
    }

    @Test(arguments: [(0, 0.0), (1, 0), (2, 0), (3, 0.125), (4, 0.25), (5, 0.5), (6, 1), (9, 1), (1000, 1)])
    func answersComeLaterAndLater(failures: Int, delay: Double) {
        #expect(throttle(after: failures, of: client).delay(for: client, at: 1) == delay)
    }

    @Test func theDoorIsShutForItsWholeTimeAndThenAllIsForgotten() {
        let throttle = throttle(after: 10, of: client, at: 100)
        #expect(self.throttle(after: 9, of: client).wait(for: client, at: 0) == nil)
        #expect(throttle.wait(for: client, at: 100) == 600)
        #expect(throttle.wait(for: client, at: 699) == 1)
        #expect(throttle.wait(for: client, at: 700) == nil)
        #expect(throttle.delay(for: client, at: 700) == 0)
    }

    @Test func aSuccessTakesBackAllThatWasHeldAgainstTheNetwork() {
        var throttle = throttle(after: 9, of: client)
        throttle.succeeded(client)
        #expect(throttle.delay(for: client, at: 0) == 0)
        throttle.failed(client, at: 0)
        #expect(throttle.wait(for: client, at: 0) == nil)
        #expect(throttle.delay(for: client, at: 0) == 0)
    }

    @Test func ofIPv6ANetworkIsOneClientOfIPv4AnAddress() throws {
        let one = try #require(IPAddress("2001:db8:0:1::1"))
        let same = try #require(IPAddress("2001:db8:0:1:ffff:ffff:ffff:ffff"))
        let other = try #require(IPAddress("2001:db8:0:2::1"))
        let throttle = throttle(after: 10, of: one)
        #expect(throttle.wait(for: same, at: 1) != nil)
        #expect(throttle.wait(for: other, at: 1) == nil)
        #expect(self.throttle(after: 10, of: client).wait(for: IPAddress(ipv4: 0xC000_0202), at: 1) == nil)
    }

    @Test func aMillionAddressesTakeBoundedMemoryAndTheLatestAreRemembered() {
        var throttle = AuthenticationThrottle()
        let limit = AuthenticationThrottle.Configuration().maximumEntries
        var most = 0
        for number in 0..<1_000_000 as Range<UInt32> {
            throttle.failed(IPAddress(ipv4: number), at: Double(number) / 100_000)
            most = max(most, throttle.count)
        }
        #expect(most <= limit)
        // One who is at it now is shut out as ever.
        for _ in 0..<10 { throttle.failed(client, at: 11) }
        #expect(throttle.wait(for: client, at: 11) != nil)
    }
}
