import NIOCore
import NIOOpenSSL
import NIOPosix
import Testing

/// Real sockets and a real client: `openssl s_client` against an echo server.
@Suite(.timeLimit(.minutes(1))) struct ClientToolTests {
    @Test(arguments: TLSVersion.allCases, ["EC", "RSA"])
    func `A client talks to the server`(version: TLSVersion, keyType: String) async throws {
        let algorithms = keyType == "EC" ? "ECDSA+SHA256" : "RSA-PSS+SHA256:RSA+SHA256"
        try await EchoServer.with { server, directory in
            let outcome = try await server.client(
                [version == .tls13 ? "-tls1_3" : "-tls1_2", "-sigalgs", algorithms, "-ign_eof"]
                    + ["-servername", "mail.example", "-CAfile", directory.path("trusted"), "-verify_return_error"]
                    + ["-verify_hostname", "mail.example"],
                input: "hello there\nquit\n")
            #expect(outcome.status == 0, "\(outcome.output)")
            #expect(outcome.output.contains("hello there\nquit\n"))
            #expect(outcome.output.contains("New, \(version), Cipher is "))
            #expect(outcome.output.contains("Verify return code: 0 (ok)"))
            let report = try await server.nextReport()
            #expect(report.info?.version == version)
            #expect(report.info?.serverName == "mail.example")
            #expect(report.errors.isEmpty)
        }
    }

    @Test func `A client that reconnects resumes, TLS 1.2`() async throws {
        try await EchoServer.with { server, _ in
            let outcome = try await server.client(["-tls1_2", "-reconnect"], input: "")
            #expect(outcome.output.matches(of: /Reused, TLSv1\.2/).count == 5, "\(outcome.output)")
            var resumed: [Bool] = []
            for _ in 0..<6 { resumed.append(try await server.nextReport().info?.resumed == true) }
            #expect(resumed.count(where: { $0 }) == 5)
        }
    }

    @Test func `A client that keeps its session resumes, TLS 1.3`() async throws {
        try await EchoServer.with { server, directory in
            let session = directory.path("session")
            let first = try await server.client(["-tls1_3", "-ign_eof", "-sess_out", session], input: "a\nquit\n")
            #expect(first.output.contains("New, TLSv1.3"))
            #expect(try await server.nextReport().info?.resumed == false)
            let second = try await server.client(["-tls1_3", "-ign_eof", "-sess_in", session], input: "b\nquit\n")
            #expect(second.output.contains("Reused, TLSv1.3"), "\(second.output)")
            #expect(second.output.contains("b\nquit\n"))
            #expect(try await server.nextReport().info?.resumed == true)
        }
    }

    @Test func `A client of TLS 1.1 is refused with a reason`() async throws {
        try await EchoServer.with { server, _ in
            let outcome = try await server.client(["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input: "")
            #expect(outcome.status != 0)
            #expect(outcome.output.contains("alert protocol version"), "\(outcome.output)")
            let report = try await server.nextReport()
            #expect(
                report.errors
                    == ["handshake failed: no protocol version in common (client offered TLS 1.1 at most)"])
        }
    }

    @Test func `A client that does not trust the certificate is understood`() async throws {
        let material = try await Material.shared
        try await EchoServer.with { server, directory in
            let other = try directory.write(material.weak, to: "other")
            let outcome = try await server.client(
                ["-tls1_3", "-CAfile", other, "-verify_return_error", "-ign_eof"], input: "")
            #expect(outcome.status != 0)
            #expect(
                try await server.nextReport().errors.first
                    == "handshake failed: the client sent alert 48 (unknown CA): "
                    + "it does not trust this server's certificate")
        }
    }

    @Test func `A client that wants to renegotiate is refused`() async throws {
        try await EchoServer.with { server, _ in
            let outcome = try await server.client(["-tls1_2"], input: "R\n")
            #expect(outcome.output.contains("RENEGOTIATING"))
            #expect(outcome.output.contains("no renegotiation"), "\(outcome.output)")
            let report = try await server.nextReport()
            #expect(report.handshakes == 1)
        }
    }

    @Test func `A large answer arrives whole, with close_notify behind it`() async throws {
        try await EchoServer.with { server, _ in
            // As long as a line may be that s_client reads at once: it comes back as it went.
            let text = (0..<20_000).map { "line \($0)\n" }.joined()
            let outcome = try await server.client(["-quiet", "-ign_eof"], input: text + "quit\n")
            #expect(outcome.status == 0)
            #expect(outcome.output.hasSuffix(text + "quit\n"))
            #expect(try await server.nextReport().errors.isEmpty)
        }
    }

    @Test func `The server closes its output and hears the client's end`() async throws {
        try await EchoServer.with { server, _ in
            let outcome = try await server.client(["-tls1_3", "-ign_eof"], input: "half\n")
            #expect(outcome.status == 0)
            let report = try await server.nextReport()
            #expect(report.outputClosed)
            #expect(report.closeNotifyReceived)
            #expect(report.errors.isEmpty)
        }
    }

    @Test func `A plain TCP client that leaves, and one that talks SMTP`() async throws {
        try await EchoServer.with { server, _ in
            let silent = try await server.plainClient()
            try await silent.close()
            #expect(
                try await server.nextReport().errors
                    == ["handshake failed: the client closed the connection without sending anything"])
            let talker = try await server.plainClient()
            try await talker.writeAndFlush(ByteBuffer(string: "EHLO client.example\r\n"))
            #expect(
                try await server.nextReport().errors
                    == ["handshake failed: the client sent something that is not TLS (plain text?)"])
            try await talker.closeFuture.get()
        }
    }
}
