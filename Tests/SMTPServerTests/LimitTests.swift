import Listening
import NIOCore
import RelayCore
import TestSupport
import Testing

@testable import SMTPServer

@Suite(.timeLimit(.minutes(1))) struct ConnectionLimitTests {
    private static let other = IPAddress(ipv4: 0xC000_0208)

    @Test func connectionsOfOneAddressAreLimited() async throws {
        let fixture = try ServerFixture(maximumConnectionsPerClient: 2)
        let first = try await fixture.greeted()
        _ = try await fixture.greeted()
        let third = try await fixture.connect()
        #expect(
            try await third.remainingReplies().reads(["421 4.4.5 relay.example.com … 2 connections … one address …"]))
        #expect(third.isClosed)
        // The refused connection had no place, so it gives none back.
        #expect(fixture.openConnections == 2)
        _ = try await fixture.greeted(from: ConnectionLimitTests.other)
        try await first.disconnect()
        _ = try await fixture.greeted()
        #expect(try await fixture.connect().reply().hasPrefix("421 "))
    }

    @Test func changedLimitsApplyAtOnceWithoutDisconnecting() async throws {
        let fixture = try ServerFixture()
        let clients = [try await fixture.greeted(), try await fixture.greeted()]
        fixture.service.limiter.change(maximum: 100, maximumPerClient: 1)
        #expect(try await fixture.connect().reply().reads("421 4.4.5 relay.example.com … 1 connection … one address …"))
        for client in clients { #expect(try await client.say("NOOP") == "250 2.0.0 Ok") }
        fixture.service.limiter.change(maximum: 100, maximumPerClient: 3)
        _ = try await fixture.greeted()
    }

    @Test func connectionsAreLimitedInTotal() async throws {
        let fixture = try ServerFixture(maximumConnections: 2)
        let first = try await fixture.greeted()
        _ = try await fixture.greeted(from: ConnectionLimitTests.other)
        let third = try await fixture.connect()
        let replies = try await third.remainingReplies()
        #expect(replies.reads(["421 4.4.5 relay.example.com … 2 connections …"]))
        #expect(!replies.contains { $0.contains("address") })
        // With implicit TLS, a reply would need a handshake first, so the connection ends without one.
        let encrypted = try await fixture.connect(implicitTLS: true)
        #expect(try await encrypted.remainingReplies() == [])
        #expect(fixture.openConnections == 2)
        #expect(fixture.logs.entries("connection refused").count == 2)
        try await first.disconnect()
        _ = try await fixture.greeted()
    }

    @Test(arguments: ["QUIT", "disconnect", "time", "error", "errors", "QUIT behind the end"])
    func connectionSlotIsReleasedOnce(how: String) async throws {
        let fixture = try ServerFixture()
        let stays = try await fixture.greeted(from: ConnectionLimitTests.other)
        let client = try await fixture.greeted()
        switch how {
        case "QUIT": #expect(try await client.say("QUIT") == "221 2.0.0 Bye")
        case "time":
            #expect(try await stays.authenticate(fixture.key).hasPrefix("235 "))
            await fixture.advance(.seconds(60))
        case "error": await client.fail(IOError(errnoCode: 104, reason: "read"))
        case "errors":
            await client.send(String(repeating: "BOGUS\r\n", count: 12))
            #expect(try await client.remainingReplies().count == 11)
        case "QUIT behind the end": await client.sendLast("QUIT\r\n")
        default: break
        }
        if !client.isClosed { try await client.disconnect() }
        #expect(client.isClosed)
        await eventually { await client.isForgotten }
        #expect(fixture.openConnections == 1)
    }

    @Test func connectionCountsPerAddressReturnToZero() {
        let limiter = ConnectionLimiter(maximum: 3, maximumPerClient: 2)
        func isAdmitted(_ client: IPAddress) -> Bool {
            if case .admitted = limiter.admit(client) { true } else { false }
        }
        let (a, b) = (Sample.client, ConnectionLimitTests.other)
        for _ in 0..<3 {
            #expect(isAdmitted(a))
            #expect(isAdmitted(a))
            #expect(!isAdmitted(a))
            #expect(isAdmitted(b))
            #expect(!isAdmitted(b))
            for client in [a, b, a] { limiter.released(client) }
            #expect(limiter.count == 0)
        }
    }
}

extension ConnectionLimitTests {
    /// One host can use all addresses of its network.
    @Test func anIPv6NetworkCountsAsOneClient() throws {
        let limiter = ConnectionLimiter(maximum: 12, maximumPerClient: 2)
        func isAdmitted(_ text: String) throws -> Bool {
            if case .admitted = limiter.admit(try #require(IPAddress(text))) { true } else { false }
        }
        #expect(try isAdmitted("2001:db8::1") && isAdmitted("2001:db8::ffff:0:0:2"))
        #expect(try !isAdmitted("2001:db8::3"))
        #expect(try isAdmitted("2001:db8:0:1::3") && isAdmitted("192.0.2.1") && isAdmitted("192.0.2.2"))
        limiter.released(try #require(IPAddress("2001:db8::1")))
        #expect(try isAdmitted("2001:db8::3"))
    }

    /// A site has 65,536 IPv6 networks.
    @Test func ipv6SiteIsLimitedToAShareOfAllConnections() throws {
        let limiter = ConnectionLimiter(maximum: 40, maximumPerClient: 5)
        func admit(_ text: String) throws -> ConnectionLimiter.Verdict { limiter.admit(try #require(IPAddress(text))) }
        for i in 0..<10 { #expect(try admit("2001:db8:1:\(i)::1") == .admitted) }
        #expect(try admit("2001:db8:1:99::1") == .refused(limit: 10, of: .site))
        #expect(try admit("2001:db8:2::1") == .admitted)
        limiter.released(try #require(IPAddress("2001:db8:1:3::1")))
        #expect(try admit("2001:db8:1:99::1") == .admitted)
        #expect(limiter.count == 11)
    }
}

/// How much a client can make the server keep in memory.
@Suite(.timeLimit(.minutes(1))) struct MemoryTests {
    @Test func aClientThatReadsNoRepliesIsNotReadFrom() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        await client.onWire { $0.isStuck = true }
        let commands = 30_000
        await client.send(String(repeating: "HELP\r\n", count: commands))
        #expect(await client.unread > commands * 6 - 2 * 65_536)
        #expect(await client.unsent < Wire.highWatermark + 2 * SMTPChannelHandler.repliesPerWrite)
        #expect(await client.buffered < 2 * 65_536)
        await client.onWire { $0.release() }
        #expect(await client.unread == 0)
        let replies = try await client.pending().split(separator: "\r\n").count { $0.hasPrefix("214 ") }
        #expect(replies == commands)
        try await client.say("NOOP")
    }

    @Test func aClientThatReadsNoRepliesIsSubjectToTheTimeLimits() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await client.onWire { $0.isStuck = true }
        await client.send(String(repeating: "HELP\r\n", count: 50_000))
        await fixture.advance(.seconds(300))
        #expect(client.isClosed)
        #expect(fixture.openConnections == 0)
        await eventually { await client.isForgotten }
    }

    /// After a read that ends within a line, the buffer stays in use. It must not keep the octets of all reads before.
    @Test func readsEndingWithinALineDoNotAccumulate() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        await client.onWire { $0.readSize = 1200 }
        await client.send("NO")
        await client.send(String(repeating: "OP\r\nNO", count: 50_000))
        #expect(await client.unread == 0)
        #expect(await client.buffered < 16_384)
        _ = try await client.pending()
        #expect(try await client.say("OP") == "250 2.0.0 Ok")
    }

    @Test func anIdleConnectionHoldsNoBuffer() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        #expect(try await client.sendMessage(1_000_000).hasPrefix("250 "))
        #expect(await client.buffered == 0)
    }
}
