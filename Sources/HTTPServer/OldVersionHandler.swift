import NIOCore
import NIOHTTP1

/// Ends the connection with the response where nothing can follow it.
///
/// A client of HTTP/1.0 expects that (RFC 9112 section 9.3). And NIO's decoder reads nothing behind a request that asks for another
/// protocol (`Upgrade`, CONNECT), so the client must not send anything there; Java's HTTP client asks for HTTP/2 by itself.
///
/// Stands in front of the codec of HTTPTypes, which does not hand the version on.
final class OldVersionHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data),
            head.version != .http1_1 || head.headers.contains(name: "Upgrade") || head.method == .CONNECT
        else {
            return context.fireChannelRead(data)
        }
        // A client that sends this does not know where its request ends (RFC 9112 section 6.1).
        if head.version != .http1_1, head.headers.contains(name: "Transfer-Encoding") {
            return context.fireErrorCaught(HTTPParserError.invalidVersion)
        }
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }
}
