import Delivery
import RelayCore
import SQLiteStore
import TestSupport
import Testing

/// Measures what a claim costs when many messages are queued. The test prints the times and asserts none. It runs only
/// if CLAIM_COST_MESSAGES is the number of messages to queue (1000000 take a minute or two).
@Suite struct ClaimCostTests {
    @Test(.enabled(if: number("CLAIM_COST_MESSAGES") != nil))
    func claimingFromAFullQueueAndFromAShortOne() async throws {
        var costs: [Double] = []
        for queued in [1000, number("CLAIM_COST_MESSAGES") ?? 1000] {
            let site = try await Site(keys: 10, DeliveryConfiguration())
            for start in stride(from: 0, to: queued, by: 10_000) {
                try await site.accept((start..<min(start + 10_000, queued)).map { site.keys[$0 % 10] })
            }
            let now = site.clock.now()
            let time = try await ContinuousClock().measure {
                for _ in 0..<10 {
                    let claimed = try await site.store.claim(
                        lane: .live, limit: 100, leaseUntil: now + .seconds(120), now: now)
                    #expect(claimed.count == 100)
                }
            }
            costs.append(time / .microseconds(1) / 1000)
            print("claiming 1,000 of \(queued) queued: \(costs[costs.count - 1]) µs a message")
        }
        print("ratio: \(costs[1] / costs[0])")
    }
}
