import NIOCore
import RelayCore
import TestSupport
import Testing

@testable import SMTPServer

/// If more than 80 % of the connections are in use, clients have less time to authenticate.
@Suite(.timeLimit(.minutes(1))) struct StressTests {
    private static let tooSlow = "421 4.4.2 relay.example.com … 10 s … authenticate … most connections …"
    private static let usual = "421 4.4.2 relay.example.com … 60 s … authenticate …"

    private func greeted(_ count: Int, _ fixture: ServerFixture) async throws -> [Client] {
        var clients: [Client] = []
        for _ in 0..<count { clients.append(try await fixture.greeted()) }
        return clients
    }

    /// Asserts that the clients got `reply` and nothing else, and that their connections are closed.
    private func expectEnd(_ clients: some Sequence<Client>, with reply: String) async throws {
        for client in clients {
            #expect(try await client.pending().reads(reply + "\r\n"))
            #expect(client.isClosed)
        }
    }

    private func expectNothing(_ clients: some Sequence<Client>) async throws {
        for client in clients {
            #expect(try await client.pending() == "")
            #expect(!client.isClosed)
        }
    }

    @Test func timeoutsAreUnchangedUpTo80PercentLoad() async throws {
        let fixture = try ServerFixture(maximumConnections: 10)
        let clients = try await greeted(8, fixture)
        await fixture.advance(.seconds(59))
        try await expectNothing(clients)
        await fixture.advance(.seconds(1))
        try await expectEnd(clients, with: StressTests.usual)
        #expect(fixture.openConnections == 0)
    }

    @Test func above80PercentTheOldestAreClosedAfterTenSeconds() async throws {
        let fixture = try ServerFixture(maximumConnections: 10)
        let clients = try await greeted(10, fixture)
        await fixture.advance(.seconds(9))
        try await expectNothing(clients)
        await fixture.advance(.seconds(1))
        let gone = clients.filter(\.isClosed)
        #expect(gone.count == 2)
        try await expectEnd(gone, with: StressTests.tooSlow)
        try await expectNothing(clients.filter { !$0.isClosed })
        #expect(fixture.openConnections == 8)
    }

    @Test func stressThatBeginsLaterIsNoticed() async throws {
        let fixture = try ServerFixture(maximumConnections: 10)
        let early = try await greeted(5, fixture)
        await fixture.advance(.seconds(25))
        let late = try await greeted(4, fixture)
        await fixture.advance(.seconds(4))
        try await expectNothing(early + late)
        await fixture.advance(.seconds(1))
        #expect(early.count(where: \.isClosed) == 1)
        try await expectEnd(early.filter(\.isClosed), with: StressTests.tooSlow)
        try await expectNothing(late)
    }

    @Test func authenticatedClientsAreNotClosedUnderStress() async throws {
        let fixture = try ServerFixture(maximumConnections: 10)
        var clients: [Client] = []
        for _ in 0..<10 { clients.append(try await fixture.signedIn()) }
        await fixture.advance(.seconds(299))
        try await expectNothing(clients)
        for client in clients { #expect(try await client.sendMessage().hasPrefix("250 ")) }
    }

    @Test func commandsAndHandshakesDoNotExtendTheStressTimeout() async throws {
        let fixture = try ServerFixture(tls: testTLS(), maximumConnections: 10)
        for _ in 0..<8 { _ = try await fixture.signedIn() }
        let talker = try await fixture.greeted()
        let silent = try await fixture.connect(implicitTLS: true)
        for _ in 0..<9 {
            await fixture.advance(.seconds(1))
            try await talker.say("NOOP")
        }
        await fixture.advance(.seconds(1))
        try await expectEnd([talker], with: StressTests.tooSlow)
        #expect(silent.isClosed)
        #expect(fixture.openConnections == 8)
    }

    @Test func shorterConfiguredTimeoutStillApplies() async throws {
        let fixture = try ServerFixture(maximumConnections: 1, authenticationTimeout: .seconds(5))
        let client = try await fixture.greeted()
        await fixture.advance(.seconds(5))
        let reply = try await client.pending()
        #expect(reply.reads("421 4.4.2 relay.example.com … 5 s … authenticate …\r\n"))
        #expect(!reply.contains("most connections"))
    }

    @Test func timersEndWithTheirConnections() async throws {
        let fixture = try ServerFixture(maximumConnections: 10)
        let clients = try await greeted(9, fixture)
        await fixture.advance(.seconds(45))
        for client in clients where !client.isClosed { try await client.disconnect() }
        for client in clients { await eventually { await client.isForgotten } }
        #expect(try await fixture.timers() == 0)
    }
}
