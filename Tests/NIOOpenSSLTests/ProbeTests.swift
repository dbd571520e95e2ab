import Foundation
import NIOOpenSSL
import Testing

/// The client that checks what other TLS servers present.
@Suite struct ProbeTests {
    private static func connect(to port: Int) throws -> CInt {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        return descriptor
    }

    /// Runs `body` in a thread of its own, because the client blocks.
    private static func onOwnThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
        }
    }

    @Test func `It sees the certificate and can talk`() async throws {
        let expected = try TLSServerContext(TLSConfiguration(identities: [try await Material.shared.ecIdentity]))
            .certificates[0]
        try await EchoServer.with { server, _ in
            let port = try server.port
            let (certificate, echo, end) = try await Self.onOwnThread {
                let descriptor = try Self.connect(to: port)
                defer { close(descriptor) }
                let probe = try TLSProbe(descriptor: descriptor, serverName: "mail.example")
                try probe.write(Array("hello\n".utf8))
                let echo = try probe.read(100)
                try probe.write(Array("quit\n".utf8))
                var last = try probe.read(100)
                while !last.isEmpty { last = try probe.read(100) }
                return (probe.certificate, echo, last)
            }
            #expect(certificate.fingerprint == expected.fingerprint)
            #expect(certificate.dnsNames == expected.dnsNames && certificate.notAfter == expected.notAfter)
            #expect(certificate.intermediates == 1 && !certificate.isSelfSigned)
            #expect(certificate.source == "mail.example")
            #expect(String(decoding: echo, as: UTF8.self) == "hello\n")
            #expect(end.isEmpty)
        }
    }

    @Test(arguments: ["220 no TLS here\r\n", ""])
    func `What is no TLS is told apart`(talk: String) async throws {
        var ends: [CInt] = [0, 0]
        try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let (mine, other) = (ends[0], ends[1])
        defer { close(mine) }
        _ = send(other, talk, talk.utf8.count, 0)
        shutdown(other, CInt(SHUT_WR))
        let error = await #expect(throws: TLSError.self) {
            _ = try await Self.onOwnThread { try TLSProbe(descriptor: mine, serverName: "mail.example").certificate }
        }
        close(other)
        #expect(error?.code == .handshakeFailed)
        #expect(error?.message.isEmpty == false)
    }
}
