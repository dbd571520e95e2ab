import NIOCore
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct GuessingTests {
    private static let mistyped = Client.plain("guess")

    /// The reply to one more wrong key, which was held back for `milliseconds` exactly.
    private func fail(
        _ client: Client, _ fixture: ServerFixture, _ number: Int, heldBackFor milliseconds: Int64
    ) async throws {
        await client.send(GuessingTests.mistyped + "\r\n")
        await fixture.logs.wait(for: "refused", count: number)
        if milliseconds > 0 {
            await fixture.advance(.milliseconds(milliseconds - 1))
            #expect(try await client.pending() == "", "failure \(number)")
            await fixture.advance(.milliseconds(1))
        }
        #expect(try await client.reply().hasPrefix("535 5.7.8 "), "failure \(number)")
    }

    @Test func repliesGetSlowerAndThenTheDoorIsShut() async throws {
        let fixture = try ServerFixture()
        var number = 0
        for delays: [Int64] in [[0, 0, 125, 250, 500], [1000, 1000, 1000, 1000, 1000]] {
            let client = try await fixture.greeted()
            for delay in delays {
                number += 1
                try await fail(client, fixture, number, heldBackFor: delay)
            }
        }
        let client = try await fixture.greeted()
        let reply = try await client.say(Client.plain(fixture.key.revealed))
        #expect(reply.hasPrefix("421 4.7.0 Too many failed authentications from 192.0.2.7;"))
        #expect(reply.hasSuffix("[auth-throttled]"))
        #expect(client.isClosed)
        let other = try await fixture.greeted(from: IPAddress(ipv4: 0xC000_0208))
        #expect(try await other.authenticate(fixture.key).hasPrefix("235 "))
        await fixture.advance(.seconds(600))
        #expect(try await fixture.greeted().authenticate(fixture.key).hasPrefix("235 "))
        for entry in fixture.logs.entries {
            #expect(!entry.metadata.values.contains { $0.contains(fixture.key.revealed) || $0.contains("guess") })
        }
    }

    @Test func aSuccessMakesUpForFailures() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for (number, delay) in [(1, 0), (2, 0), (3, 125), (4, 250)] as [(Int, Int64)] {
            try await fail(client, fixture, number, heldBackFor: delay)
        }
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        try await fail(fixture.greeted(), fixture, 5, heldBackFor: 0)
    }

    @Test(arguments: ["disconnects", "says close_notify"])
    func aClientThatLeavesWhileHeldCostsNothing(how: String) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for number in 1...2 { try await fail(client, fixture, number, heldBackFor: 0) }
        await client.send(GuessingTests.mistyped + "\r\n")
        await fixture.logs.wait(for: "refused", count: 3)
        await fixture.settle()
        if how == "disconnects" { try await client.disconnect() } else { await client.sendLast("") }
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
        #expect(try await fixture.timers() == 0)
    }

    /// Else a guesser would say `close_notify` at once, and have each answer at once.
    @Test func whoSaysCloseNotifyFirstIsNotAnsweredOutOfTurn() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for number in 1...2 { try await fail(client, fixture, number, heldBackFor: 0) }
        await client.sendLast(GuessingTests.mistyped + "\r\n")
        #expect(try await client.remainingReplies() == [])
        #expect(fixture.logs.entries("refused").count == 3)
    }

    @Test func aStoreThatFailsIsNobodysGuess() async throws {
        let fixture = try ServerFixture()
        fixture.store.fail { $0.lookUp = .unavailable("locked") }
        let client = try await fixture.greeted()
        for _ in 0..<9 {
            let reply = try await client.authenticate(fixture.key)
            #expect(reply.hasPrefix("454 4.7.0 ") && reply.hasSuffix("[storage]"))
        }
        fixture.store.fail { $0.lookUp = nil }
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
    }
}
