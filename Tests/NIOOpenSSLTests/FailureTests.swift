import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import NIOOpenSSL

/// Handshakes that fail, and the explanations of the failures for the operator.
@Suite struct FailureTests {
    /// Runs both sides until one of them fails. Returns the server's error and the client.
    private func fail(
        _ options: TLSClient.Options, against context: TLSServerContext
    ) throws -> (error: TLSError, client: TLSClient) {
        let server = try EmbeddedServer(context)
        let client = try TLSClient(options)
        try server.exchange(with: client)
        let error = try #require(server.application.errors.first)
        #expect(server.application.story == ["<error \(error.code)>", "<inactive>"])
        #expect(!server.handler.isHandshakeComplete)
        #expect(context.liveConnections == 0)
        return (error, client)
    }

    @Test func `A client of TLS 1.2 is told from a server of TLS 1.3 only`() throws {
        let (error, client) = try self.fail(.only(.tls12), against: selfSignedContext(minimumVersion: .tls13))
        #expect(error.code == .handshakeFailed)
        #expect(error.description.mentions("protocol version", "TLS 1.2"))
        #expect(client.alert == 70)  // protocol_version
    }

    @Test(arguments: [(Int32(0x0301), "TLS 1.0"), (0x0302, "TLS 1.1")])
    func `A client of an older version is told`(version: Int32, name: String) throws {
        var options = TLSClient.Options(versions: version...version)
        options.ciphers = "ALL:@SECLEVEL=0"
        let (error, client) = try self.fail(options, against: selfSignedContext())
        #expect(error.description.mentions("protocol version", name))
        #expect(client.alert == 70)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A client that does not trust the certificate says so`(version: TLSVersion) throws {
        var options = TLSClient.Options.only(version)
        options.trusted = []
        let (error, client) = try self.fail(options, against: selfSignedContext())
        #expect(error.code == .alertReceived)
        #expect(error.alert == 48)
        #expect(error.description.mentions("handshake", "client", "alert 48", "unknown CA", "certificate"))
        #expect(client.failure == "certificate verify failed")
    }

    @Test func `A client that finds the certificate expired says so`() throws {
        let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime - 86_400 * 1_000)
        guard case .bytes(let certificate, _) = identity.certificateChain else {
            Issue.record("a self-signed certificate must be in memory")
            return
        }
        var options = TLSClient.Options()
        options.trusted = certificate
        let context = try TLSServerContext(TLSConfiguration(identities: [identity]))
        let (error, _) = try self.fail(options, against: context)
        #expect(error.alert == 45)
        #expect(error.description.mentions("client", "alert 45", "certificate expired", "server"))
    }

    @Test func `No cipher suite in common`() throws {
        var options = TLSClient.Options.only(.tls12)
        options.ciphers = "AES128-SHA:DHE-RSA-AES128-GCM-SHA256"
        let (error, client) = try self.fail(options, against: selfSignedContext())
        #expect(error.code == .handshakeFailed)
        #expect(error.description.mentions("handshake", "cipher suite", "client"))
        #expect(client.alert == 40)  // handshake_failure
    }

    @Test func `RSA key exchange, where there is an ECDSA certificate only`() throws {
        var options = TLSClient.Options.only(.tls12)
        options.ciphers = "AES128-SHA"
        let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime)
        let context = try TLSServerContext(TLSConfiguration(identities: [identity], compatibility: .oldDevices))
        let (error, _) = try self.fail(options, against: context)
        #expect(error.description.mentions("handshake", "cipher suite", "client", "certificate", "RSA key"))
    }

    @Test func `A client that takes RSA only, where there is ECDSA only`() throws {
        var options = TLSClient.Options.only(.tls13)
        options.signatureAlgorithms = "rsa_pss_rsae_sha256"
        let modern = try self.fail(options, against: selfSignedContext())
        #expect(modern.error.description.mentions("handshake", "signature algorithm", "certificate"))
        options.versions = TLSClient.Options.only(.tls12).versions
        let older = try self.fail(options, against: selfSignedContext())
        #expect(older.error.description.mentions("handshake", "certificate"))
    }

    @Test func `No group in common`() throws {
        var options = TLSClient.Options.only(.tls13)
        options.groups = "P-521"
        let (error, _) = try self.fail(options, against: selfSignedContext())
        #expect(error.description.mentions("handshake", "key exchange group"))
    }

    // MARK: - Input that is not TLS

    @Test(
        arguments: [
            ("GET / HTTP/1.1\r\nHost: mail.example\r\n\r\n", true), ("POST / HTTP/1.1\r\n", true),
            ("CONNECT mail.example:443 HTTP/1.1\r\n", true),
            ("EHLO client.example\r\n", false), ("QUIT\r\n", false), ("\r\n\r\n\r\n", false),
            ("\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", false), ("\u{16}\u{3}\u{1}\u{7F}\u{7F}", false),
        ])
    func `Plain text is called that`(text: String, isHTTP: Bool) throws {
        for piece in [Int.max, 1] {
            let server = try EmbeddedServer()
            server.deliver(ByteBuffer(string: text), piece: piece)
            #expect(server.application.story == ["<error notTLS>", "<inactive>"])
            #expect(server.application.errors.count == 1)
            let explanation = try #require(server.application.errors.first).description
            #expect(explanation.mentions("handshake", "client", "TLS"))
            #expect(explanation.contains("HTTP") == isHTTP)
        }
    }

    @Test func `A first record that is no ClientHello`() throws {
        let server = try EmbeddedServer()
        server.deliver(ByteBuffer(bytes: [23, 3, 3, 0, 1, 0]))  // application data
        #expect(server.application.errors.map(\.code) == [.handshakeFailed])
        #expect(try #require(try server.takeOutput()).readableBytesView.first == 21)  // an alert
    }

    /// Any octet of a ClientHello may be wrong. The server must answer or report an error, unless the damaged
    /// ClientHello announces more octets. The server must never crash.
    @Test func `A damaged ClientHello is refused or harmless`() throws {
        let context = try selfSignedContext()
        let client = try TLSClient()
        client.advance()
        let hello = Array(try #require(client.takeOutput()).readableBytesView)
        for index in hello.indices {
            for mask in [UInt8(0xFF), 0x01, 0x80] {
                var damaged = hello
                damaged[index] ^= mask
                let server = try EmbeddedServer(context)
                server.deliver(ByteBuffer(bytes: damaged))
                let answered = try server.takeOutput() != nil
                // If a length is damaged, the server may wait for more octets. If the first bit is set, the server
                // reads an SSL 2 record, which has a length, too.
                let mayWait = (3...8).contains(index) || index == 0 && mask & 0x80 != 0
                #expect(answered || !server.application.errors.isEmpty || mayWait, "octet \(index) ^ \(mask)")
                server.disconnect()
                #expect(server.application.errors.count == 1)
            }
        }
        #expect(context.liveConnections == 0)
    }

    // MARK: - Clients that leave

    @Test func `A client that leaves before its handshake is complete`() throws {
        let nothing = try EmbeddedServer()
        nothing.disconnect()
        #expect(nothing.application.story == ["<error notBegun>", "<inactive>"])

        let client = try TLSClient()
        client.advance()
        var hello = try #require(client.takeOutput())
        let part = try EmbeddedServer()
        part.deliver(try hello.take(40))
        part.disconnect()

        let other = try TLSClient()
        other.advance()
        let whole = try EmbeddedServer()
        whole.deliverOutput(of: other)
        whole.disconnect()

        let explanations = [nothing, part, whole].flatMap { $0.application.errors.map(\.description) }
        try #require(explanations.count == 3)
        #expect(explanations.allSatisfy { $0.mentions("handshake", "client", "closed") })
        #expect(explanations.map { $0.contains("ClientHello") } == [false, true, false])
        #expect(Set(explanations).count == 3)
    }

    @Test func `Nothing is delivered after an error`() throws {
        let server = try EmbeddedServer()
        server.deliver("EHLO client.example\r\n")
        let story = server.application.story
        server.deliver("MAIL FROM:<>\r\n")
        server.disconnect()
        #expect(server.application.story == story)
    }

    @Test func `The application may close on an error`() throws {
        let server = try EmbeddedServer()
        server.application.onError = { $0.close(promise: nil) }
        server.deliver("EHLO client.example\r\n")
        #expect(server.application.story == ["<error notTLS>", "<inactive>"])
    }

    // MARK: - OpenSSL's queue of errors

    @Test(arguments: TLSVersion.allCases)
    func `A bad peer does not break another on the same thread`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let server = try EmbeddedServer(context)
        let client = try TLSClient(.only(version))
        var round = 0
        func misbehave() throws {
            let bad = try EmbeddedServer(context)
            bad.deliver(round % 2 == 0 ? "EHLO bad.example\r\n" : "GET / HTTP/1.1\r\n")
            #expect(bad.application.errors.count == 1)
            leaveErrorInQueue()
            round += 1
        }
        for _ in 0..<4 {
            client.advance()
            try misbehave()
            server.deliverOutput(of: client)
            if let ciphertext = try server.takeOutput() { client.receive(ciphertext) }
        }
        try #require(client.isEstablished && server.handler.isHandshakeComplete)
        client.write("still here")
        let ciphertext = try #require(client.takeOutput())
        try misbehave()
        server.deliver(ciphertext, piece: 5)
        try misbehave()
        server.write("so am I")
        server.flush()
        try misbehave()
        server.close(.all)
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(server.application.story == ["<handshakeCompleted>", "still here", "<inactive>"])
        #expect(client.receivedText == "so am I" && client.hasReceivedCloseNotify)
    }

    @Test func `Errors know where they were made and codes have names`() throws {
        let server = try EmbeddedServer()
        let log = Log()
        server.close(.all)
        let promise = server.channel.eventLoop.makePromise(of: Void.self)
        server.channel.write(ByteBuffer(string: "late"), promise: promise)
        promise.futureResult.whenFailure { error in
            guard let error = error as? TLSError else { return }
            log.append("\(error.file) \(error.line > 0) \(error.code) \(error)", .success(()))
        }
        #expect(log.entries.count == 1)
        let entry = try #require(log.entries.first)
        #expect(entry.hasPrefix("NIOOpenSSL/TLSServerHandler.swift true closed "))
        #expect(entry.mentions("write", "TLS"))
        #expect(TLSError.Code.protocolViolation.description == "protocolViolation")
    }

    /// It depends on the processor which failures OpenSSL reports as "internal error". So this test checks the
    /// classification of the codes directly.
    @Test(
        arguments: [
            (0x0A00_010B, true),  // SSL_R_WRONG_VERSION_NUMBER
            (0x0A00_0418, true),  // the alert unknown_ca
            (0x0A0C_0103, false),  // ERR_R_INTERNAL_ERROR
            (0x1C80_006C, false),  // a reason of a cipher
        ] as [(UInt, Bool)])
    func `Only the TLS part's own reasons tell what happened`(code: UInt, tells: Bool) {
        #expect(OpenSSLErrorQueue.Entry(code: code, text: "").isTLS == tells)
    }
}
