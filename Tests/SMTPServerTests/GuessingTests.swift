import NIOCore
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct GuessingTests {
    /// A wrong key in the form of a key: its check characters are right.
    private static let guess = Client.plain(Sample.key().secret.revealed)

    /// Sends one more wrong key. Checks that its reply is held back for exactly `milliseconds`.
    private func fail(
        _ client: Client, _ fixture: ServerFixture, _ number: Int, heldBackFor milliseconds: Int64
    ) async throws {
        await client.send(GuessingTests.guess + "\r\n")
        await fixture.logs.wait(for: "refused", count: number)
        if milliseconds > 0 {
            await fixture.advance(.milliseconds(milliseconds - 1))
            #expect(try await client.pending() == "", "failure \(number)")
            await fixture.advance(.milliseconds(1))
        }
        #expect(try await client.reply().hasPrefix("535 5.7.8 "), "failure \(number)")
    }

    @Test func repliesSlowDownUntilTheClientIsBlocked() async throws {
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
        // Some clients do not show the reply that ends the connection. They show the reply before it, so there are two.
        await client.send(Client.plain(fixture.key.revealed) + "\r\n")
        for code in ["454", "421"] {
            let reply = try await client.reply()
            #expect(reply.reads("\(code) 4.7.0 … authentications … 192.0.2.7 … [auth-throttled]"))
        }
        #expect(client.isClosed)
        let other = try await fixture.greeted(from: IPAddress(ipv4: 0xC000_0208))
        #expect(try await other.authenticate(fixture.key).hasPrefix("235 "))
        await fixture.advance(.seconds(600))
        #expect(try await fixture.greeted().authenticate(fixture.key).hasPrefix("235 "))
        for entry in fixture.logs.entries {
            #expect(!entry.metadata.values.contains { $0.contains(fixture.key.revealed) })
        }
    }

    @Test func successResetsTheFailureDelay() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for (number, delay) in [(1, 0), (2, 0), (3, 125), (4, 250)] as [(Int, Int64)] {
            try await fail(client, fixture, number, heldBackFor: delay)
        }
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        try await fail(fixture.greeted(), fixture, 5, heldBackFor: 0)
    }

    @Test func clientLeavingDuringTheDelayLeavesNothingBehind() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for number in 1...2 { try await fail(client, fixture, number, heldBackFor: 0) }
        await client.send(GuessingTests.guess + "\r\n")
        await fixture.logs.wait(for: "refused", count: 3)
        await fixture.settle()
        try await client.disconnect()
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
        #expect(try await fixture.timers() == 0)
    }

    /// A client that has sent `close_notify` still gets its reply, but no earlier than other clients.
    @Test func closeNotifyDoesNotShortenTheDelay() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for number in 1...2 { try await fail(client, fixture, number, heldBackFor: 0) }
        await client.sendLast(GuessingTests.guess + "\r\n")
        await fixture.logs.wait(for: "refused", count: 3)
        await fixture.advance(.milliseconds(124))
        #expect(try await client.pending() == "")
        await fixture.advance(.milliseconds(1))
        #expect(try await client.pending().hasPrefix("535 5.7.8 "))
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
    }

    /// Many applications share an address: the mistake of one must not shut out the others.
    @Test func failuresThatAreNotGuessesAreDelayedButBlockNobody() async throws {
        let fixture = try ServerFixture()
        let (scopeless, stored) = Sample.key(createdAt: fixture.clock.now()) { $0.scopes = [] }
        fixture.store.insertKey(stored)
        for password in [scopeless.revealed, "mistyped", String(scopeless.revealed.dropLast())] {
            for _ in 0..<12 {
                let client = try await fixture.greeted()
                await client.send(Client.plain(password) + "\r\n")
                try await eventually {
                    await fixture.advance(.seconds(1)); return try await client.pending().hasPrefix("535")
                }
                try await client.disconnect()
            }
        }
        #expect(try await fixture.greeted().authenticate(fixture.key).hasPrefix("235 "))
    }

    /// Exim and sendmail continue without AUTH after a refused AUTH. A permanent refusal would make them return their
    /// whole queue.
    @Test func mailAfterARefusedAuthenticationIsTemporarilyRefused() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        let refusal = try await client.say(GuessingTests.guess)
        #expect(refusal.hasPrefix("535 5.7.8 ") && refusal.hasSuffix("[key-unknown]"))
        for command in ["MAIL FROM:<from@example.com>", "RCPT TO:<to@example.net>", "DATA"] {
            #expect(try await client.say(command) == "451 4.7.0 " + refusal.dropFirst("535 5.7.8 ".count))
        }
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        #expect(try await client.sendMessage().hasPrefix("250 "))
    }

    @Test func storeFailureDoesNotCountAsAGuess() async throws {
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
