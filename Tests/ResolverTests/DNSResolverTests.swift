import Dispatch
import NIOCore
import NIOPosix
import RelayCore
import TestSupport
import Testing

@testable import Resolver

/// A DNS server on the loopback interface that answers as a test wants. `reply` makes the answer to a question.
private final class StandInServer: Sendable {
    private let channel: any Channel
    let server: DNSResolver.Server

    static func with<Result>(
        _ reply: @escaping @Sendable ([UInt8]) -> [UInt8], _ body: (DNSResolver.Server) async throws -> Result
    ) async throws -> Result {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(reply: reply))
                }
            }
            .bind(to: SocketAddress(ipAddress: "127.0.0.1", port: 0)).get()
        let port = try #require(channel.localAddress?.port)
        let result = try await body(DNSResolver.Server(octets: [127, 0, 0, 1], port: UInt16(port)))
        try await channel.close()
        return result
    }

    private init(_ channel: any Channel, _ server: DNSResolver.Server) {
        self.channel = channel
        self.server = server
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>

        let reply: @Sendable ([UInt8]) -> [UInt8]

        init(reply: @escaping @Sendable ([UInt8]) -> [UInt8]) { self.reply = reply }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            let answer = reply(Array(envelope.data.readableBytesView))
            context.writeAndFlush(
                wrapOutboundOut(
                    AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))),
                promise: nil)
        }
    }
}

/// Turns the octets of a question into an answer with this code (RFC 1035 section 4.1.1) and these records. The octets
/// of each record begin with its owner.
private func answered(_ question: [UInt8], code: UInt8 = 0, _ records: [[UInt8]] = []) -> [UInt8] {
    var answer = question
    answer[2] |= 0x80
    answer[3] = 0x80 | code
    answer[7] = UInt8(records.count)
    // The answer leaves out the record that an extension (EDNS) has put behind the question.
    answer[11] = 0
    let end = answer[12...].firstIndex(of: 0) ?? 12
    return Array(answer[...(end + 4)]) + records.flatMap { $0 }
}

@Suite("The resolver of records") struct DNSResolverTests {
    private let question = DNSQuestion(.txt, of: "a.example.com")

    private func ask(
        _ question: DNSQuestion, _ reply: @escaping @Sendable ([UInt8]) -> [UInt8]
    ) async throws -> Result<[DNSData], DNSFailure> {
        try await StandInServer.with(reply) { server in
            let resolver = DNSResolver(clock: SystemClock(), server: server, timeout: .seconds(60))
            let answer = await resolver.records(question)
            resolver.shutdown()
            return answer
        }
    }

    private func reason(_ answer: Result<[DNSData], DNSFailure>) -> String? {
        if case .failure(let failure) = answer { failure.reason } else { nil }
    }

    @Test func `Records are found`() async throws {
        let found = try await ask(question) { question in
            answered(question, [[0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 3, 2, 0x68, 0x69]])
        }
        #expect(found == .success([.txt("hi")]))
    }

    /// NXDOMAIN, and an answer without records.
    @Test(arguments: [3, 0] as [UInt8]) func `What is not there is no failure`(_ code: UInt8) async throws {
        #expect(try await ask(question) { answered($0, code: code) } == .success([]))
    }

    /// SERVFAIL and REFUSED.
    @Test(arguments: [2, 5] as [UInt8]) func `A server that can't answer is a failure`(_ code: UInt8) async throws {
        let found = try await ask(question) { answered($0, code: code) }
        #expect(reason(found).mentions("server"))
    }

    @Test func `An answer that is none is a failure`() async throws {
        let found = try await ask(question) { question in
            answered(question, [[0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 3, 9, 0x68, 0x69]])
        }
        #expect(reason(found).mentions("DNS", "malformed"))
    }

    @Test func `Nobody waits longer than told for a server that is silent`() async throws {
        let clock = ManualClock()
        let answered = DispatchSemaphore(value: 0)
        let resolver = DNSResolver(clock: clock, timeout: .seconds(5)) { _ in
            answered.wait()
            return .success([])
        }
        async let answer = resolver.records(question)
        let end = Task {
            while !Task.isCancelled {
                clock.advance(.seconds(1))
                await Task.yield()
            }
        }
        let found = await answer
        #expect(reason(found).mentions("DNS", "in time"))
        end.cancel()
        answered.signal()
        resolver.shutdown()
    }

    @Test func `After its end it says so`() async {
        let resolver = DNSResolver(clock: SystemClock())
        resolver.shutdown()
        let found = await resolver.records(question)
        #expect(reason(found).mentions("relay", "stopping"))
    }
}
