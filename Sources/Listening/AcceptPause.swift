import Logging
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lets a listener rest for a second when the system has no means for a further connection, and stops it for good on ``Stop``.
///
/// accept(2) then fails at once while clients wait in the backlog, so a listener that is asked for more takes a whole
/// processor. NIO's own `AcceptBackoffHandler` holds back the next read only, and there is none: a read that has failed is
/// still pending, and the socket stays registered with the selector. What takes it from there is `autoRead`.
final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    /// The event that makes a listener take in nobody any more; what waits in the backlog stays there.
    struct Stop {}

    static let pause = TimeAmount.seconds(1)
    /// Between two lines of the log about the same trouble.
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

    /// A listener that has been closed meanwhile refuses, and needs nothing.
    private func accept(_ isAccepting: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isAccepting)
    }

    private func tell(of error: IOError, now: NIODeadline) {
        if let toldAt, now - toldAt < Self.toldEvery { return }
        toldAt = now
        let remedy =
            error.errnoCode == EMFILE
            ? "raise LimitNOFILE= of the service, or lower submission.max_connections" : "clients wait meanwhile"
        logger.error("can't take in connections", metadata: ["error": "\(error.words)", "remedy": "\(remedy)"])
    }
}
