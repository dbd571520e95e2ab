import Delivery
import RelayCore
import TestSupport
import Testing

/// The worker sends one message at a time, so that the order of deliveries is that of its decisions.
@Suite struct FairnessTests {
    /// The number of messages that one key has queued: the value of OUTAGE_MESSAGES, or 5,000.
    static let many = number("OUTAGE_MESSAGES") ?? 5000

    private static func configuration(claiming round: Int) -> DeliveryConfiguration {
        DeliveryConfiguration(concurrency: 1, maxActive: round, settleBatch: round, pacing: .unlimited)
    }

    @Test func tenKeysWithTenMessagesEachDoNotWaitForOneWithMany() async throws {
        let site = try await Site(keys: 11, FairnessTests.configuration(claiming: 64))
        try await site.accept(Array(repeating: site.keys[0], count: FairnessTests.many))
        for key in site.keys.dropFirst() { try await site.accept(Array(repeating: key, count: 10)) }
        try await site.working {
            while site.standIn.count < 500 { await site.clock.step(limit: site.clock.now() + .seconds(1)) }
        }
        let order = site.standIn.taken.map(\.key)
        let isFair = isInTurn(order)
        #expect(isFair)
        // So all messages of the ten other keys are sent after ten rounds.
        let end = order.lastIndex { $0 != site.keys[0] } ?? .max
        #expect(end < 11 * 10)
    }

    /// A claim may hold less than one message of each key, or one and a part of the next round. No key gets more
    /// because of that.
    @Test(arguments: [1, 2, 3, 4, 5, 7, 64])
    func keysWithEqualQueuesGetEqualShares(round: Int) async throws {
        let site = try await Site(keys: 3, FairnessTests.configuration(claiming: round))
        for key in site.keys { try await site.accept(Array(repeating: key, count: 60)) }
        try await site.working {
            while site.standIn.count < 180 { await site.clock.step(limit: site.clock.now() + .seconds(1)) }
        }
        let isFair = isInTurn(site.standIn.taken.map(\.key))
        #expect(isFair)
    }

    struct Arrival {
        var configuration: DeliveryConfiguration
        /// The largest number of deliveries that the worker holds.
        var round: Int
    }

    /// A message that arrives while a long queue is being sent waits only for the deliveries that are already claimed.
    @Test(
        arguments: [
            Arrival(configuration: FairnessTests.configuration(claiming: 64), round: 64),
            // At the rate of a new account, the worker holds only the deliveries of one second.
            Arrival(configuration: .init(concurrency: 1, pacing: .account(maximumRate: 14)), round: 15),
        ])
    func whoComesLaterWaitsOneRound(arrival: Arrival) async throws {
        let site = try await Site(keys: 11, arrival.configuration)
        try await site.accept(Array(repeating: site.keys[0], count: 1500))
        let after = 100
        site.standIn.whenTaking { [site] before in
            guard before >= after, before.isMultiple(of: after), before / after < site.keys.count else { return }
            try await site.accept([site.keys[before / after]])
        }
        try await site.working {
            while site.standIn.count < 1400 { await site.clock.step(limit: site.clock.now() + .seconds(1)) }
        }
        let order = site.standIn.taken.map(\.key)
        for (index, key) in site.keys.enumerated().dropFirst() {
            let position = try #require(order.firstIndex(of: key))
            #expect(position - index * after <= arrival.round + 1)
        }
    }
}
