import HTTPTypes
import Listening
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOOpenSSL
import RelayCore

/// A handler between the HTTP codec and Hummingbird. It enforces the client's time-outs, and the order and sizes of
/// requests.
///
/// Hummingbird's own handler renews its idle time with each part of a body, and reads an unwanted body to its end. The
/// guard ends a request that arrives in tiny pieces. It closes the connection after a response that was sent before the
/// end of its request. It holds input after a request back until the response has been sent.
package final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPRequestPart
    package typealias InboundOut = HTTPRequestPart
    package typealias OutboundIn = HTTPResponsePart
    package typealias OutboundOut = HTTPResponsePart

    /// An event of the guard. It is reported on the connection's event loop.
    package enum Event: Sendable {
        /// The client took too long.
        case timedOut(HTTPConnectionState.Expiry)
        /// The input is not HTTP/1.1, or its header is too long.
        case unreadable(Problem)
        /// TLS failed, or ended without its closing message.
        case tlsFailed(TLSError)
        case secured(TLSConnectionInfo)
    }

    private let timeouts: HTTPTimeouts
    private let shutdown: ShutdownNotice
    private let clock: any RelayClock
    private let tell: (Event) -> Void
    private var state: HTTPConnectionState
    /// Parts of requests after the one that is being answered. They are at most the input of one read of the socket.
    private var kept = CircularBuffer<HTTPRequestPart>()
    private var mustReadLater = false
    private var hasInputEnded = false
    private var timer: Scheduled<Void>?
    private var timerAt = NIODeadline.distantFuture

    init(
        _ timeouts: HTTPTimeouts, shutdown: ShutdownNotice, clock: any RelayClock, connectedAt now: NIODeadline,
        tell: @escaping (Event) -> Void
    ) {
        self.timeouts = timeouts
        self.shutdown = shutdown
        self.clock = clock
        self.tell = tell
        state = HTTPConnectionState(timeouts, connectedAt: now)
    }

    package func handlerAdded(context: ChannelHandlerContext) { schedule(context) }

    package func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    package func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        kept.removeAll()
        inputEnded(context)
        context.fireChannelInactive()
    }

    /// The client sends nothing more. A request that is cut off must not be treated as a complete one.
    private func inputEnded(_ context: ChannelHandlerContext) {
        if state.isReceiving { context.fireErrorCaught(RequestCutOff()) }
    }

    /// While the rest of a request is read so that the client can receive the last response, the connection stays open.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, state.isLingering else { return context.close(mode: mode, promise: promise) }
        guard let promise else { return }
        context.channel.closeFuture.cascade(to: promise)
    }

    // MARK: Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        switch verdict(on: part) {
        case .pass: context.fireChannelRead(data)
        case .keep: kept.append(part)
        case .discard: break
        case .close: context.close(promise: nil)
        }
    }

    private func verdict(on part: HTTPRequestPart) -> HTTPConnectionState.Inbound {
        switch part {
        case .head(let head):
            let verdict = state.headReceived(at: .now())
            if verdict == .pass, head.headerFields.asksToClose { state.endAfterResponse() }
            return verdict
        case .body(let octets): return state.bodyReceived(octets.readableBytes)
        case .end: return state.endReceived()
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        // Reading counts as paused until the next call of `read`.
        state.reading(false, at: .now())
        context.fireChannelReadComplete()
        schedule(context)
        if state.isLingering { context.read() }
    }

    package func read(context: ChannelHandlerContext) {
        guard state.wantsInput else {
            mustReadLater = true
            return
        }
        state.reading(true, at: .now())
        schedule(context)
        context.read()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError {
            tell(.tlsFailed(error))
            // A client may end its side without TLS's closing message, and still wait for the response.
            if error.code != .truncated { context.close(promise: nil) }
            return
        }
        guard let problem = Problem(unreadable: error) else {
            context.fireErrorCaught(error)
            return
        }
        switch state.unreadable(at: .now()) {
        case .tell:
            tell(.unreadable(problem))
            answer(problem, context)
        case .wait: break
        case .close: context.close(promise: nil)
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            state.endAfterResponse()
            if let limit = shutdown.limit {
                context.eventLoop.assumeIsolated().scheduleTask(in: limit) { context.close(promise: nil) }
            }
        case let event as TLSEvent:
            switch event {
            case .handshakeCompleted(let info): tell(.secured(info))
            // Hummingbird knows only the end of a TCP stream.
            case .closeNotifyReceived: endInput(context)
            }
            return
        case ChannelEvent.inputClosed as ChannelEvent:
            endInput(context)
            return
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func endInput(_ context: ChannelHandlerContext) {
        guard !hasInputEnded else { return }
        hasInputEnded = true
        guard state.isBusy else { return context.close(promise: nil) }
        inputEnded(context)
        // If another request has arrived already, Hummingbird must not stop yet.
        if kept.isEmpty { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
    }

    // MARK: Outbound

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head) where head.status.kind == .informational:
            guard state.wantsInput else { return drop(promise) }
            context.write(data, promise: promise)
        case .head(var head):
            if head.headerFields[.connection] == "close" { state.endAfterResponse() }
            switch state.responseBegins(at: .now()) {
            case .pass: break
            case .passAsLast: head.headerFields[.connection] = "close"
            case .drop: return drop(promise)
            }
            head.headerFields[.date] = clock.now().httpDate
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let octets):
            guard state.isResponding else { return drop(promise) }
            writeInPieces(octets, context, promise)
        case .end:
            guard state.isResponding else { return drop(promise) }
            let taken = promise ?? context.eventLoop.makePromise(of: Void.self)
            // The next request is answered only after the client has received this response. Otherwise unread responses
            // would pile up.
            taken.futureResult.assumeIsolated().whenSuccess { [self] in responseEnded(context) }
            context.writeAndFlush(data, promise: taken)
            schedule(context)
        }
    }

    /// Writes a body in a way that shows how far the client has received it.
    private func writeInPieces(
        _ octets: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) {
        var rest = octets
        while rest.readableBytes > RequestGuard.pieceSize, let piece = rest.readSlice(length: RequestGuard.pieceSize) {
            let taken = context.eventLoop.makePromise(of: Void.self)
            taken.futureResult.assumeIsolated().whenSuccess { [self] in state.responseTaken(at: .now()) }
            context.write(wrapOutboundOut(.body(piece)), promise: taken)
        }
        context.write(wrapOutboundOut(.body(rest)), promise: promise)
    }

    /// The largest number of octets of a piece of a response. A client that receives each piece within
    /// ``HTTPTimeouts/response`` is fast enough.
    private static let pieceSize = 32 * 1024

    private func drop(_ promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.ioOnClosedChannel) }

    private func responseEnded(_ context: ChannelHandlerContext) {
        switch state.responseEnded(at: .now()) {
        case .next: handOnWhatWasKept(context)
        case .linger: context.read()
        case .close: context.close(promise: nil)
        }
        guard context.channel.isActive else { return }
        schedule(context)
    }

    private func handOnWhatWasKept(_ context: ChannelHandlerContext) {
        let parts = kept
        kept = CircularBuffer()
        for part in parts { channelRead(context: context, data: wrapInboundOut(part)) }
        if !parts.isEmpty { context.fireChannelReadComplete() }
        if hasInputEnded, !state.isBusy { return context.close(promise: nil) }
        guard mustReadLater, state.wantsInput else { return }
        mustReadLater = false
        read(context: context)
    }

    /// Sends a response of the guard itself, which is the last one of the connection.
    private func answer(_ problem: Problem, _ context: ChannelHandlerContext) {
        let answer = HTTPAnswer(problem)
        var head = answer.head
        head.headerFields[.connection] = "close"
        head.headerFields[.date] = clock.now().httpDate
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(answer.body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // The handler that waits for the rest of the request must learn that the rest will not arrive.
        context.fireErrorCaught(RequestCutOff())
        schedule(context)
        context.read()
    }

    // MARK: Time

    /// The deadline changes with each request. The timer is set again only if it would fire too late.
    private func schedule(_ context: ChannelHandlerContext) {
        guard let deadline = state.deadline, deadline < timerAt else { return }
        timer?.cancel()
        timerAt = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            timerAt = .distantFuture
            guard context.channel.isActive else { return }
            if let expiry = state.expired(at: .now()) {
                tell(.timedOut(expiry))
                if expiry == .body { answer(.tooSlow(timeouts), context) } else { context.close(promise: nil) }
            }
            schedule(context)
        }
    }
}

@available(*, unavailable)
extension RequestGuard: Sendable {}

/// The connection ended, or was ended, before the end of a request.
struct RequestCutOff: Error {}

extension HTTPFields {
    /// Whether the client says that this is its last request (RFC 9110 section 7.6.1).
    fileprivate var asksToClose: Bool {
        guard let value = self[.connection] else { return false }
        return value.split(separator: ",").contains {
            $0.drop { $0 == " " }.prefix { $0 != " " }.lowercased() == "close"
        }
    }
}
