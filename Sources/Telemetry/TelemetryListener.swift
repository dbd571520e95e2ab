import HTTPTypes
import HummingbirdCore
import Listening
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The listener for metrics and health: `/metrics`, `/healthz` and `/readyz`. It uses HTTP without any protection, so
/// it must be reachable only from this machine.
///
/// It runs on event loops of its own, so that it can report when those of the clients hang.
public struct TelemetryListener: Service {
    /// Where the listener listens.
    public enum Place: Hashable, Sendable, CustomStringConvertible {
        case address(host: String, port: Int)
        case unix(path: String)

        public var description: String {
            switch self {
            case .address(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
            case .unix(let path): "unix:\(path)"
            }
        }
    }

    private let place: Place
    private let pages: TelemetryPages
    private let logger: Logger

    /// - Parameters:
    ///   - liveness: whether the relay works. If not, it must be restarted.
    ///   - readiness: whether it can accept mail now.
    public init(_ place: Place, metrics: MetricsPage, liveness: Health, readiness: Health, logger: Logger) {
        self.place = place
        pages = TelemetryPages(metrics: metrics, liveness: liveness, readiness: readiness)
        self.logger = logger
    }

    static let maximumConnections = 32
    static let maximumHeaderSize = 8 * 1024

    /// Listens and answers requests until the task is cancelled.
    ///
    /// - Throws: ``TelemetryListenError`` if it can't listen.
    public func run() async throws {
        let socket: UnixSocketFile?
        let address: BindAddress
        switch place {
        case .address(let host, let port):
            socket = nil
            address = .hostname(host, port: port)
        case .unix(let path):
            let file = UnixSocketFile(path)
            if let problem = file.makeRoom() { throw TelemetryListenError(place: place, cause: problem) }
            socket = file
            address = .unixDomainSocket(path: path)
        }
        // This type writes its own log lines.
        var quiet = logger
        quiet.logLevel = .error
        let (pages, logger, place) = (pages, logger, place)
        let places = ConnectionPlaces(TelemetryListener.maximumConnections)
        let server = Server(
            childChannelSetup: HTTP1Channel(
                responder: { request, writer, _ in
                    let response = await pages.response(to: request)
                    try await writer.write(response: response.head, body: response.body)
                },
                configuration: .init(
                    additionalChannelHandlers: [ConnectionTimes(places)],
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: TelemetryListener.maximumHeaderSize,
                        maxHeaderListSize: TelemetryListener.maximumHeaderSize, maxHeaderFieldCount: 100))),
            configuration: ServerConfiguration(address: address, backlog: 128),
            onServerRunning: { channel in
                let port = channel.localAddress?.port
                let bound: Place =
                    if case .address(let host, _) = place, let port { .address(host: host, port: port) } else { place }
                if let problem = socket?.open() {
                    logger.error("the metrics' socket can't be opened to others: \(problem)")
                }
                logger.notice("serving metrics", metadata: ["address": "\(bound)"])
            },
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        do {
            try await server.run()
        } catch {
            // NIO's own description adds brackets and a number to the system's text.
            let cause = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw TelemetryListenError(place: place, cause: cause)
        }
        socket?.remove()
    }
}

/// The error when the listener could not be bound.
public struct TelemetryListenError: Error, CustomStringConvertible {
    /// The place that could not be bound.
    public var place: TelemetryListener.Place
    /// The reason, in a few words.
    public var cause: String

    public var description: String { "can't listen on \(place) (metrics.listen): \(cause)" }
}

/// The answers to requests.
struct TelemetryPages: Sendable {
    let metrics: MetricsPage
    let liveness: Health
    let readiness: Health

    func response(to request: Request) async -> Response {
        guard request.method == .get || request.method == .head else {
            return text(.methodNotAllowed, "Only GET and HEAD are supported here\n", [.allow: "GET, HEAD"])
        }
        let response: Response
        switch request.uri.path {
        case "/metrics":
            response = text(.ok, await metrics.text(), [.contentType: MetricsPage.contentType])
        case "/healthz": response = page(await liveness.findings())
        case "/readyz": response = page(await readiness.findings())
        default: response = text(.notFound, "Not found; the paths are /metrics, /healthz and /readyz\n")
        }
        return request.method == .head ? response.createHeadResponse() : response
    }

    /// Writes a line for each part. The status is 503 when one of them is not healthy.
    private func page(_ findings: [Health.Finding]) -> Response {
        let isWell = findings.allSatisfy { $0.problem == nil }
        let lines = findings.map { "\($0.name): \($0.problem ?? "ok")\n" }
        return text(isWell ? .ok : .serviceUnavailable, lines.joined())
    }

    private func text(_ status: HTTPResponse.Status, _ text: String, _ more: HTTPFields = [:]) -> Response {
        var fields: HTTPFields = [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-store"]
        for field in more { fields[field.name] = field.value }
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
