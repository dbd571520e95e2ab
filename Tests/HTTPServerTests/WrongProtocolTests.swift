import NIOCore
import NIOEmbedded
import Testing

@testable import HTTPServer

@Suite struct WrongProtocolTests {
    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    @Test(
        arguments: [
            (Array("\u{16}\u{3}\u{1}".utf8), WrongProtocol.tls),
            (Array("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".utf8), .proxyHeader),
            (signature + [0x21, 0x11, 0, 12], .proxyHeader), (Array("POST / HTTP/1.1\r\n".utf8), nil),
            (Array("PROPFIND / HTTP/1.1\r\n".utf8), nil), (Array("\r\n\r\nGET / HTTP/1.1\r\n".utf8), nil), ([], nil),
        ] as [([UInt8], WrongProtocol?)])
    func theFirstOctetsTell(_ octets: [UInt8], _ expected: WrongProtocol?) {
        #expect(WrongProtocol(firstOctets: octets) == expected)
    }

    @Test func onlyTheFirstReadIsLookedAt() throws {
        var told: [WrongProtocol] = []
        let channel = EmbeddedChannel(
            handler: WrongProtocolHandler(isBehindProxyHeader: false) { told.append($0) })
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(string: "POST "))
        try channel.writeInbound(ByteBuffer(string: "PROXY "))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "POST "))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "PROXY "))
        #expect(told.isEmpty && channel.isActive)
    }

    @Test func wrongProtocolIsReportedOnceAndEndsTheConnection() throws {
        var told: [WrongProtocol] = []
        let channel = EmbeddedChannel(
            handler: WrongProtocolHandler(isBehindProxyHeader: false) { told.append($0) })
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(string: "PROXY UNKNOWN\r\n"))
        #expect(told == [.proxyHeader])
        #expect(!channel.isActive)
        #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
    }

    @Test func aSecondProxyHeaderIsLeftToHTTP() throws {
        let channel = EmbeddedChannel(
            handler: WrongProtocolHandler(isBehindProxyHeader: true) { Issue.record("\($0) was reported") })
        try channel.writeInbound(ByteBuffer(string: "PROXY "))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "PROXY "))
    }
}
