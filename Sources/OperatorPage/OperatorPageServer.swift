import Admission
import Domains
import HTTPServer
import HTTPTypes
import HummingbirdCore
import Listening
import Logging
import NIOCore
import RelayCore

/// Where the operator's page listens, and what its pages show about the relay.
public struct OperatorPageConfiguration: Sendable {
    /// The name of the gateway, as clients know it.
    public var hostname: String
    /// The version of the relay.
    public var version: String
    /// Where applications submit mail by SMTP with STARTTLS; nil if there is no such listener.
    public var smtp: (host: String, port: Int)?
    /// The beginning of the HTTP API's URLs, such as `https://mail.example.com`; nil if there is no API.
    public var api: String?
    /// Where webhooks may be sent.
    public var webhookAddresses: WebhookAddressPolicy

    public init(
        hostname: String, version: String, smtp: (host: String, port: Int)?, api: String?,
        webhookAddresses: WebhookAddressPolicy
    ) {
        self.hostname = hostname
        self.version = version
        self.smtp = smtp
        self.api = api
        self.webhookAddresses = webhookAddresses
    }
}

/// The operator's page: one listener, on a Unix socket or a loopback address, in plain HTTP/1.1.
public final class OperatorPageServer: Sendable {
    private let listeners: ListenerGroup<ListenPlace>

    private init(listeners: ListenerGroup<ListenPlace>) { self.listeners = listeners }

    /// The address that the server listens on, as text.
    public var address: String { listeners.bound.first?.description ?? "" }

    /// The port that the server listens on; nil for a Unix socket.
    public var port: Int? { listeners.bound.first?.address?.port }

    /// The largest number of connections that are open at a time. A browser opens six.
    private static let maximumConnections = 64

    /// - Parameters:
    ///   - place: a loopback address or a Unix socket, so that no other machine can connect.
    ///   - admission: used for test messages.
    /// - Throws: `ListenError` of `Listening`, which names the place.
    package static func start(
        _ place: ListenPlace, configuration: OperatorPageConfiguration, admission: Admission, store: any RelayStore,
        domains: SendingDomains,
        clock: any RelayClock, group: any EventLoopGroup, logger: Logger
    ) async throws -> OperatorPageServer {
        let page = OperatorPage(
            configuration: configuration, admission: admission, store: store, domains: domains, clock: clock,
            secrets: ShownOnce(clock: clock),
            logger: logger)
        let shutdown = ShutdownNotice()
        let limiter = ConnectionLimiter(maximum: maximumConnections, maximumPerClient: maximumConnections)
        let pipeline = HTTPPipeline(timeouts: HTTPTimeouts(), shutdown: shutdown, clock: clock, logger: logger)
        let local = IPAddress(ipv4: 0x7F00_0001)
        let bound = try await ListenerGroup.bind([place], shutdown: shutdown) { place in
            try await Listener.bind(place, group: group, logger: logger) { channel, _ in
                guard case .admitted = limiter.admit(local, isShared: false) else {
                    channel.close(promise: nil)
                    return
                }
                channel.closeFuture.whenComplete { _ in limiter.released(local, isShared: false) }
                try pipeline.addHandlers(to: channel, tell: { _ in }) { request, writer in
                    let isHead = request.method == .head
                    switch try await page.answer(request) {
                    case .whole(let answer):
                        let body = isHead ? ResponseBody() : ResponseBody(byteBuffer: answer.body)
                        try await writer.write(response: answer.head, body: body)
                    case .stored(let answer, let body):
                        let octets = isHead ? ResponseBody() : ResponseBody(body)
                        try await writer.write(response: answer.head, body: octets)
                    }
                }
            }
        }
        return OperatorPageServer(listeners: bound)
    }

    /// Stops listening, lets each connection finish the request that it is answering, and closes the remaining ones
    /// after `limit`.
    public func shutdown(within limit: Duration) async { await listeners.shutDown(within: limit) }
}

extension ResponseBody {
    /// The body is read while it is sent: no more than one piece of it is in memory.
    fileprivate init(_ body: any StoredBody) {
        self.init(contentLength: body.size) { writer in
            var offset = 0
            while offset < body.size {
                let piece = try await body.read(at: offset, count: 1 << 15)
                guard !piece.isEmpty else { break }
                try await writer.write(ByteBuffer(bytes: piece))
                offset += piece.count
            }
            try await writer.finish(nil)
        }
    }
}
