import RelayCore
import TestSupport
import Testing

@testable import Admission

@Suite struct ClientLogTests {
    private static let client = IPAddress(ipv4: 0xC000_0207)

    @Test func linesPerClientAreLimitedAndTheRestIsCounted() {
        var limiter = ClientLogLimiter()
        let written = (0..<100).count { i in
            limiter.add("refused", i.isMultiple(of: 2) ? "address" : "sender-domain", Self.client, at: 5).goesOut
        }
        #expect(written == ClientLogLimiter.direct)
        #expect(limiter.flush(at: 5.9) == [])
        #expect(
            limiter.flush(at: 6) == [
                .init(client: Self.client, count: 91, about: ["refused sender-domain (46)", "refused address (45)"])
            ])
        #expect(limiter.flush(at: 7) == [])
    }

    @Test func theNextSecondBeginsWithTheSummaryOfTheLast() {
        var limiter = ClientLogLimiter()
        for _ in 0..<10 { _ = limiter.add("timed out", "", Self.client, at: 0) }
        let (goesOut, due) = limiter.add("timed out", "", Self.client, at: 1)
        #expect(goesOut)
        #expect(due == [.init(client: Self.client, count: 1, about: ["timed out (1)"])])
    }

    @Test func lineLimitIsPerClientAndAnIPv6NetworkIsOneClient() throws {
        var limiter = ClientLogLimiter()
        for i in 0..<UInt32(50) { #expect(limiter.add("x", "", IPAddress(ipv4: i), at: 0).goesOut) }
        let written = try (0..<50).count { i in
            limiter.add("x", "", try #require(IPAddress("2001:db8::\(i)")), at: 0).goesOut
        }
        #expect(written == ClientLogLimiter.direct)
    }

    /// The limiter uses limited memory, however many clients there are.
    @Test func memoryIsBounded() {
        var limiter = ClientLogLimiter()
        let many = UInt32(ClientLogLimiter.maximumClients)
        let written = (0..<(many + 500)).count { limiter.add("x", "", IPAddress(ipv4: $0), at: 0).goesOut }
        #expect(written == Int(many))
        #expect(limiter.flush(at: 1) == [.init(client: nil, count: 500, about: [])])
        #expect(limiter.add("x", "", IPAddress(ipv4: many + 1), at: 1).goesOut)
    }
}
