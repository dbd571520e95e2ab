import NIOCore
import NIOEmbedded
import NIOOpenSSL
import Testing

@Suite struct HandshakeTests {
    @Test(arguments: TLSVersion.allCases)
    func `A handshake tells what it agreed on`(version: TLSVersion) throws {
        let server = try EmbeddedServer()
        let client = try TLSClient(.only(version))
        #expect(!server.handler.isHandshakeComplete)
        try server.exchange(with: client)
        #expect(client.isEstablished)
        #expect(server.handler.isHandshakeComplete)
        #expect(
            server.application.events == [
                .handshakeCompleted(
                    TLSConnectionInfo(
                        version: version,
                        cipher: version == .tls13 ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256",
                        resumed: false, serverName: "mail.example", group: "x25519"))
            ])
        #expect(server.application.errors.isEmpty)
    }

    @Test func `Versions have the names of mail logs and an order`() {
        #expect(TLSVersion.allCases.map(\.description) == ["TLSv1.2", "TLSv1.3"])
        #expect(TLSVersion.tls12 < .tls13 && !(TLSVersion.tls13 < .tls12) && !(TLSVersion.tls13 < .tls13))
    }

    @Test func `The newest version in common is taken`() throws {
        let (server, _) = try connect()
        #expect(server.application.info?.version == .tls13)
    }

    @Test func `Who says nothing costs nothing and hears nothing`() throws {
        let context = try selfSignedContext()
        let server = try EmbeddedServer(context)
        server.channel.pipeline.fireChannelReadComplete()
        server.deliver("")
        #expect(try server.takeOutput() == nil)
        #expect(context.liveConnections == 0)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A live connection is counted until it ends`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let (first, _) = try connect(.only(version), to: context)
        let (second, _) = try connect(.only(version), to: context)
        #expect(context.liveConnections == 2)
        first.close(.all)
        #expect(context.liveConnections == 1)
        second.disconnect()
        #expect(context.liveConnections == 0)
    }

    @Test(arguments: TLSVersion.allCases, [1, 2, 3, 7, 64])
    func `Records come in pieces of any size`(version: TLSVersion, piece: Int) throws {
        let server = try EmbeddedServer()
        let client = try TLSClient(.only(version))
        try server.exchange(with: client, piece: piece)
        #expect(client.isEstablished && server.handler.isHandshakeComplete)
        client.write("EHLO client.example\r\n")
        try server.exchange(with: client, piece: piece)
        #expect(server.application.story == ["<handshakeCompleted>", "EHLO client.example\r\n"])
    }

    @Test func `Data right behind the handshake comes after its event`() throws {
        let server = try EmbeddedServer()
        let client = try TLSClient(.only(.tls13))
        client.advance()
        server.deliverOutput(of: client)
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        client.write("first")
        client.write("second")
        server.deliverOutput(of: client)  // Finished and data in one read
        #expect(server.application.story == ["<handshakeCompleted>", "firstsecond"])
    }

    // MARK: - The choice of the certificate

    @Test(
        arguments: TLSVersion.allCases,
        [
            (algorithms: nil, keyType: "EC"),
            ("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", "EC"),
            ("rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "EC"),
            ("rsa_pss_rsae_sha256:rsa_pkcs1_sha256", "RSA"),
        ] as [(algorithms: String?, keyType: String)])
    func `Of two certificates a client gets one that it understands, the cheap one first`(
        version: TLSVersion, choice: (algorithms: String?, keyType: String)
    ) async throws {
        let material = try await Material.shared
        for identities in [
            [material.ecIdentity, material.rsaIdentity], [material.rsaIdentity, material.ecIdentity],
        ] {
            let context = try TLSServerContext(TLSConfiguration(identities: identities))
            var options = TLSClient.Options.only(version)
            options.signatureAlgorithms = choice.algorithms
            let (server, client) = try connect(options, to: context)
            #expect(client.serverKeyType == choice.keyType)
            if version == .tls12 {
                let part = choice.keyType == "EC" ? "ECDSA" : "RSA"
                #expect(server.application.info?.cipher == "ECDHE-\(part)-AES128-GCM-SHA256")
            }
        }
    }

    @Test(arguments: TLSVersion.allCases)
    func `Each certificate comes with its own chain`(version: TLSVersion) async throws {
        let material = try await Material.shared
        let context = try TLSServerContext(
            TLSConfiguration(identities: [material.ecIdentity, material.rsaIdentity]))
        var options = TLSClient.Options.only(version)
        options.trusted = material.root
        // The client can verify the certificate only if the server sends the intermediate certificate.
        #expect(try connect(options, to: context).1.serverKeyType == "EC")
        options.trusted = material.rsa
        options.signatureAlgorithms = "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"
        #expect(try connect(options, to: context).1.serverKeyType == "RSA")
    }

    @Test func `An Ed25519 certificate does too`() async throws {
        let material = try await Material.shared
        let identity = Material.identity(material.ed25519, material.ed25519Key, "ed25519")
        let context = try TLSServerContext(TLSConfiguration(identities: [identity]))
        for version in TLSVersion.allCases {
            #expect(try connect(.only(version), to: context).1.serverKeyType == "ED25519")
        }
    }

    // MARK: - What the client asks for

    @Test(
        arguments: [
            ("mail.example", "mail.example"), ("_smtp.MAIL-1.example", "_smtp.MAIL-1.example"), (nil, nil),
            ("mail example", nil), ("mail\"example", nil), ("mail\u{1B}[31m", nil), ("mäil", nil),
        ] as [(String?, String?)])
    func `The server name is told if it can be one`(asked: String?, told: String?) throws {
        var options = TLSClient.Options()
        options.serverName = asked
        let (server, _) = try connect(options)
        #expect(try #require(server.application.info).serverName == told)
    }

    @Test(arguments: ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"])
    func `A client of one cipher suite is served`(cipher: String) throws {
        var options = TLSClient.Options.only(.tls12)
        options.ciphers = cipher
        #expect(try connect(options).0.application.info?.cipher == cipher)
    }

    @Test(
        arguments: [
            // With P-521 first, TLS 1.3 needs a HelloRetryRequest. In TLS 1.2, the groups also apply to the
            // certificate.
            (TLSVersion.tls12, "P-521:P-256", "secp256r1"), (.tls13, "P-521:P-256", "secp256r1"),
            (.tls13, "P-384", "secp384r1"),
        ])
    func `A client without X25519 is served`(version: TLSVersion, offered: String, group: String) throws {
        var options = TLSClient.Options.only(version)
        options.groups = offered
        #expect(try connect(options).0.application.info?.group == group)
    }

    // MARK: - Writes before the end of the handshake

    @Test(arguments: TLSVersion.allCases)
    func `Writes are held back and go out in order`(version: TLSVersion) throws {
        let server = try EmbeddedServer()
        let client = try TLSClient(.only(version))
        let log = Log()
        server.application.onEvent = { context, _ in
            context.writeAndFlush(NIOAny(ByteBuffer(string: "after the event;")), promise: nil)
        }
        server.write("one;", as: "one", log: log)
        server.write("two;", as: "two", log: log)
        server.flush()
        server.write("not flushed;", as: "three", log: log)
        #expect(try server.takeOutput() == nil)
        try server.exchange(with: client)
        #expect(client.receivedText == "one;two;not flushed;after the event;")
        #expect(log.entries == ["one", "two", "three"])
    }

    @Test func `What was not flushed stays until it is`() throws {
        let server = try EmbeddedServer()
        let client = try TLSClient()
        server.write("flushed;")
        server.flush()
        server.write("later;")
        try server.exchange(with: client)
        #expect(client.receivedText == "flushed;")
        server.flush()
        try server.exchange(with: client)
        #expect(client.receivedText == "flushed;later;")
    }

    @Test func `A failed handshake fails what was held back`() throws {
        let server = try EmbeddedServer()
        let log = Log()
        server.write("one", as: "one", log: log)
        server.flush()
        server.write("two", as: "two", log: log)
        server.close(.output, as: "output", log: log)
        server.deliver("EHLO client.example\r\n")
        #expect(log.entries == ["output: notTLS", "one: notTLS", "two: notTLS"])
        server.write("three", as: "three", log: log)
        #expect(log.entries.last == "three: closed")
    }

    @Test func `What is held back has a limit`() throws {
        let context = try selfSignedContext()
        let server = try EmbeddedServer(context)
        let log = Log()
        let half = [UInt8](repeating: 0, count: TLSServerHandler.maximumHeldBackOutput / 2)
        server.write(half, as: "one", log: log)
        server.write(half, as: "two", log: log)
        #expect(server.application.errors.isEmpty)
        server.write("x", as: "three", log: log)
        #expect(server.application.story == ["<error limitExceeded>", "<inactive>"])
        #expect(server.application.errors.first?.description.contains("1048576 octets") == true)
        #expect(log.entries == ["one: limitExceeded", "two: limitExceeded", "three: limitExceeded"])
        #expect(context.liveConnections == 0)
    }

    @Test func `What a client may send before the end of its handshake has a limit`() throws {
        let context = try selfSignedContext()
        let server = try EmbeddedServer(context)
        // A ClientHello (type 1) that announces 131,000 octets, in handshake records (type 22).
        var body: [UInt8] = [1, 0x01, 0xFF, 0xB8] + [UInt8](repeating: 3, count: 131_000)
        var sent = 0
        while server.application.errors.isEmpty, !body.isEmpty {
            let part = body.prefix(16_384)
            body.removeFirst(part.count)
            let record = [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 0xFF)] + part
            sent += record.count
            server.deliver(ByteBuffer(bytes: record))
        }
        #expect(server.application.story == ["<error limitExceeded>", "<inactive>"])
        #expect((65_537...82_000).contains(sent))
        #expect(context.liveConnections == 0)
    }
}
