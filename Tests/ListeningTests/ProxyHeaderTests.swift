import Listening
import NIOCore
import RelayCore
import Testing

/// PROXY headers of both versions, as the octets that load balancers send.
enum ProxySample {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let addresses4: [UInt8] = [192, 0, 2, 7, 192, 0, 2, 1, 0x9C, 0x40, 0x02, 0x4B]

    static func block(_ command: UInt8, _ kind: UInt8, _ rest: [UInt8] = [], length: Int? = nil) -> [UInt8] {
        let length = length ?? rest.count
        return signature + [command, kind, UInt8(length >> 8), UInt8(length & 0xFF)] + rest
    }

    /// The source address, the destination address and the ports for IPv6.
    static func addresses6(_ source: String) -> [UInt8] {
        let bytes = IPAddress(source).map(\.bytes) ?? []
        let whole = bytes.count == 4 ? [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + bytes : bytes
        return whole + whole + [0x9C, 0x40, 0x02, 0x4B]
    }

    static let line = Array("PROXY TCP4 192.0.2.7 192.0.2.1 40000 587\r\n".utf8)
}

@Suite struct ProxyHeaderTests {
    private static func read(_ bytes: [UInt8]) -> (ProxyHeader.Reading, rest: [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        let reading = ProxyHeader.next(from: &buffer)
        return (reading, Array(buffer.readableBytesView))
    }

    @Test(arguments: [
        ("TCP4 192.0.2.7 192.0.2.1 40000 587", "192.0.2.7"),
        ("TCP4 0.0.0.0 255.255.255.255 0 65535", "0.0.0.0"),
        ("TCP6 2001:db8::7 2001:DB8::1 40000 587", "2001:db8::7"),
        (
            "TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
        ),
        ("TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 40000 587", "192.0.2.7"),
    ])
    func lines(text: String, client: String) throws {
        let (reading, rest) = Self.read(Array("PROXY \(text)\r\nEHLO x\r\n".utf8))
        let address = try #require(IPAddress(client))
        #expect(reading == .header(ProxyHeader(client: address)))
        #expect(rest == Array("EHLO x\r\n".utf8))
    }

    /// The connection is the load balancer's own, or the load balancer has no IP address of the client.
    @Test(arguments: ["UNKNOWN", "UNKNOWN 1 2 3", "UNKNOWN " + String(repeating: "f", count: 91)])
    func unknownProtocolLinesNameNoClient(text: String) {
        #expect(Self.read(Array("PROXY \(text)\r\n".utf8)).0 == .header(ProxyHeader(client: nil)))
    }

    @Test(arguments: [
        "TCP4 192.0.2.7 192.0.2.1 40000", "TCP4 192.0.2.7 192.0.2.1 40000 587 1", "TCP4  192.0.2.7 192.0.2.1 40000 587",
        "TCP4 192.0.2.7 192.0.2.1 040000 587", "TCP4 192.0.2.7 192.0.2.1 65536 587", "TCP4 192.0.2.7 192.0.2.1 +1 587",
        "TCP4 192.0.2.07 192.0.2.1 1 587", "TCP4 192.0.2.256 192.0.2.1 1 587", "TCP4 host 192.0.2.1 1 587",
        "TCP4 2001:db8::7 2001:db8::1 1 587", "TCP6 192.0.2.7 192.0.2.1 1 587", "TCP6 2001:db8::7 192.0.2.1 1 587",
        "TCP6 fe80::1%eth0 fe80::2 1 587", "tcp4 192.0.2.7 192.0.2.1 1 587", "UDP4 192.0.2.7 192.0.2.1 1 587",
        "UNKNOWNX",
        "", "TCP4 192.0.2.7\0 192.0.2.1 1 587", "TCP4 192.0.2.7 192.0.2.1 1 587 ",
    ])
    func malformedLines(text: String) {
        #expect(Self.read(Array("PROXY \(text)\r\n".utf8)).0 == .defect(.malformed))
    }

    @Test(arguments: ["TCP4 192.0.2.7 192.0.2.1 1 587\n", "TCP4 192.0.2.7 192.0.2.1 1 587\rX", "UNKNOWN \n\r\n"])
    func aLineEndsWithCRLF(text: String) {
        #expect(Self.read(Array("PROXY \(text)".utf8)).0 == .defect(.malformed))
    }

    @Test func aLineHas107OctetsAtMost() {
        let longest = Array(("PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n").utf8)
        #expect(longest.count == ProxyHeader.maximumLineLength)
        #expect(Self.read(longest).0 == .header(ProxyHeader(client: nil)))
        let longer = Array(("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n").utf8)
        #expect(Self.read(longer).0 == .defect(.tooLong))
        #expect(Self.read(Array(longer.prefix(106))).0 == .needsMore)
        #expect(Self.read(Array(longer.prefix(107))).0 == .defect(.tooLong))
    }

    @Test(arguments: [
        "EHLO x\r\n", "\u{16}\u{3}\u{1}", "POST / HTTP/1.1\r\n", "PROXY\r\n", "proxy TCP4", "\r\nPROXY", " ",
    ])
    func otherProtocolsHaveNoProxyHeader(text: String) {
        #expect(Self.read(Array(text.utf8)).0 == .defect(.missing))
    }

    @Test(
        arguments: [
            (ProxySample.block(0x21, 0x11, ProxySample.addresses4), "192.0.2.7"),
            (ProxySample.block(0x21, 0x21, ProxySample.addresses6("2001:db8::7")), "2001:db8::7"),
            (ProxySample.block(0x21, 0x21, ProxySample.addresses6("192.0.2.7")), "192.0.2.7"),
            // Extensions are ignored, whatever they contain.
            (ProxySample.block(0x21, 0x11, ProxySample.addresses4 + [5, 0, 2, 1, 2]), "192.0.2.7"),
            (ProxySample.block(0x21, 0x11, ProxySample.addresses4 + [5, 0xFF]), "192.0.2.7"),
            // LOCAL, whatever follows it; no address family; Unix sockets; UDP, for which a receiver may use the peer's
            // address.
            (ProxySample.block(0x20, 0x00), nil), (ProxySample.block(0x20, 0x11, ProxySample.addresses4), nil),
            (ProxySample.block(0x20, 0xFF), nil), (ProxySample.block(0x20, 0x11, [1]), nil),
            (ProxySample.block(0x21, 0x00), nil), (ProxySample.block(0x21, 0x00, [1, 2, 3]), nil),
            (ProxySample.block(0x21, 0x31, [UInt8](repeating: 0, count: 216)), nil),
            (ProxySample.block(0x21, 0x12, ProxySample.addresses4), nil),
        ] as [([UInt8], String?)])
    func blocks(bytes: [UInt8], client: String?) {
        let (reading, rest) = Self.read(bytes + Array("EHLO x\r\n".utf8))
        #expect(reading == .header(ProxyHeader(client: client.flatMap { IPAddress($0) })))
        #expect(rest == Array("EHLO x\r\n".utf8))
    }

    @Test(
        arguments: [
            (ProxySample.block(0x11, 0x11, ProxySample.addresses4), .unsupported),
            (ProxySample.block(0x22, 0x11, ProxySample.addresses4), .unsupported),
            (ProxySample.block(0x21, 0x41, ProxySample.addresses4), .unsupported),
            (ProxySample.block(0x21, 0x13, ProxySample.addresses4), .unsupported),
            (ProxySample.block(0x21, 0x11, Array(ProxySample.addresses4.dropLast())), .malformed),
            (ProxySample.block(0x21, 0x21, ProxySample.addresses4), .malformed),
            (ProxySample.block(0x21, 0x11, length: 4081), .tooLong),
            (ProxySample.block(0x20, 0, length: 65_535), .tooLong),
            ([0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0D], .missing),
        ] as [([UInt8], ProxyHeader.Defect)])
    func defectiveBlocks(bytes: [UInt8], defect: ProxyHeader.Defect) {
        #expect(Self.read(bytes).0 == .defect(defect))
    }

    @Test func aBlockHas4096OctetsAtMost() {
        let rest = ProxySample.addresses4 + [UInt8](repeating: 0, count: 4080 - 12)
        let block = ProxySample.block(0x21, 0x11, rest)
        #expect(block.count == ProxyHeader.maximumLength)
        #expect(Self.read(block).0 == .header(ProxyHeader(client: IPAddress("192.0.2.7"))))
        #expect(Self.read(block.dropLast()).0 == .needsMore)
    }

    /// The network may cut a header after any octet.
    @Test(arguments: [
        ProxySample.line, ProxySample.block(0x21, 0x11, ProxySample.addresses4 + [4, 0, 1, 0]),
        ProxySample.block(0x20, 0),
        ProxySample.block(0x21, 0x21, ProxySample.addresses6("2001:db8::7")),
    ])
    func aPartOfAHeaderIsNone(bytes: [UInt8]) {
        for count in 0..<bytes.count {
            let (reading, rest) = Self.read(Array(bytes.prefix(count)))
            #expect(reading == .needsMore, "after \(count) octets")
            #expect(rest.count == count)
        }
    }
}
