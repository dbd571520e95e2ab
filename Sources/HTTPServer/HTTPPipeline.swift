import HTTPTypes
import HummingbirdCore
import Listening
import Logging
import NIOCore
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import RelayCore

/// HTTP/1.1 on a connection: Hummingbird, behind the guard that enforces a client's time-outs, order and sizes.
package struct HTTPPipeline: Sendable {
    private let timeouts: HTTPTimeouts
    private let shutdown: ShutdownNotice
    private let clock: any RelayClock
    private let logger: Logger

    /// Answers one request. Throws if the connection has ended, or if it must be closed because the rest of the request
    /// is missing.
    package typealias Responder =
        @Sendable (_ request: Request, _ writer: consuming ResponseWriter) async throws -> Void

    package init(timeouts: HTTPTimeouts, shutdown: ShutdownNotice, clock: any RelayClock, logger: Logger) {
        self.timeouts = timeouts
        self.shutdown = shutdown
        self.clock = clock
        // The servers write their own log lines, so Hummingbird's are suppressed.
        var quiet = logger
        quiet.logLevel = .critical
        self.logger = quiet
    }

    /// The largest number of octets of a request's header, a multiple of 1024.
    static let maximumHeaderSize = 32 * 1024
    static let maximumHeaderFields = 200
    /// The largest number of octets of one read from the socket. A connection whose body arrives faster than it is
    /// stored has a few such pieces in memory.
    private static let readSize = 16 * 1024

    /// Adds the handlers to a connection that has just been accepted, on its event loop.
    ///
    /// - Parameter tell: called with the guard's events, on the connection's event loop.
    package func addHandlers(
        to channel: any Channel, tell: @escaping @Sendable (RequestGuard.Event) -> Void, respond: @escaping Responder
    ) throws {
        let options = channel.syncOptions
        try options?.setOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: HTTPPipeline.readSize))
        try options?.setOption(.maxMessagesPerRead, value: 1)
        // Hummingbird needs autoRead. It pauses reads itself if the server does not keep up.
        try options?.setOption(.autoRead, value: true)
        let (timeouts, shutdown, clock, logger) = (timeouts, shutdown, clock, logger)
        let http = HTTP1Channel(
            responder: { request, writer, _ in try await respond(request, writer) },
            configuration: .init(
                additionalChannelHandlers: [
                    RequestGuard(timeouts, shutdown: shutdown, clock: clock, connectedAt: .now(), tell: tell)
                ],
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: HTTPPipeline.maximumHeaderSize,
                    maxHeaderListSize: HTTPPipeline.maximumHeaderSize,
                    maxHeaderFieldCount: HTTPPipeline.maximumHeaderFields)))
        http.setup(channel: channel, logger: logger).whenComplete { result in
            switch result {
            case .success(let requests):
                do {
                    let handlers = channel.pipeline.syncOperations
                    let codec = try handlers.handler(type: HTTP1ToHTTPServerCodec.self)
                    try handlers.addHandler(OldVersionHandler(), position: .before(codec))
                } catch {
                    channel.close(promise: nil)
                    return
                }
                Task { await http.handle(value: requests, logger: logger) }
            case .failure: channel.close(promise: nil)
            }
        }
    }
}
