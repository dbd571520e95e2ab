import NIOCore
import NIOOpenSSL
import NIOPosix
import TestSupport
import Testing

/// Tests with real sockets and a real client: `openssl s_client` against an echo server.
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
            #expect(report.errors.count == 1)
            #expect(report.errors.first.mentions("protocol version", "TLS 1.1"))
        }
    }

    /// The cipher suites of old devices that OpenSSL offers at its lowest security level. Each is tested by itself.
    static let oldSuites = [
        "AES256-SHA256", "AES128-SHA256", "AES128-SHA", "AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA",
        "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA",
    ]

    @Test(arguments: oldSuites)
    func `An old suite is taken for old devices, and by nobody else`(suite: String) async throws {
        let arguments = ["-tls1_2", "-cipher", "\(suite):@SECLEVEL=0", "-ign_eof"]
        try await EchoServer.with(.oldDevices) { server, _ in
            // The text needs more than one record, and more octets than are reserved for one.
            let text = (0..<5_000).map { "line \($0)\n" }.joined()
            let outcome = try await server.client(arguments, input: text + "quit\n")
            #expect(outcome.status == 0, "\(outcome.output)")
            #expect(outcome.output.contains(text + "quit\n"))
            let report = try await server.nextReport()
            #expect(report.info?.cipher == suite)
            #expect(report.errors.isEmpty)
        }
        try await EchoServer.with(.modern) { server, _ in
            let outcome = try await server.client(arguments, input: "")
            #expect(outcome.status != 0)
            #expect(outcome.output.contains("alert handshake failure"), "\(outcome.output)")
            let report = try await server.nextReport()
            #expect(report.errors.count == 1)
            #expect(
                report.errors.first.mentions("cipher suite", "client", "certificate", "tls.compatibility: old-devices"))
        }
    }

    @Test(arguments: [
        "RC4-SHA", "RC4-MD5", "DES-CBC3-SHA", "ECDHE-RSA-DES-CBC3-SHA", "NULL-SHA256", "ECDHE-RSA-NULL-SHA",
        "ADH-AES128-SHA", "AECDH-AES128-SHA", "CAMELLIA128-SHA", "SEED-SHA", "AES128-CCM8", "DHE-RSA-AES128-SHA",
        "PSK-AES128-CBC-SHA",
    ])
    func `Other suites are taken from no device`(suite: String) async throws {
        try await EchoServer.with(.oldDevices) { server, _ in
            let outcome = try await server.client(["-tls1_2", "-cipher", "\(suite):@SECLEVEL=0"], input: "")
            #expect(outcome.status != 0)
            // This OpenSSL does not even offer some of these suites.
            #expect(outcome.output.matches(of: /alert handshake failure|no cipher match|no ciphers/).count > 0)
        }
    }

    @Test(arguments: ["-tls1_1", "-tls1"])
    func `Nothing older than TLS 1.2, for old devices neither`(version: String) async throws {
        try await EchoServer.with(.oldDevices) { server, _ in
            let outcome = try await server.client([version, "-cipher", "ALL:@SECLEVEL=0"], input: "")
            #expect(outcome.status != 0)
            #expect(outcome.output.contains("alert protocol version"), "\(outcome.output)")
        }
    }

    @Test func `A client that knows better suites gets them, although old ones are taken`() async throws {
        try await EchoServer.with(.oldDevices) { server, _ in
            let offered = (ClientToolTests.oldSuites + ["ECDHE-RSA-AES256-GCM-SHA384"]).joined(separator: ":")
            let outcome = try await server.client(["-tls1_2", "-cipher", offered, "-ign_eof"], input: "quit\n")
            #expect(outcome.status == 0)
            #expect(try await server.nextReport().info?.cipher == "ECDHE-RSA-AES256-GCM-SHA384")
        }
    }

    @Test func `A client that does not trust the certificate is understood`() async throws {
        let material = try await Material.shared
        try await EchoServer.with { server, directory in
            let other = try directory.write(material.weak, to: "other")
            let outcome = try await server.client(
                ["-tls1_3", "-CAfile", other, "-verify_return_error", "-ign_eof"], input: "")
            #expect(outcome.status != 0)
            let report = try await server.nextReport()
            #expect(report.errors.first.mentions("handshake", "client", "alert 48", "unknown CA", "certificate"))
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
            // The text is much longer than one record. The server must send it back unchanged.
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
            let leaving = try await server.nextReport()
            #expect(leaving.errors.count == 1)
            #expect(leaving.errors.first.mentions("handshake", "client", "closed"))
            let talker = try await server.plainClient()
            try await talker.writeAndFlush(ByteBuffer(string: "EHLO client.example\r\n"))
            let talking = try await server.nextReport()
            #expect(talking.errors.count == 1)
            #expect(talking.errors.first.mentions("handshake", "client", "not TLS"))
            try await talker.closeFuture.get()
        }
    }
}
