import Delivery
import Logging
import RelayCore
import SQLiteStore
import TestSupport
import Testing

@Suite struct OutageTests {
    enum Outage: CaseIterable {
        /// SES can't be reached: each delivery is retried on its own.
        case noConnection
        /// SES has paused the account: the lane is held, and the worker only probes SES.
        case accountPaused

        var condition: StandIn.Condition { self == .noConnection ? .down : .paused }
        /// The longest time that one delivery waits after SES is available again.
        var longestPause: Duration { self == .noConnection ? .seconds(3600 * 1.2) : .seconds(300) }
    }

    /// The number of messages: the value of OUTAGE_MESSAGES, or 2,000. A release build needs a few minutes for 100,000.
    static let messages = number("OUTAGE_MESSAGES") ?? 2000
    static let hours = 6
    /// The clock moves in steps of this length, as a program on a busy machine sees it.
    static let stride = Duration.seconds(60)

    /// The key of each of ten messages in a row. One key has half of the messages, the others have fewer.
    static let shares = [0, 0, 0, 0, 0, 1, 1, 2, 3, 4]

    @Test(.timeLimit(.minutes(OutageTests.messages > 2000 ? 60 : 3)), arguments: Outage.allCases)
    func anOutageOfSixHoursLosesNothingAndSendsNothingTwice(outage: Outage) async throws {
        let site = try await Site(keys: 5, DeliveryConfiguration(pacing: .unlimited, pollInterval: OutageTests.stride))
        var accepted: Set<MessageID> = []
        var claimsBefore = 0
        try await site.working {
            site.standIn.become(outage.condition)
            let minutes = OutageTests.hours * 60
            for minute in 0..<minutes {
                let share = OutageTests.messages * minute / minutes..<OutageTests.messages * (minute + 1) / minutes
                accepted.formUnion(
                    try await site.accept(share.map { site.keys[OutageTests.shares[$0 % OutageTests.shares.count]] }))
                await site.clock.run(until: site.clock.now() + .seconds(60), stride: OutageTests.stride)
            }
            #expect(site.standIn.count == 0)
            let lines = site.log.entries.count
            #expect(lines < 500)
            claimsBefore = site.queue.claims.count
            site.standIn.become(.up)
            try await site.drain(within: outage.longestPause * 2, stride: OutageTests.stride)
        }

        let taken = site.standIn.taken.map(\.message)
        #expect(taken.count == OutageTests.messages)
        let areThose = Set(taken) == accepted
        #expect(areThose)
        let claims = site.queue.claims
        let isFair = claims.allSatisfy(isInTurn)
        #expect(isFair)
        // All held deliveries become due at once, so the keys' turns continue from one claim to the next.
        let isFairThroughout = isInTurn(claims[claimsBefore...].joined())
        if outage == .accountPaused { #expect(isFairThroughout) }

        try await expectRecords(outage, site)
        expectLog(outage, site)
    }

    private func expectRecords(_ outage: Outage, _ site: Site) async throws {
        let records = try await site.store.messages(MessageFilter(state: .sent, limit: .max))
        #expect(records.count == OutageTests.messages)
        let deliveries = records.flatMap(\.deliveries)
        let areComplete = deliveries.allSatisfy {
            $0.history.count == $0.attempts && $0.history.last?.outcome == "sent" && !$0.maybeDuplicate
        }
        #expect(areComplete)
        // The pause of the account costs no message an attempt.
        let cost = deliveries.count { $0.attempts > 1 }
        if outage == .accountPaused { #expect(cost == 0) }
    }

    private func expectLog(_ outage: Outage, _ site: Site) {
        let lines = site.log.entries
        let others = lines.filter { $0.message != "sent" }
        #expect(lines.count - others.count == OutageTests.messages)
        #expect(others.count < 500)
        switch outage {
        case .noConnection:
            // There is at most one line a minute about what fails and why, and one line about the end of the outage.
            let summaries = others.count { $0.level == .warning && $0.message.contains("connection-failed") }
            #expect(summaries > 0 && summaries <= OutageTests.hours * 60)
            let ends = others.count { $0.message.contains("succeed again") }
            #expect(ends == 1)
        case .accountPaused:
            let alerts = others.count { $0.level == .critical }
            #expect(alerts == 1)
            let ends = others.count { $0.message.contains("moves again") }
            #expect(ends == 1)
        }
        print(
            "\(outage): \(OutageTests.messages) messages, \(site.standIn.attempts) attempts, \(others.count) log lines")
    }
}
