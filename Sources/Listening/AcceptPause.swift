import Logging
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Pauses a listener for a second when the system has no resources for another connection, and stops it permanently on
/// ``Stop``.
///
/// Without a pause, accept(2) fails at once while clients wait in the backlog, and a listener that keeps trying uses a
/// whole processor. NIO's own `AcceptBackoffHandler` only holds back the next read. But a read that failed is still
/// pending, and the socket stays registered with the selector. Only `autoRead` removes it from there.
final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    /// The event that makes a listener stop accepting permanently. Connections that wait in the backlog stay there.
    struct Stop {}

    static let pause = TimeAmount.seconds(1)
    /// The time between two log lines about the same problem.
    static let toldEvery = TimeAmount.seconds(60)

    private let logger: Logger
    private var isStopped = false
    private var isPaused = false
    private var toldAt: NIODeadline?

    init(logger: Logger) { self.logger = logger }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? IOError {
            tell(of: error, now: context.eventLoop.now)
            pause(context)
        }
        context.fireErrorCaught(error)
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is Stop else { return context.triggerUserOutboundEvent(event, promise: promise) }
        isStopped = true
        accept(false, context)
        promise?.succeed()
    }

    private func pause(_ context: ChannelHandlerContext) {
        guard !isPaused, !isStopped else { return }
        isPaused = true
        accept(false, context)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.isPaused = false
            if !self.isStopped { self.accept(true, context) }
        }
    }

    /// Makes the listener accept connections, or stop. This fails for a listener that was closed in the meantime, which
    /// does not matter.
    private func accept(_ isAccepting: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isAccepting)
    }

    private func tell(of error: IOError, now: NIODeadline) {
        if let toldAt, now - toldAt < Self.toldEvery { return }
        toldAt = now
        let remedy =
            error.errnoCode == EMFILE
            ? "raise LimitNOFILE= of the service, or lower submission.max_connections"
            : "the relay tries again each second; clients wait"
        logger.error("can't accept connections", metadata: ["error": "\(error.words)", "remedy": "\(remedy)"])
    }
}
