import RelayCore
import TestSupport
import Testing

@testable import Delivery

@Suite struct SimulatedTransportTests {
    /// A body that must not be read.
    struct Unread: StoredBody {
        let size = 100
        func read(at offset: Int, count: Int) async throws -> [UInt8] { throw StoreError.full }
    }

    private func outcome(_ recipients: [String], attempts: Int = 0) async -> DeliveryOutcome {
        let random = Watched(SplitMix(1))
        let transport = SimulatedTransport(clock: ManualClock(start)) { random.change { $0.next() } }
        let claimed = delivery(1, lane: .test, recipients: recipients, attempts: attempts)
        return await transport.send(claimed, body: Unread())
    }

    @Test func messageIDHasTheFormOfSES() async throws {
        guard case .simulated(let id, nil, []) = await outcome(["b@example.net"]) else {
            Issue.record("the outcome is not simulated")
            return
        }
        let parts = id.split(separator: "-", omittingEmptySubsequences: false)
        #expect(parts.map(\.count) == [16, 8, 4, 4, 4, 12, 6])
        #expect(id.allSatisfy { "0123456789abcdef-".contains($0) })
        #expect(UInt64(parts[0], radix: 16) == 0x0100 << 48 | UInt64(start.milliseconds))
        let variant = try #require(parts[4].first)
        #expect(parts[3].first == "4" && "89ab".contains(variant))
        #expect(parts[6] == "000000")
    }

    @Test func messageIDsDiffer() async {
        let transport = SimulatedTransport(clock: ManualClock(start))
        var outcomes: Set<DeliveryOutcome> = []
        for id in 0..<100 as Range<Int64> { outcomes.insert(await transport.send(delivery(id), body: Unread())) }
        #expect(outcomes.count == 100)
    }

    @Test(
        arguments: [
            ("success@simulator.amazonses.com", [.delivered]), ("success+x@simulator.amazonses.com", [.delivered]),
            ("bounce@simulator.amazonses.com", [.bounced]), ("bounce+label@simulator.amazonses.com", [.bounced]),
            ("BOUNCE@Simulator.AmazonSES.com", [.bounced]),
            ("complaint@simulator.amazonses.com", [.delivered, .complained]),
            ("ooto+1+2@simulator.amazonses.com", [.delivered]),
            ("suppressionlist@simulator.amazonses.com", [.bounced]), ("other@simulator.amazonses.com", []),
            ("bounce@simulator.amazonses.com.example.net", []), ("bounce@notsimulator.amazonses.com", []),
            ("bouncer@simulator.amazonses.com", []), ("bounce@example.net", []), ("", []), ("@", []),
            ("@simulator.amazonses.com", []), ("simulator.amazonses.com", []), ("bounce", []),
        ] as [(String, [EventKind])])
    func mailboxes(recipient: String, kinds: [EventKind]) async {
        guard case .simulated(_, let note, let events) = await outcome([recipient]) else {
            Issue.record("the outcome is not simulated")
            return
        }
        #expect(events.map(\.event.kind) == kinds)
        #expect(events.allSatisfy { $0.recipient == recipient })
        #expect(note == nil)
    }

    @Test(
        arguments: [
            ("bounce", .hard, "General", true, .hardBounce),
            ("suppressionlist", .hard, "Suppressed", false, .hardBounce),
            ("complaint", nil, "abuse", false, .complaint), ("success", nil, nil, true, nil),
            ("ooto", nil, nil, true, nil),
        ] as [(String, BounceType?, String?, Bool, SuppressionReason?)])
    func whatTheEventsTell(
        _ mailbox: String, _ bounceType: BounceType?, _ subtype: String?, _ isByServer: Bool,
        _ suppression: SuppressionReason?
    ) async {
        guard case .simulated(_, _, let events) = await outcome([mailbox + "@simulator.amazonses.com"]),
            let last = events.last?.event
        else {
            Issue.record("there is no event")
            return
        }
        #expect(last.detail.bounceType == bounceType && last.detail.subtype == subtype)
        #expect((last.detail.server == "simulator.amazonses.com") == isByServer)
        #expect(last.suppressionReason == suppression)
    }

    @Test func aComplaintComesAfterTheDelivery() async {
        let clock = ManualClock(start)
        let transport = SimulatedTransport(clock: clock)
        let claimed = delivery(1, lane: .test, recipients: ["complaint@simulator.amazonses.com"])
        guard case .simulated(_, _, let events) = await transport.send(claimed, body: Unread()) else {
            Issue.record("the outcome is not simulated")
            return
        }
        #expect(events.map(\.event.at) == [clock.now(), clock.now() + .milliseconds(1)])
    }

    /// If SES can't verify the sender, a note says where SES would report bounces. So an application's own tests show
    /// it too.
    @Test(arguments: [("a@example.com", false), ("www-data@web01", true), ("a@[192.0.2.1]", true)])
    func impossibleSenderIdentityIsReported(_ sender: String, _ isTold: Bool) async {
        var claimed = delivery(1, lane: .test)
        claimed.envelope.reversePath = sender
        let transport = SimulatedTransport(clock: ManualClock(start))
        guard case .simulated(_, let note, _) = await transport.send(claimed, body: Unread()) else {
            Issue.record("the outcome is not simulated")
            return
        }
        #expect((note?.contains(sender) == true) == isTold)
    }

    @Test func eachRecipientHasItsOwnEvents() async {
        let recipients = ["ooto", "bounce+1", "bounce+2", "success"].map { $0 + "@simulator.amazonses.com" }
        guard case .simulated(_, _, let events) = await outcome(recipients + ["b@example.net"]) else {
            Issue.record("the outcome is not simulated")
            return
        }
        #expect(events.map(\.recipient) == recipients)
        #expect(events.map(\.event.kind) == [.delivered, .bounced, .bounced, .delivered])
    }

    @Test(arguments: [(0, true), (1, true), (2, false), (3, false)])
    func throttlesTwice(attempts: Int, isThrottled: Bool) async {
        let outcome = await outcome(["b@example.net", "throttle+x@simulator.amazonses.com"], attempts: attempts)
        if case .retry(_, let pace) = outcome {
            #expect(isThrottled && pace == .throttled)
        } else {
            #expect(!isThrottled)
        }
    }
}
