import NIOCore

/// Closes a connection to a listener without TLS if its first octets belong to another protocol.
///
/// An HTTP error would not tell the operator what to change, and such a client could not read the response. The handler
/// examines only the first read: both protocols send their beginning in one segment.
final class WrongProtocolHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private enum State {
        case looking
        case passing
        case closed
    }

    private let isBehindProxyHeader: Bool
    private let tell: (WrongProtocol) -> Void
    private var state = State.looking

    /// - Parameters:
    ///   - isBehindProxyHeader: whether the listener has already read a PROXY header. A second one is malformed HTTP.
    ///   - tell: called at most once, on the event loop, before the connection closes.
    init(isBehindProxyHeader: Bool, tell: @escaping (WrongProtocol) -> Void) {
        self.isBehindProxyHeader = isBehindProxyHeader
        self.tell = tell
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .passing: context.fireChannelRead(data)
        case .closed: break
        case .looking:
            guard let wrong = WrongProtocol(firstOctets: unwrapInboundIn(data).readableBytesView),
                wrong != .proxyHeader || !isBehindProxyHeader
            else {
                state = .passing
                return context.fireChannelRead(data)
            }
            state = .closed
            tell(wrong)
            context.close(promise: nil)
        }
    }
}

@available(*, unavailable)
extension WrongProtocolHandler: Sendable {}
