import NIOCore
import RelayCore

/// Reads the PROXY header at the beginning of a connection, adds the client's handlers, and removes itself from the
/// pipeline.
///
/// For the client's handlers, the connection begins after the header. Octets that arrived with the header are the first
/// input of these handlers.
final class ProxyHeaderHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private enum State {
        /// The header is not complete yet.
        case waiting
        /// The client's handlers are being added.
        case handingOver
        /// The client's handlers have received everything.
        case handedOver
        case closed
    }

    private let policy: ProxyPolicy
    private let initialize: @Sendable (any Channel, IPAddress?) throws -> Void
    private var state = State.waiting
    private var peer: IPAddress?
    /// The octets that have arrived. Once the header has been read, only octets after the header are left.
    private var bytes = ByteBuffer()
    private var isCounted = false
    /// Whether the peer is not a load balancer. Such a peer is refused when its first octets arrive.
    private var isStranger = false
    private var timer: Scheduled<Void>?
    /// Whether the server began to shut down while the relay waited for the header.
    private var isQuiescing = false

    /// - Parameter initialize: adds the client's handlers. It gets the client's address: the address in the header, or
    ///   the peer's address.
    init(policy: ProxyPolicy, initialize: @escaping @Sendable (any Channel, IPAddress?) throws -> Void) {
        self.policy = policy
        self.initialize = initialize
    }

    func channelActive(context: ChannelHandlerContext) {
        // A peer that has already disconnected has no address.
        guard let peer = context.remoteAddress.flatMap(IPAddress.init) else { return close(context) }
        self.peer = peer
        isStranger = !policy.networks.contains(peer)
        // A program on this machine, such as `doctor`, may only check whether the port is open. Such a check needs no
        // line in the log.
        let isHere = context.localAddress.flatMap(IPAddress.init) == peer
        if isStranger, !isHere { return refuse(.network, context) }
        guard policy.limiter.admitUnidentified() else { return refuse(.limit, context) }
        isCounted = true
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: ProxyPolicy.headerTime) {
            self.timer = nil
            self.refuse(self.isStranger ? .network : .late, context)
        }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .waiting where isStranger: refuse(.network, context)
        case .waiting:
            var data = unwrapInboundIn(data)
            bytes.writeBuffer(&data)
            switch ProxyHeader.next(from: &bytes) {
            case .needsMore: break
            case .defect(let defect): refuse(.header(defect), context)
            case .header(let header): handOver(to: header.client ?? peer, context)
            }
        case .handingOver, .handedOver: context.fireChannelRead(data)
        case .closed: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch state {
        case .waiting: context.read()
        case .handingOver, .handedOver: context.fireChannelReadComplete()
        case .closed: break
        }
    }

    /// The first read of the client's handlers gets the octets that came with the header.
    func read(context: ChannelHandlerContext) {
        if case .handingOver = state, bytes.readableBytes > 0 { return }
        context.read()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch (state, event) {
        case (.handingOver, _), (.handedOver, _): context.fireUserInboundEventTriggered(event)
        case (.waiting, is ChannelShouldQuiesceEvent): isQuiescing = true
        case (.waiting, ChannelEvent.inputClosed): inputEnded(context)
        case (.waiting, _), (.closed, _): break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .handingOver, .handedOver: context.fireErrorCaught(error)
        // The peer has disconnected.
        case .waiting, .closed: close(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .waiting: inputEnded(context)
        case .handingOver, .handedOver: context.fireChannelInactive()
        case .closed: break
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { letGo() }

    // MARK: Outcomes

    private func handOver(to client: IPAddress?, _ context: ChannelHandlerContext) {
        letGo()
        state = .handingOver
        do {
            try initialize(context.channel, client)
        } catch {
            return close(context)
        }
        context.fireChannelActive()
        if isQuiescing { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        state = .handedOver
        if bytes.readableBytes > 0 {
            let rest = bytes.slice()
            bytes = ByteBuffer()
            context.fireChannelRead(wrapInboundOut(rest))
        }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    /// If a connection ends without an octet, the peer only checked whether the port is open, as some health checks do.
    private func inputEnded(_ context: ChannelHandlerContext) {
        if bytes.readableBytes > 0 { refuse(.cut, context) } else { close(context) }
    }

    private func refuse(_ reason: ProxyRefusal.Reason, _ context: ChannelHandlerContext) {
        if let peer { policy.refused(ProxyRefusal(peer: peer, reason: reason)) }
        close(context)
    }

    private func close(_ context: ChannelHandlerContext) {
        letGo()
        state = .closed
        bytes = ByteBuffer()
        context.close(promise: nil)
    }

    /// Releases the timer and the place among the connections whose client is not known. A second call does nothing.
    private func letGo() {
        timer?.cancel()
        timer = nil
        guard isCounted else { return }
        isCounted = false
        policy.limiter.identified()
    }
}
