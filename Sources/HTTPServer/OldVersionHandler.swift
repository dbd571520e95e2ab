import NIOCore
import NIOHTTP1

/// Ends the connection of an HTTP/1.0 client with the response, as such a client expects (RFC 9112 section 9.3).
///
/// Stands in front of the codec of HTTPTypes, which does not hand the version on.
final class OldVersionHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), head.version != .http1_1 else {
            return context.fireChannelRead(data)
        }
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
