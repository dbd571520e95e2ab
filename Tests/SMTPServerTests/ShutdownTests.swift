import Listening
import NIOCore
import NIOExtras
import NIOPosix
import RelayCore
import TestSupport
import Testing

@testable import SMTPServer

@Suite(.timeLimit(.minutes(1))) struct ShutdownTests {
    private static let bye = "421 4.3.2 relay.example.com … shutting down …"

    @Test(arguments: ["greeted", "signed in", "within AUTH", "within a line", "within the handshake"])
    func newClientIsDisconnectedOnlyAfterStayingSilent(state: String) async throws {
        let fixture = try ServerFixture()
        let client: Client
        switch state {
        case "greeted": client = try await fixture.greeted()
        case "within AUTH":
            client = try await fixture.greeted()
            #expect(try await client.say("AUTH LOGIN").hasPrefix("334 "))
        case "within the handshake": client = try await fixture.connect(implicitTLS: true)
        default: client = try await fixture.signedIn()
        }
        if state == "within a line" { await client.send("MAIL FR") }
        fixture.service.shutdown.give(limit: .seconds(30))
        await fixture.advance(.seconds(3))
        await client.fire(ChannelShouldQuiesceEvent())
        await fixture.advance(.milliseconds(1999))
        #expect(try await client.pending() == "")
        await fixture.advance(.milliseconds(1))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.openConnections == 0)
    }

    @Test(arguments: ["silent", "after a message"])
    func idleAndFinishedClientsAreDisconnectedAtOnce(state: String) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        if state == "silent" { await fixture.advance(.seconds(5)) }
        if state == "after a message" { #expect(try await client.sendMessage().hasPrefix("250 ")) }
        await client.fire(ChannelShouldQuiesceEvent())
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.openConnections == 0)
    }

    @Test func firstMessageIsAcceptedDuringShutdown() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        fixture.service.shutdown.give(limit: .seconds(30))
        await client.fire(ChannelShouldQuiesceEvent())
        await fixture.advance(.seconds(4))
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        await fixture.advance(.seconds(4))
        #expect(try await client.sendMessage().hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.store.accepted.count == 1)
    }

    @Test func openTransactionIsFinishedBeforeShutdown() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        try await client.say("MAIL FROM:<from@example.com>")
        await client.fire(ChannelShouldQuiesceEvent())
        await client.fire(ChannelShouldQuiesceEvent())
        try await client.say("RCPT TO:<to@example.net>")
        #expect(try await client.say("DATA").hasPrefix("354 "))
        await client.send(Client.content() + ".\r\n")
        #expect(try await client.reply().hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.store.accepted.count == 1)
    }

    @Test func resetTransactionEndsTheConnection() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        try await client.say("MAIL FROM:<from@example.com>")
        await client.fire(ChannelShouldQuiesceEvent())
        #expect(try await client.say("RSET") == "250 2.0.0 Ok")
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
    }

    @Test func aClientInTheMiddleOfAuthenticatingIsAnsweredFirst() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        fixture.store.lookUps.close()
        await client.send(Client.plain(fixture.key.revealed) + "\r\n")
        await fixture.store.lookUps.arrival()
        await client.fire(ChannelShouldQuiesceEvent())
        #expect(try await client.pending() == "")
        fixture.store.lookUps.open()
        #expect(try await client.reply() == "235 2.7.0 Authentication successful")
        #expect(try await client.sendMessage().hasPrefix("250 "))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
    }

    @Test func rateDelayedClientMayStillSendItsMessage() async throws {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 1, burst: 1))
        let client = try await fixture.signedIn()
        #expect(try await client.sendMessage().hasPrefix("250 "))
        await client.sendEnvelope()
        for _ in 0..<2 { _ = try await client.reply() }
        await client.send("DATA\r\n")
        await client.fire(ChannelShouldQuiesceEvent())
        #expect(try await client.pending() == "")
        await fixture.advance(.seconds(1))
        #expect(try await client.reply().hasPrefix("354 "))
        await client.send(Client.content() + ".\r\n")
        #expect(try await client.reply().hasPrefix("250 "))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
    }

    // MARK: The time limit of the shutdown

    @Test(arguments: ["MAIL", "DATA", "held"])
    func unfinishedTransactionIsCutOffAtTheShutdownLimit(state: String) async throws {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 0.25, burst: 1))
        let client = try await fixture.signedIn()
        if state == "held" { #expect(try await client.sendMessage().hasPrefix("250 ")) }
        await client.sendEnvelope()
        for _ in 0..<2 { _ = try await client.reply() }
        if state != "MAIL" { await client.send("DATA\r\n") }
        if state == "DATA" { #expect(try await client.reply().hasPrefix("354 ")) }
        fixture.service.shutdown.give(limit: .seconds(3))
        await client.fire(ChannelShouldQuiesceEvent())
        await fixture.advance(.milliseconds(2999))
        #expect(try await client.pending() == "")
        await fixture.advance(.milliseconds(1))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
    }

    /// The store may still accept the message. A reply that the message was refused could be wrong.
    @Test func messageStillBeingCommittedIsNotAnswered() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.commits.close()
        _ = try await client.openData()
        await client.send(Client.content() + ".\r\n")
        await fixture.store.commits.arrival()
        fixture.service.shutdown.give(limit: .seconds(10))
        await client.fire(ChannelShouldQuiesceEvent())
        await fixture.advance(.seconds(10))
        #expect(try await client.remainingReplies() == [])
        fixture.store.commits.open()
        await eventually { fixture.store.accepted.count == 1 }
    }

    @Test func aConnectionThatWasAcceptedAtTheLastMomentMaySendItsMessage() async throws {
        let fixture = try ServerFixture()
        fixture.service.shutdown.give(limit: .seconds(10))
        let client = try await fixture.signedIn()
        #expect(try await client.sendMessage().hasPrefix("250 "))
        #expect(try await client.remainingReplies().reads([ShutdownTests.bye]))
        let slow = try await fixture.signedIn()
        for _ in 0..<3 {
            await fixture.advance(.seconds(3))
            #expect(try await slow.say("NOOP") == "250 2.0.0 Ok")
        }
        await fixture.advance(.seconds(1))
        #expect(try await slow.remainingReplies().reads([ShutdownTests.bye]))
        #expect(fixture.openConnections == 0)
    }

    /// This test uses real sockets, and a shutdown that gives the clients no time.
    @Test func shutdownLimitCutsOffOpenConnections() async throws {
        let fixture = try ServerFixture()
        let server = try await SMTPServer.start(
            [SMTPListener(.address(host: "127.0.0.1", port: 0), .startTLS)],
            configuration: fixture.service.configuration, admission: fixture.service.admission,
            tls: testTLS(), limiter: fixture.service.limiter,
            proxy: ProxyPolicy(networks: ProxyNetworks([]), limiter: fixture.service.limiter) { _ in },
            group: .singletonMultiThreadedEventLoopGroup, logger: fixture.logs.logger)
        let address = try #require(server.bound.first?.address)
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(to: address) {
            channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        let dialogue =
            "EHLO client.example\r\n" + Client.plain(fixture.key.revealed) + "\r\nMAIL FROM:<from@example.com>\r\n"
        try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: dialogue))
            var text = ""
            var isShutDown = false
            for try await buffer in inbound {
                text += String(buffer: buffer)
                guard text.hasSuffix("250 2.1.0 Ok\r\n"), !isShutDown else { continue }
                isShutDown = true
                await server.shutdown(within: .zero)
            }
            #expect(isShutDown)
            #expect(text.hasSuffix("\r\n"))
            let last = text.split(separator: "\r\n").suffix(2).map(String.init)
            #expect(last.reads(["250 2.1.0 Ok", ShutdownTests.bye]))
        }
        #expect(fixture.logs.entries("connection cut off by the shutdown").count == 1)
    }
}
