import Logging
import NIOCore
import NIOEmbedded
import RelayCore
import Synchronization
import Testing

@testable import Listening

/// Records the events that the client's handlers get, in order.
private final class Probe: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let seen: Mutex<[String]>
    /// Whether it asks for more after each read, as the handlers of the relay do.
    private let reads: Bool

    init(reads: Bool = true) {
        seen = Mutex([])
        self.reads = reads
    }

    var events: [String] { seen.withLock { $0 } }

    private func note(_ event: String) { seen.withLock { $0.append(event) } }

    func channelActive(context: ChannelHandlerContext) {
        note("active")
        if reads { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { note(String(buffer: unwrapInboundIn(data))) }

    func channelReadComplete(context: ChannelHandlerContext) {
        note("complete")
        if reads { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent: note("quiesce")
        case ChannelEvent.inputClosed: note("input closed")
        default: note("\(event)")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { note("error") }

    func channelInactive(context: ChannelHandlerContext) { note("inactive") }
}

/// Counts the reads that reach the socket.
private final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

/// A connection from a load balancer, on virtual time.
private final class ProxiedConnection {
    struct Broken: Error {}

    private final class Outcome: Sendable {
        let clients = Mutex<[IPAddress?]>([])
        let refusals = Mutex<[ProxyRefusal]>([])
    }

    let loop = EmbeddedEventLoop()
    let channel: EmbeddedChannel
    let probe = Probe()
    let counter = ReadCounter()
    let limiter: ConnectionLimiter
    private let outcome = Outcome()

    init(
        from peer: String = "192.0.2.65",
        limiter: ConnectionLimiter = ConnectionLimiter(maximum: 4, maximumPerClient: 4),
        networks: String = "192.0.2.64/26", own: String? = nil, isBroken: Bool = false
    ) throws {
        self.limiter = limiter
        channel = EmbeddedChannel(loop: loop)
        channel.remoteAddress = try SocketAddress(ipAddress: peer, port: 1024)
        channel.localAddress = try own.map { try SocketAddress(ipAddress: $0, port: 587) }
        let outcome = outcome
        let bound = NIOLoopBound(probe, eventLoop: loop)
        let policy = ProxyPolicy(networks: ProxyNetworks([try NetworkBlock(networks)]), limiter: limiter) { refusal in
            outcome.refusals.withLock { $0.append(refusal) }
        }
        let handler = ProxyHeaderHandler(policy: policy) { channel, client in
            if isBroken { throw Broken() }
            outcome.clients.withLock { $0.append(client) }
            try channel.pipeline.syncOperations.addHandler(bound.value)
        }
        try channel.pipeline.syncOperations.addHandlers([counter, handler] as [any ChannelHandler])
        channel.connect(to: try SocketAddress(ipAddress: peer, port: 1024), promise: nil)
    }

    var clients: [IPAddress?] { outcome.clients.withLock { $0 } }
    var refusals: [ProxyRefusal.Reason] { outcome.refusals.withLock { $0.map(\.reason) } }

    func send(_ bytes: [UInt8]) throws {
        channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
        channel.pipeline.fireChannelReadComplete()
        loop.run()
    }

    func end() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        channel.pipeline.fireChannelReadComplete()
        loop.run()
    }

    var handlers: Int {
        (try? channel.pipeline.syncOperations.context(handlerType: ProxyHeaderHandler.self)) == nil ? 0 : 1
    }
}

@Suite struct ProxyHeaderHandlerTests {
    private static let client = IPAddress("192.0.2.7")

    @Test func clientHandlersAreAddedAfterTheHeader() throws {
        let connection = try ProxiedConnection()
        #expect(connection.probe.events.isEmpty)
        #expect(connection.limiter.unidentifiedCount == 1)
        try connection.send(ProxySample.line)
        #expect(connection.clients == [Self.client])
        #expect(connection.probe.events == ["active", "complete"])
        #expect(connection.limiter.unidentifiedCount == 0)
        #expect(connection.handlers == 0)
        try connection.send(Array("EHLO".utf8))
        connection.end()
        #expect(connection.probe.events == ["active", "complete", "EHLO", "complete", "input closed", "complete"])
        #expect(connection.channel.isActive)
    }

    @Test(arguments: [ProxySample.line, ProxySample.block(0x21, 0x11, ProxySample.addresses4)])
    func octetsAfterTheHeaderBecomeTheFirstRead(header: [UInt8]) throws {
        let connection = try ProxiedConnection()
        let before = connection.counter.count
        try connection.send(header + Array("EHLO".utf8))
        #expect(connection.clients == [Self.client])
        #expect(connection.probe.events == ["active", "EHLO", "complete"])
        // The probe's first read returned these octets. Only its next read goes to the socket.
        #expect(connection.counter.count - before == 1)
    }

    @Test func inputClosedRightAfterTheHeaderIsStillDelivered() throws {
        let connection = try ProxiedConnection()
        connection.channel.pipeline.fireChannelRead(ByteBuffer(bytes: ProxySample.line + Array("QUIT".utf8)))
        connection.end()
        #expect(connection.probe.events == ["active", "QUIT", "input closed", "complete"])
    }

    @Test func aHeaderInPieces() throws {
        for cut in 1..<ProxySample.line.count {
            let connection = try ProxiedConnection()
            try connection.send(Array(ProxySample.line.prefix(cut)))
            #expect(connection.probe.events.isEmpty)
            try connection.send(Array(ProxySample.line.dropFirst(cut)) + Array("EHLO".utf8))
            #expect(connection.probe.events == ["active", "EHLO", "complete"], "cut at \(cut)")
        }
    }

    /// A connection of the load balancer itself, such as a health check.
    @Test(arguments: [Array("PROXY UNKNOWN\r\n".utf8), ProxySample.block(0x20, 0)])
    func balancersOwnConnectionKeepsThePeerAddress(header: [UInt8]) throws {
        let connection = try ProxiedConnection()
        try connection.send(header)
        #expect(connection.clients == [IPAddress("192.0.2.65")])
    }

    @Test func peerOutsideTheProxyNetworksIsRefusedAtOnce() throws {
        let connection = try ProxiedConnection(from: "192.0.2.1")
        #expect(connection.refusals == [.network])
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
        // A dual-stack socket shows an IPv4 peer with such an address.
        #expect(try ProxiedConnection(from: "::ffff:192.0.2.65").channel.isActive)
    }

    @Test func aProgramOnThisMachineIsRefusedOnlyIfItSendsSomething() throws {
        let silent = try ProxiedConnection(from: "192.0.2.1", own: "192.0.2.1")
        #expect(silent.channel.isActive)
        #expect(silent.limiter.unidentifiedCount == 1)
        silent.end()
        #expect(silent.refusals.isEmpty)
        #expect(!silent.channel.isActive)
        #expect(silent.limiter.unidentifiedCount == 0)

        let speaking = try ProxiedConnection(from: "192.0.2.1", own: "192.0.2.1")
        try speaking.send(ProxySample.line)
        #expect(speaking.refusals == [.network])
        #expect(!speaking.channel.isActive)
        #expect(speaking.clients.isEmpty)

        let waiting = try ProxiedConnection(from: "192.0.2.1", own: "192.0.2.1")
        waiting.loop.advanceTime(by: ProxyPolicy.headerTime)
        #expect(waiting.refusals == [.network])
    }

    @Test func connectionWithoutAProxyHeaderIsRefused() throws {
        let connection = try ProxiedConnection()
        try connection.send(Array("EHLO x\r\n".utf8))
        #expect(connection.refusals == [.header(.missing)])
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
        try connection.send(ProxySample.line)
        #expect(connection.clients.isEmpty)
    }

    @Test func aHeaderHasFiveSeconds() throws {
        let connection = try ProxiedConnection()
        try connection.send(Array(ProxySample.line.prefix(10)))
        connection.loop.advanceTime(by: .milliseconds(4999))
        #expect(connection.channel.isActive)
        connection.loop.advanceTime(by: .milliseconds(1))
        #expect(connection.refusals == [.late])
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
    }

    @Test func headerTimeoutEndsOnceTheHeaderHasArrived() throws {
        let connection = try ProxiedConnection()
        try connection.send(ProxySample.line)
        connection.loop.advanceTime(by: .seconds(60))
        #expect(connection.channel.isActive)
        #expect(connection.refusals.isEmpty)
    }

    /// A client that only checks whether the port is open causes no log line.
    @Test(arguments: ["input", "connection", "error"])
    func connectionClosedBeforeAnyOctetIsNotARefusal(of what: String) throws {
        let connection = try ProxiedConnection()
        switch what {
        case "input": connection.end()
        case "connection": connection.channel.pipeline.fireChannelInactive()
        default: connection.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        }
        #expect(connection.refusals.isEmpty)
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
    }

    @Test func connectionClosedWithinTheHeaderIsARefusal() throws {
        let connection = try ProxiedConnection()
        try connection.send(Array(ProxySample.line.prefix(10)))
        connection.end()
        #expect(connection.refusals == [.cut])
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
    }

    @Test func shutdownBegunBeforeTheHeaderIsForwarded() throws {
        let connection = try ProxiedConnection()
        connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(connection.channel.isActive)
        try connection.send(ProxySample.line + Array("EHLO".utf8))
        #expect(connection.probe.events == ["active", "quiesce", "EHLO", "complete"])
    }

    @Test func handlersThatCantBeAddedEndTheConnection() throws {
        let connection = try ProxiedConnection(isBroken: true)
        try connection.send(ProxySample.line)
        #expect(!connection.channel.isActive)
        #expect(connection.limiter.unidentifiedCount == 0)
    }

    /// At most a quarter of all connections may wait for their header, but 16 are always allowed.
    @Test func connectionsWithoutTheirHeaderAreBounded() throws {
        for (maximum, waiting) in [(4, 16), (100, 25)] {
            let limiter = ConnectionLimiter(maximum: maximum, maximumPerClient: 4)
            let connections = try (0..<waiting).map { _ in try ProxiedConnection(limiter: limiter) }
            #expect(connections.allSatisfy { $0.channel.isActive })
            let further = try ProxiedConnection(limiter: limiter)
            #expect(further.refusals == [.limit])
            #expect(!further.channel.isActive)
            #expect(limiter.unidentifiedCount == waiting)
            try connections[0].send(ProxySample.line)
            #expect(try ProxiedConnection(limiter: limiter).channel.isActive)
            // Connections that wait for their header do not count as connections of clients.
            #expect(limiter.count == 0)
        }
    }
}

@Suite struct ProxyRefusalTests {
    private static let reasons: [ProxyRefusal.Reason] = [
        .network, .cut, .late, .limit, .header(.missing), .header(.tooLong), .header(.malformed), .header(.unsupported),
    ]

    /// Each refusal says what to change, in the relay or in the load balancer.
    @Test func eachRefusalHasItsOwnTextAndRemedy() {
        let peer = IPAddress(ipv4: 0x7F00_0001)
        let refusals = Self.reasons.map { ProxyRefusal(peer: peer, reason: $0) }
        #expect(Set(refusals.map(\.kind)).count == refusals.count)
        for refusal in refusals {
            #expect(refusal.metadata["reason"] == "\(refusal.kind)")
            #expect(refusal.metadata["error"] != nil && refusal.metadata["remedy"] != nil)
        }
        #expect("\(refusals[0].metadata["remedy"] ?? "")".contains("proxy_networks"))
    }
}
