import NIOCore
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ShapingTests {
    private static let goOn = "354 End data with <CR><LF>.<CR><LF>"

    /// Clients that wait for the reply to DATA. Their key allows one email per second, and the first email has been
    /// sent.
    private func waitingClients(_ count: Int) async throws -> (ServerFixture, [Client]) {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 1, burst: 1))
        let first = try await fixture.signedIn()
        #expect(try await first.sendMessage().hasPrefix("250 "))
        var clients: [Client] = []
        for _ in 0..<count {
            let client = try await fixture.signedIn()
            await client.sendEnvelope()
            for _ in 0..<2 { _ = try await client.reply() }
            await client.send("DATA\r\n")
            #expect(try await client.pending() == "")
            clients.append(client)
        }
        return (fixture, clients)
    }

    @Test func theReplyToDataIsHeldBackUntilTheKeyMaySend() async throws {
        let (fixture, clients) = try await waitingClients(1)
        await fixture.advance(.milliseconds(999))
        #expect(try await clients[0].pending() == "")
        await fixture.advance(.milliseconds(1))
        #expect(try await clients[0].reply() == ShapingTests.goOn)
        await clients[0].send(Client.content() + ".\r\n")
        #expect(try await clients[0].reply().hasPrefix("250 2.0.0 Ok: queued as "))
    }

    @Test func clientsOfOneKeyAreServedInTheirOrder() async throws {
        let (fixture, clients) = try await waitingClients(4)
        for (index, client) in clients.enumerated() {
            await fixture.advance(.seconds(1))
            #expect(try await client.reply() == ShapingTests.goOn)
            for later in clients[(index + 1)...] { #expect(try await later.pending() == "") }
        }
    }

    @Test func messageThatWouldWaitTooLongIsRefused() async throws {
        let (fixture, clients) = try await waitingClients(5)
        let late = try await fixture.signedIn()
        #expect(
            try await late.openData().reads(
                "451 4.7.1 … API key … 1 email … second … retry in 6 s [rate-second]"))
        await fixture.advance(.seconds(5))
        for client in clients { #expect(try await client.reply() == ShapingTests.goOn) }
        // The envelope stays valid: the client may send DATA again.
        await fixture.advance(.seconds(1))
        #expect(try await late.say("DATA") == ShapingTests.goOn)
    }

    @Test(arguments: ["disconnects", "says close_notify", "resets"])
    func clientLeavingWhileDelayedReturnsItsReservation(how: String) async throws {
        let (fixture, clients) = try await waitingClients(1)
        switch how {
        case "disconnects": try await clients[0].disconnect()
        case "says close_notify": await clients[0].sendLast("")
        default: await clients[0].fail(IOError(errnoCode: 104, reason: "read"))
        }
        #expect(clients[0].isClosed)
        // No timer keeps the connection in memory until the time at which its turn would have come.
        await eventually { await clients[0].isForgotten }
        // Only the timer of the first client is left.
        #expect(try await fixture.timers() == 1)
        let next = try await fixture.signedIn()
        await next.sendEnvelope()
        for _ in 0..<2 { _ = try await next.reply() }
        await next.send("DATA\r\n")
        await fixture.advance(.seconds(1))
        #expect(try await next.reply() == ShapingTests.goOn)
    }

    @Test func nothingIsReadWhileAReplyIsHeldBack() async throws {
        let (fixture, clients) = try await waitingClients(1)
        await clients[0].send("NOOP\r\n")
        #expect(await clients[0].unread == 6)
        await fixture.advance(.seconds(1))
        #expect(try await clients[0].reply() == ShapingTests.goOn)
        #expect(await clients[0].unread == 0)
    }

    // MARK: Rates that relays share

    /// A client that has sent DATA. The store has been asked whether the key may send.
    private func asking(_ rates: StubRates) async throws -> (ServerFixture, Client) {
        let fixture = try ServerFixture(rates: rates)
        let client = try await fixture.signedIn()
        await client.sendEnvelope()
        for _ in 0..<2 { _ = try await client.reply() }
        await client.send("DATA\r\n")
        #expect(try await client.pending() == "")
        #expect(rates.open == 1)
        return (fixture, client)
    }

    @Test func theReplyToDataWaitsForTheStore() async throws {
        let rates = StubRates()
        let (fixture, client) = try await asking(rates)
        // The time limits of the client do not run meanwhile, however long the store takes.
        await fixture.advance(.seconds(400))
        await client.send(Client.content())
        #expect(try await client.pending() == "")
        #expect(await client.unread == Client.content().utf8.count)
        rates.allow(1)
        #expect(try await client.reply() == ShapingTests.goOn)
        await client.send(".\r\n")
        #expect(try await client.reply().hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(rates.givenBack == [])
    }

    @Test func storeMayDelayTheReplyToData() async throws {
        let rates = StubRates()
        let (fixture, client) = try await asking(rates)
        rates.answer(.success(SharedRateAnswer(answer: .wait(seconds: 2), taken: 1, aheadLasts: 0.2)))
        await fixture.settle()
        await fixture.advance(.milliseconds(1999))
        #expect(try await client.pending() == "")
        await fixture.advance(.milliseconds(1))
        #expect(try await client.reply() == ShapingTests.goOn)
    }

    @Test(
        arguments: [
            (
                .success(SharedRateAnswer(answer: .refuse(seconds: 6), taken: 0, aheadLasts: 0.2)),
                "451 4.7.1 … API key … 1000 emails … second … retry in 6 s [rate-second]"
            ),
            (.failure(StoreError.unavailable("down")), "452 4.3.1 … [storage]"),
        ] as [(StubRates.Answer, String)])
    func whatTheStoreDoesNotAllowIsRefused(answer: StubRates.Answer, reply: String) async throws {
        let rates = StubRates()
        let (_, client) = try await asking(rates)
        rates.answer(answer)
        #expect(try await client.reply().reads(reply))
        // The envelope stays valid: the client may send DATA again.
        await client.send("DATA\r\n")
        #expect(try await client.pending() == "")
        rates.allow(1)
        #expect(try await client.reply() == ShapingTests.goOn)
    }

    @Test(arguments: ["disconnects", "says close_notify", "resets"])
    func clientLeavingDuringARateQueryReturnsItsEmails(how: String) async throws {
        let rates = StubRates()
        let (fixture, client) = try await asking(rates)
        switch how {
        case "disconnects": try await client.disconnect()
        case "says close_notify": await client.sendLast("")
        default: await client.fail(IOError(errnoCode: 104, reason: "read"))
        }
        #expect(client.isClosed)
        rates.allow(1)
        await fixture.settle()
        await eventually { await client.isForgotten }
        #expect(rates.givenBack == [1])
        #expect(try await fixture.timers() == 0)
    }

    @Test func refusedMessageReturnsItsRateReservation() async throws {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 1, burst: 1))
        let client = try await fixture.signedIn()
        for _ in 0..<3 {
            #expect(try await client.openData() == ShapingTests.goOn)
            await client.send("From: from@elsewhere.example\r\n\r\n.\r\n")
            #expect(try await client.reply().hasSuffix("[header-domain]"))
        }
    }
}
