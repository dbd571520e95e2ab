import InternetMessage
import RelayCore
import TestSupport
import Testing

@testable import Admission
@testable import SMTPServer

/// A client may leave at any point. Nothing of its connection is left, and its place in the key's rate is given back
/// exactly once.
@Suite(.timeLimit(.minutes(1))) struct LifetimeTests {
    enum Point: CaseIterable, Sendable {
        case connected, greeted, withinAuth, lookingUp, signedIn, sender, recipient, held, data, content, spooled
        case piece, pieceBeforeEnd, finishing, committing, queued

        /// Whether the message is accepted although the client has left.
        var isTaken: Bool {
            switch self {
            case .finishing, .committing, .queued: true
            default: false
            }
        }
    }

    /// The key may send two emails at once, and then none for seconds. So a place that is given back twice is noticed.
    private static let limits = SendingLimits(perSecond: 0.25, burst: 2)

    /// A client that has come to `point`, and the closed gate at which a step of the store waits, if any.
    private func client(at point: Point, _ fixture: ServerFixture) async throws -> (Client, Gate?) {
        let store = fixture.store
        if point == .connected { return (try await fixture.connect(), nil) }
        let client = try await fixture.greeted()
        switch point {
        case .connected, .greeted: return (client, nil)
        case .withinAuth:
            #expect(try await client.say("AUTH LOGIN").hasPrefix("334 "))
            return (client, nil)
        case .lookingUp:
            store.lookUps.close()
            await client.send(Client.plain(fixture.key.revealed) + "\r\n")
            await store.lookUps.arrival()
            return (client, store.lookUps)
        default: #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        }
        if point == .signedIn { return (client, nil) }
        try await client.say("MAIL FROM:<from@example.com>")
        if point == .sender { return (client, nil) }
        try await client.say("RCPT TO:<to@example.net>")
        if point == .recipient { return (client, nil) }
        await client.send("DATA\r\n")
        if point == .held {
            #expect(try await client.pending() == "")
            return (client, nil)
        }
        #expect(try await client.reply().hasPrefix("354 "))
        switch point {
        case .content: await client.send(Client.content(1000))
        case .spooled:
            await client.send(Client.content(200_000))
            await eventually { (store.files.values.first ?? 0) > 0 }
            await fixture.settle()
        case .piece: return try await wait(client, at: store.appends, sending: Client.content(400_000))
        case .pieceBeforeEnd:
            return try await wait(client, at: store.appends, sending: Client.content(150_000) + ".\r\n")
        case .finishing:
            return try await wait(client, at: store.finishes, sending: Client.content(150_000) + ".\r\n")
        case .committing: return try await wait(client, at: store.commits, sending: Client.content() + ".\r\n")
        case .queued:
            await client.send(Client.content() + ".\r\n")
            #expect(try await client.reply().hasPrefix("250 "))
        default: break
        }
        return (client, nil)
    }

    private func wait(_ client: Client, at gate: Gate, sending text: String) async throws -> (Client, Gate) {
        gate.close()
        await client.send(text)
        await gate.arrival()
        return (client, gate)
    }

    /// How many emails the key may send at once now.
    private func tokens(_ fixture: ServerFixture) async throws -> Int {
        let admission = fixture.service.admission
        let result = await admission.authenticate(
            userName: [], password: Array(fixture.key.revealed.utf8), client: Sample.client)
        let grant = try result.get()
        let recipient = try AddrSpec(parsing: Array("to@example.net".utf8))
        let origin = Admission.Origin(clientName: "client", client: Sample.client, with: "ESMTPSA")
        var count = 0
        var taken: [Admission.Reception] = []
        while case .success(var reception) = admission.begin(from: .null, origin: origin, grant) {
            guard reception.add(recipient) == nil, case .now = reception.open() else { break }
            taken.append(reception)
            count += 1
        }
        return count
    }

    private func expectNothingLeft(of client: Client, _ fixture: ServerFixture) async throws {
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
        await eventually { fixture.store.strayFiles == 0 }
        #expect(try await fixture.timers() == 0)
    }

    @Test(arguments: Point.allCases)
    func disconnectedClientLeavesNothingBehind(point: Point) async throws {
        let fixture = try ServerFixture(limits: LifetimeTests.limits)
        var used = 0
        if point == .held {
            // The key's two emails are used up, so the next client must wait.
            let other = try await fixture.signedIn()
            for _ in 0..<2 { #expect(try await other.sendMessage().hasPrefix("250 ")) }
            try await other.disconnect()
            used = 2
        }
        let (client, gate) = try await client(at: point, fixture)
        try await client.disconnect()
        gate?.open()
        if point.isTaken { await eventually { fixture.store.accepted.count == 1 } }
        try await expectNothingLeft(of: client, fixture)
        #expect(fixture.store.accepted.count == used + (point.isTaken ? 1 : 0))
        #expect(try await tokens(fixture) == 2 - used - (point.isTaken ? 1 : 0))
    }

    /// The message fails in the store after the client has left. Then its place is given back, exactly once.
    @Test(arguments: [Point.finishing, .committing])
    func reservationIsReturnedOnceWhenTheMessageFailsLater(point: Point) async throws {
        let fixture = try ServerFixture(limits: LifetimeTests.limits)
        let other = try await fixture.signedIn()
        #expect(try await other.sendMessage().hasPrefix("250 "))
        try await other.disconnect()
        let (client, gate) = try await client(at: point, fixture)
        fixture.store.fail { faults in
            faults.finish = .full
            faults.commit = .full
        }
        try await client.disconnect()
        gate?.open()
        await fixture.logs.wait(for: "refused")
        try await expectNothingLeft(of: client, fixture)
        #expect(fixture.store.accepted.count == 1)
        #expect(try await tokens(fixture) == 1)
    }

    @Test func serverObjectsAreReleasedAfterUse() async throws {
        weak var admission: Admission?
        weak var key: KeyInUse?
        do {
            let fixture = try ServerFixture()
            let client = try await fixture.signedIn()
            #expect(try await client.sendMessage(300_000).hasPrefix("250 "))
            let result = await fixture.service.admission.authenticate(
                userName: [], password: Array(fixture.key.revealed.utf8), client: Sample.client)
            key = try result.get().subject
            admission = fixture.service.admission
            #expect(key != nil)
            try await client.disconnect()
            try await expectNothingLeft(of: client, fixture)
        }
        await eventually { key == nil && admission == nil }
    }
}
