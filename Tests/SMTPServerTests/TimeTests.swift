import NIOCore
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct TimeTests {
    private static let idle = "421 4.4.2 relay.example.com … waited … client …"
    private static let notAuthenticated = "421 4.4.2 relay.example.com … 60 s … authenticate …"
    private static let tooSlow = "421 4.4.2 relay.example.com … message … 500 octets a second …"

    /// Expects no output until one second before `seconds` have passed, and then the reply and the end of the
    /// connection.
    private func expectEnd(_ client: Client, _ fixture: ServerFixture, after seconds: Int, with reply: String)
        async throws
    {
        await fixture.advance(.seconds(seconds - 1))
        #expect(try await client.pending() == "")
        await fixture.advance(.seconds(1))
        #expect(try await client.pending().reads(reply + "\r\n"))
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
        #expect(try await fixture.timers() == 0)
    }

    // MARK: Idle

    @Test func idleClientGetsATimeoutReply() async throws {
        let fixture = try ServerFixture()
        try await expectEnd(fixture.signedIn(), fixture, after: 300, with: TimeTests.idle)
    }

    @Test func commandRestartsTheIdleTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        for _ in 0..<5 {
            await fixture.advance(.seconds(299))
            try await client.say("NOOP")
        }
        try await expectEnd(client, fixture, after: 300, with: TimeTests.idle)
    }

    @Test func messageRestartsTheIdleTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await fixture.advance(.seconds(250))
        #expect(try await client.sendMessage().hasPrefix("250 "))
        try await expectEnd(client, fixture, after: 300, with: TimeTests.idle)
    }

    @Test func unterminatedInputDoesNotRestartTheIdleTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        let piece = String(repeating: "x", count: 50_000)
        for _ in 0..<29 {
            await fixture.advance(.seconds(10))
            await client.send(piece)
            #expect(await client.unread == 0)
            #expect(await client.buffered < 4096)
        }
        try await expectEnd(client, fixture, after: 10, with: TimeTests.idle)
    }

    @Test func openTransactionDoesNotPreventTheIdleTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await client.sendEnvelope()
        for _ in 0..<2 { _ = try await client.reply() }
        try await expectEnd(client, fixture, after: 300, with: TimeTests.idle)
    }

    // MARK: Authentication

    @Test func aClientHasAMinuteToAuthenticate() async throws {
        let fixture = try ServerFixture()
        try await expectEnd(fixture.greeted(), fixture, after: 60, with: TimeTests.notAuthenticated)
    }

    @Test func commandsDoNotExtendTheAuthenticationTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        for _ in 0..<59 {
            await fixture.advance(.seconds(1))
            try await client.say("NOOP")
        }
        try await expectEnd(client, fixture, after: 1, with: TimeTests.notAuthenticated)
    }

    @Test func authenticationExchangeDoesNotExtendTheTimeout() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        await fixture.advance(.seconds(50))
        #expect(try await client.say("AUTH LOGIN") == "334 VXNlcm5hbWU6")
        try await expectEnd(client, fixture, after: 10, with: TimeTests.notAuthenticated)
    }

    @Test func authenticationTimeoutIncludesTheTLSHandshake() async throws {
        let fixture = try ServerFixture(plaintext: false)
        let client = try await fixture.connect(implicitTLS: true)
        await fixture.advance(.seconds(30))
        await client.completeHandshake()
        #expect(try await client.reply().hasPrefix("220 "))
        try await expectEnd(client, fixture, after: 30, with: TimeTests.notAuthenticated)
    }

    @Test func aHandshakeThatNeverEndsIsEnded() async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        let client = try await fixture.greeted()
        await fixture.advance(.seconds(30))
        #expect(try await client.say("STARTTLS") == "220 2.0.0 Ready to start TLS")
        // The header of a record. It announces more octets than the client sends.
        await client.send(ByteBuffer(bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
        await fixture.advance(.seconds(29))
        #expect(!client.isClosed)
        await fixture.advance(.seconds(1))
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        let silent = try await fixture.connect(implicitTLS: true)
        await fixture.advance(.seconds(60))
        #expect(silent.isClosed)
        #expect(fixture.openConnections == 0)
    }

    @Test func slowKeyLookUpIsAnsweredBeforeTheTimeoutApplies() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        fixture.store.lookUps.close()
        await client.send(Client.plain(Sample.key().secret.revealed) + "\r\n")
        await fixture.store.lookUps.arrival()
        await fixture.advance(.seconds(200))
        #expect(try await client.pending() == "")
        fixture.store.lookUps.open()
        #expect(try await client.reply().hasSuffix("[key-unknown]"))
        await fixture.advance(.seconds(1))
        #expect(try await client.pending().reads(TimeTests.notAuthenticated + "\r\n"))
        #expect(client.isClosed)
    }

    // MARK: Transfer rate

    @Test func aMessageThatMovesTooSlowlyEndsTheConnection() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        for _ in 0..<3 {
            await client.send(String(repeating: "x", count: 29_998) + "\r\n")
            await fixture.advance(.seconds(60))
            #expect(try await client.pending() == "")
        }
        await client.send(String(repeating: "x", count: 29_997) + "\r\n")
        try await expectEnd(client, fixture, after: 60, with: TimeTests.tooSlow)
        #expect(fixture.store.accepted.isEmpty)
    }

    /// The client has also ended its message with LF alone, and waits for the reply.
    @Test func bareLineFeedsAreExplainedWhenTheClientTimesOut() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        await client.send("From: from@example.com\n\nHello\n.\n")
        await fixture.advance(.seconds(60))
        #expect(
            try await client.remainingReplies().reads([
                "550 5.6.11 … LF … CRLF … [line-ending]",
                TimeTests.tooSlow,
            ]))
        #expect(fixture.logs.entries("refused").map { $0.metadata["reason"] } == ["line-ending"])
        #expect(fixture.openConnections == 0)
    }

    /// The log must tell the operator why a connection was closed.
    @Test func timedOutConnectionIsLogged() async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        _ = try await fixture.connect(implicitTLS: true)
        _ = try await fixture.greeted()
        await fixture.advance(.seconds(60))
        let entries = fixture.logs.entries("timed out").map(\.metadata)
        #expect(Set(entries.compactMap { $0["waited_for"] }) == ["handshake", "authentication"])
        let remedy = entries.first { $0["waited_for"] == "handshake" }?["remedy"]
        #expect(remedy.mentions("STARTTLS", "587"))
    }

    /// A timer that was set before DATA may fire in the middle of this minute.
    @Test func transferSpeedIsMeasuredOverAFullMinute() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await fixture.advance(.seconds(290))
        _ = try await client.openData()
        try await expectEnd(client, fixture, after: 60, with: TimeTests.tooSlow)
    }

    @Test func slowDiskIsNotBlamedOnTheClient() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.appends.close()
        _ = try await client.openData()
        // Four reads fill the buffers. The octets that are left are fewer than a client must send in a minute.
        await client.send(Client.content(4 * 65_536 + 20_000))
        await fixture.store.appends.arrival()
        await fixture.advance(.seconds(150))
        #expect(try await client.pending() == "")
        #expect((1..<30_000).contains(await client.unread))
        fixture.store.appends.open()
        await eventually { await client.unread == 0 }
        // Half of the current minute had passed. From here on, the client gets a full minute.
        try await expectEnd(client, fixture, after: 60, with: TimeTests.tooSlow)
        await eventually { fixture.store.files.isEmpty }
    }
}
