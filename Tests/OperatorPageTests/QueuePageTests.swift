import RelayCore
import TestSupport
import Testing

@testable import OperatorPage

@Suite struct QueuePageTests {
    private func visitor() -> Visitor {
        var generator = SystemRandomNumberGenerator()
        return Visitor(
            session: OperatorSecret(using: &generator), sessionEnds: Sample.now + .seconds(60), now: Sample.now,
            hostname: "relay.example.com", version: "1.2.3")
    }

    private func lane(_ node: String?, held: String? = nil, rate: Double? = 5) -> LaneStatus {
        LaneStatus(lane: .live, heldBecause: held, since: Sample.now, rate: rate, node: node)
    }

    private func html(_ lanes: [LaneStatus]) -> String {
        QueuePage.lane(.live, QueueStatus(depths: [], lanes: lanes, emailsToday: [:]), visitor()).text
    }

    @Test func oneRelayNeedsNoName() {
        for node in [nil, "gw1"] as [String?] {
            let text = html([lane(node, held: "paused")])
            #expect(text.mentions("held", "paused", "5 emails") && !text.contains("gw1"))
        }
        #expect(html([]).contains("never started"))
    }

    @Test func eachOfSeveralRelaysIsListedByName() {
        let text = html([lane("gw1", rate: 0), lane("<gw2>", held: "paused")])
        #expect(text.mentions("held", "&lt;gw2&gt;", "paused"))
        #expect(text.mentions("Rate", "gw1", "share", "Rate", "&lt;gw2&gt;", "5 emails") && !text.contains("<gw2>"))
        #expect(!html([lane("gw1"), lane("gw2")]).lowercased().contains("held"))
    }

    @Test func relaysAreListedWhereThereAreAny() {
        #expect(QueuePage.relays([], visitor()).text.isEmpty)
        let nodes = [("gw1", true), ("<gw2>", false)].map { name, isLive in
            NodeRecord(
                name: name, number: 7, startedAt: Sample.now, lastSeenAt: Sample.now, isLive: isLive, version: "1.2.3",
                clockOffset: .seconds(2))
        }
        let text = QueuePage.relays(nodes, visitor()).text
        for word in ["gw1", "&lt;gw2&gt;", ">live<", ">gone<", "1.2.3", "2 s ahead"] { #expect(text.contains(word)) }
    }
}
