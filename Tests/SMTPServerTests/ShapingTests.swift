import NIOCore
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ShapingTests {
    private static let goOn = "354 End data with <CR><LF>.<CR><LF>"

    /// Clients of a key that allows one email per second, the first of which is used up.
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

    @Test func whatWouldHaveToWaitTooLongIsRefused() async throws {
        let (fixture, clients) = try await waitingClients(5)
        let late = try await fixture.signedIn()
        #expect(
            try await late.openData()
                == "451 4.7.1 The API key's limit of 1 emails per second is reached, retry in 6 s [rate-second]")
        await fixture.advance(.seconds(5))
        for client in clients { #expect(try await client.reply() == ShapingTests.goOn) }
        // The envelope stands: the client may ask again.
        await fixture.advance(.seconds(1))
        #expect(try await late.say("DATA") == ShapingTests.goOn)
    }

    @Test(arguments: ["disconnects", "says close_notify", "resets"])
    func aClientThatLeavesWhileHeldGivesItsPlaceBack(how: String) async throws {
        let (fixture, clients) = try await waitingClients(1)
        switch how {
        case "disconnects": try await clients[0].disconnect()
        case "says close_notify": await clients[0].sendLast("")
        default: await clients[0].fail(IOError(errnoCode: 104, reason: "read"))
        }
        #expect(clients[0].isClosed)
        // Nothing waits for the moment that would have been its turn.
        await eventually { await clients[0].isForgotten }
        // The first client's own is left.
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

    @Test func aMessageThatIsRefusedGivesItsPlaceBack() async throws {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 1, burst: 1))
        let client = try await fixture.signedIn()
        for _ in 0..<3 {
            #expect(try await client.openData() == ShapingTests.goOn)
            await client.send("From: from@elsewhere.example\r\n\r\n.\r\n")
            #expect(try await client.reply().hasSuffix("[header-domain]"))
        }
    }
}
