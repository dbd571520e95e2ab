import TestSupport
import Testing

@testable import RelayCore

@Suite("Relays on one store")
struct NodeRecordTests {
    @Test(
        "The words for a relay's clock",
        arguments: [
            (nil, "… not known …"), (0, "… right …"), (0.04, "… right …"), (-0.04, "… right …"),
            (1.26, "… 1.3 s … ahead …"), (-2, "… 2 s … behind …"),
        ] as [(Double?, String)])
    func clock(offset: Double?, words: String) {
        let node = NodeRecord(
            name: "gw1", number: 3, startedAt: Sample.now, lastSeenAt: Sample.now, isLive: true, version: "1.2.3",
            clockOffset: offset.map { .seconds($0) })
        #expect(node.clockWords.reads(words))
    }

    @Test(
        "The words for the most that a relay sends",
        arguments: [
            (nil, nil), (13.44, "… 13.4 emails … second …"), (5, "… 5 emails … second …"),
            (0, "… 0 emails a second … relays … share … rate…"),
        ] as [(Double?, String?)])
    func rate(rate: Double?, words: String?) {
        let status = LaneStatus(lane: .live, heldBecause: nil, since: Sample.now, rate: rate, node: "gw1")
        #expect((status.rateWords == nil) == (words == nil))
        if let told = status.rateWords, let words { #expect(told.reads(words)) }
    }

    @Test("A relay finds its own lane among those of the others", arguments: [nil, "gw1", "gw2", "gw3"] as [String?])
    func own(node: String?) {
        let lanes = ["gw1", "gw2"].map {
            LaneStatus(lane: .live, heldBecause: nil, since: Sample.now, rate: 5, node: $0)
        }
        let status = QueueStatus(depths: [], lanes: lanes, emailsToday: [:], node: node)
        #expect(status.ownLane(.live)?.node == (node == "gw3" ? nil : node ?? "gw1"))
        #expect(status.ownLane(.test) == nil)
    }
}
