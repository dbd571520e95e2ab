import NIOCore
import NIOHTTP1

/// Ends the connection after the response if no other request can follow.
///
/// A client of HTTP/1.0 expects that the connection ends (RFC 9112 section 9.3). NIO's decoder also reads nothing after
/// a request that asks for another protocol (`Upgrade`, CONNECT), so the client must not send anything after it. Java's
/// HTTP client asks for HTTP/2 by default.
///
/// It comes before HTTPTypes' codec, which does not pass on the version.
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
