import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A request that a test's server received.
package struct Received: Sendable {
    package var method: String
    package var path: String
    package var headers: HTTPHeaders
    package var body: [UInt8] = []

    package func header(_ name: String) -> String? { headers.first(name: name) }
}

/// What the server does with a request.
package enum Reaction: Sendable {
    case answer(Int, [String: String] = [:], String = "{}")
    case silence
    /// Closes the connection instead of answering.
    case cut
    /// Sends the status and the header, and then nothing more.
    case headOnly(Int)

    package static func refusal(_ status: Int, _ name: String, _ message: String = "no") -> Reaction {
        .answer(status, ["x-amzn-ErrorType": name], #"{"message":"\#(message)"}"#)
    }

    package static func taken(_ id: String = "0100-example") -> Reaction {
        .answer(200, [:], #"{"MessageId":"\#(id)"}"#)
    }
}

/// An HTTP server on the loopback interface that behaves as a test wants.
package final class StandIn: Sendable {
    private let channel: any Channel
    private let log: Log
    package let port: Int

    package var url: String { "http://127.0.0.1:\(port)" }
    package var requests: [Received] { log.all }

    /// `atHead` may react to a request before its body has come. If it returns nil, the server waits for the body.
    /// `whole` reacts to the n-th whole request, counted from 1.
    package static func start(
        atHead: @escaping @Sendable (Received) -> Reaction? = { _ in nil },
        whole: @escaping @Sendable (Received, Int) -> Reaction
    ) async throws -> StandIn {
        let log = Log()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(log: log, atHead: atHead, whole: whole))
                }
            }
            .bind(to: SocketAddress(ipAddress: "127.0.0.1", port: 0)).get()
        guard let port = channel.localAddress?.port else { throw NotToBeHad() }
        return StandIn(channel, log, port)
    }

    private init(_ channel: any Channel, _ log: Log, _ port: Int) {
        self.channel = channel
        self.log = log
        self.port = port
    }

    package func stop() async { try? await channel.close() }

    /// Returns once `count` whole requests have come.
    package func received(_ count: Int) async { await log.reached(count) }

    /// Runs `body` and stops the server after it.
    package static func with<Result>(
        atHead: @escaping @Sendable (Received) -> Reaction? = { _ in nil },
        whole: @escaping @Sendable (Received, Int) -> Reaction,
        _ body: (StandIn) async throws -> Result
    ) async throws -> Result {
        let server = try await start(atHead: atHead, whole: whole)
        do {
            let result = try await body(server)
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }

    private final class Log: Sendable {
        private struct State {
            var requests: [Received] = []
            var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        }

        private let state = Mutex(State())

        var all: [Received] { state.withLock { $0.requests } }

        func add(_ request: Received) -> Int {
            let (count, ready) = state.withLock { state in
                state.requests.append(request)
                let count = state.requests.count
                let ready = state.waiters.filter { $0.count <= count }
                state.waiters.removeAll { $0.count <= count }
                return (count, ready)
            }
            for waiter in ready { waiter.continuation.resume() }
            return count
        }

        func reached(_ count: Int) async {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    guard state.requests.count < count else { return true }
                    state.waiters.append((count, continuation))
                    return false
                }
                if isThere { continuation.resume() }
            }
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let log: Log
        private let atHead: @Sendable (Received) -> Reaction?
        private let whole: @Sendable (Received, Int) -> Reaction
        private var request: Received?

        init(
            log: Log, atHead: @escaping @Sendable (Received) -> Reaction?,
            whole: @escaping @Sendable (Received, Int) -> Reaction
        ) {
            self.log = log
            self.atHead = atHead
            self.whole = whole
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                let received = Received(method: head.method.rawValue, path: head.uri, headers: head.headers)
                if let reaction = atHead(received) {
                    react(reaction, context)
                } else {
                    request = received
                }
            case .body(let piece):
                request?.body.append(contentsOf: piece.readableBytesView)
            case .end:
                guard let received = request else { return }
                request = nil
                react(whole(received, log.add(received)), context)
            }
        }

        private func react(_ reaction: Reaction, _ context: ChannelHandlerContext) {
            switch reaction {
            case .answer(let status, let fields, let body):
                var headers = HTTPHeaders(fields.map { ($0.key, $0.value) })
                headers.add(name: "Content-Length", value: "\(body.utf8.count)")
                let head = HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .silence: break
            case .cut: context.close(promise: nil)
            case .headOnly(let status):
                let head = HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: ["Content-Length": "99"]
                )
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
