import NIOCore
import NIOEmbedded
import NIOOpenSSL
import TestSupport
import Testing

/// Application data after the handshake.
@Suite struct DataTests {
    /// Octets in which no sequence repeats soon.
    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) } }

    // MARK: - Reading

    @Test(arguments: TLSVersion.allCases)
    func `Several records in one read become one delivery`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        for word in ["EHLO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b>\r\n"] { client.write(word) }
        server.deliverOutput(of: client)
        #expect(server.application.story == ["<handshakeCompleted>", "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"])
    }

    @Test(arguments: TLSVersion.allCases)
    func `A record is delivered when its last octet has come`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        client.write("first")
        client.write("second")
        var ciphertext = try #require(client.takeOutput())
        let split = ciphertext.readableBytes - 1
        server.deliver(try ciphertext.take(split))
        #expect(server.application.receivedText == "first")
        server.deliver(ciphertext)
        #expect(server.application.receivedText == "firstsecond")
    }

    @Test(arguments: TLSVersion.allCases, [1, 5, 1_000, 16_406, 65_536])
    func `Full records in pieces of any size`(version: TLSVersion, piece: Int) throws {
        let (server, client) = try connect(.only(version))
        let data = self.pattern(piece == 1 ? 20_000 : 100_000)
        client.write(data)
        server.deliverOutput(of: client, piece: piece)
        #expect(server.application.received == data)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A long read comes in chunks that have a limit`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        let data = self.pattern(1_048_576)
        client.write(data)
        server.deliverOutput(of: client)
        #expect(server.application.received == data)
        #expect(server.application.readSizes.allSatisfy { $0 <= TLSServerHandler.maximumRead })
        #expect(server.application.readSizes.count <= 5)
    }

    @Test(arguments: TLSVersion.allCases)
    func `Exactly as much as one delivery takes`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        for count in [TLSServerHandler.maximumRead - 1, TLSServerHandler.maximumRead, TLSServerHandler.maximumRead + 1]
        {
            let before = server.application.received.count
            client.write(self.pattern(count))
            server.deliverOutput(of: client)
            #expect(server.application.received.count - before == count)
        }
    }

    @Test func `A read from inside a read keeps the order and loses nothing`() throws {
        let (server, client) = try connect()
        client.write("one;")
        let first = try #require(client.takeOutput())
        client.write("two;")
        var second = client.takeOutput()
        server.application.onRead = { context, _ in
            guard let ciphertext = second else { return }
            second = nil
            context.channel.pipeline.fireChannelRead(ciphertext)
        }
        server.deliver(first)
        #expect(server.application.story == ["<handshakeCompleted>", "one;", "two;"])
    }

    @Test func `Nothing comes after the application has closed`() throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(to: context)
        server.application.onRead = { context, _ in context.close(promise: nil) }
        client.write(self.pattern(TLSServerHandler.maximumRead * 2))
        client.closeOutput()
        server.deliverOutput(of: client)
        #expect(server.application.readSizes.count == 1)
        #expect(server.application.story.suffix(1) == ["<inactive>"])
        #expect(context.liveConnections == 0)
    }

    // MARK: - Backpressure

    @Test func `Nothing is read from the socket that the application did not ask for`() throws {
        let server = try EmbeddedServer()
        let client = try TLSClient()
        try server.exchange(with: client)
        client.write("data")
        try server.exchange(with: client)
        #expect(server.wire.reads == 0)
    }

    @Test(arguments: TLSVersion.allCases)
    func `One read lasts until there is plaintext`(version: TLSVersion) throws {
        let server = try EmbeddedServer()
        let client = try TLSClient(.only(version))
        server.channel.read()
        #expect(server.wire.reads == 1)
        // The handshake requests as many reads as it needs.
        try server.exchange(with: client, piece: 50)
        #expect(server.application.received.isEmpty)
        let afterHandshake = server.wire.reads
        #expect(afterHandshake > 2)
        client.write("plaintext")
        var ciphertext = try #require(client.takeOutput())
        // A part of a record has no plaintext, so the application's read is not complete yet.
        server.deliver(try ciphertext.take(6))
        #expect(server.wire.reads == afterHandshake + 1)
        server.deliver(ciphertext)
        #expect(server.application.receivedText == "plaintext")
        #expect(server.wire.reads == afterHandshake + 1)
        server.deliver("")
        #expect(server.wire.reads == afterHandshake + 1)
        server.channel.read()
        #expect(server.wire.reads == afterHandshake + 2)
    }

    // MARK: - Writing

    @Test(arguments: TLSVersion.allCases)
    func `A megabyte arrives as it was`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        let data = self.pattern(1_048_576)
        let log = Log()
        server.write(data, as: "megabyte", log: log)
        #expect(log.entries.isEmpty)
        server.flush()
        try server.exchange(with: client)
        #expect(client.received == data)
        #expect(log.entries == ["megabyte"])
    }

    @Test(arguments: TLSVersion.allCases)
    func `Writes of all sizes arrive in order, and so do their promises`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        let sizes = [0, 1, 16_383, 16_384, 16_385, 0, 40_000, 5, 16_384, 32_768, 0]
        let log = Log()
        var sent: [UInt8] = []
        for (index, size) in sizes.enumerated() {
            let data = self.pattern(size + index).suffix(size)
            sent += data
            server.write(Array(data), as: "\(index)", log: log)
        }
        server.flush()
        try server.exchange(with: client)
        #expect(client.received == sent)
        #expect(log.entries == sizes.indices.map { "\($0)" })
    }

    @Test func `What is written between two flushes shares records`() throws {
        let (server, client) = try connect(.only(.tls13))
        for _ in 0..<100 { server.write("250-EXTENSION\r\n") }
        server.flush()
        let ciphertext = try #require(try server.takeOutput())
        // One record: its header, 1,500 octets, the type and the tag.
        #expect(ciphertext.readableBytes == 5 + 1_500 + 1 + 16)
        client.receive(ciphertext)
        client.advance()
        #expect(client.received.count == 1_500)
    }

    @Test func `An empty write is done when those before it are`() throws {
        let (server, _) = try connect()
        let log = Log()
        server.wire.isFull = true
        server.write("full", as: "full", log: log)
        server.flush()
        server.write("", as: "empty", log: log)
        server.flush()
        #expect(log.entries.isEmpty)
        server.wire.release()
        #expect(log.entries == ["full", "empty"])
    }

    @Test func `What is not flushed is not sent, and fails with the connection`() throws {
        let (server, _) = try connect()
        let log = Log()
        server.write("waiting", as: "waiting", log: log)
        #expect(try server.takeOutput() == nil)
        server.disconnect()
        #expect(log.entries == ["waiting: closed"])
        server.write("late", as: "late", log: log)
        #expect(log.entries == ["waiting: closed", "late: closed"])
    }

    @Test func `A promise may write, flush and close`() throws {
        let (server, client) = try connect()
        let log = Log()
        let promise = server.channel.eventLoop.makePromise(of: Void.self)
        let isolated = promise.futureResult.assumeIsolated()
        isolated.whenSuccess {
            server.write("second;", as: "second", log: log)
            server.flush()
            server.write("never", as: "never", log: log)
            server.close(.all, as: "close", log: log)
        }
        server.channel.writeAndFlush(ByteBuffer(string: "first;"), promise: promise)
        while let ciphertext = try server.takeOutput() { client.receive(ciphertext) }
        client.advance()
        #expect(client.receivedText == "first;second;")
        #expect(client.hasReceivedCloseNotify)
        #expect(log.entries == ["second", "never: closed", "close"])
    }

    // MARK: - Peers that misbehave

    @Test(arguments: TLSVersion.allCases)
    func `A record damaged on the way is a violation`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(.only(version), to: context)
        client.write("intact")
        let intact = try #require(client.takeOutput())
        client.write("damaged")
        var damaged = Array(try #require(client.takeOutput()).readableBytesView)
        damaged[damaged.count - 1] ^= 1
        let log = Log()
        server.write("waiting", as: "waiting", log: log)
        server.deliver(ByteBuffer(bytes: Array(intact.readableBytesView) + damaged))
        #expect(
            server.application.story
                == ["<handshakeCompleted>", "intact", "<error protocolViolation>", "<inactive>"])
        #expect(server.application.errors.first?.description.mentions("TLS", "bad record mac") == true)
        #expect(log.entries == ["waiting: protocolViolation"])
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.alert == 20)  // bad_record_mac
        #expect(context.liveConnections == 0)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A record sent twice is a violation`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        client.write("once")
        let ciphertext = try #require(client.takeOutput())
        server.deliver(ciphertext)
        server.deliver(ciphertext)
        #expect(server.application.story.dropFirst() == ["once", "<error protocolViolation>", "<inactive>"])
    }

    @Test(arguments: TLSVersion.allCases, ["QUIT\r\n", "GET / HTTP/1.1\r\n", "\u{17}\u{3}\u{3}\u{0}\u{1}x"])
    func `Garbage after the handshake is a violation`(version: TLSVersion, garbage: String) throws {
        let (server, _) = try connect(.only(version))
        server.deliver(garbage)
        #expect(server.application.story.dropFirst() == ["<error protocolViolation>", "<inactive>"])
        #expect(server.application.errors.first?.description.contains("TLS") == true)
    }

    @Test func `Renegotiation is refused, and the connection goes on`() throws {
        let (server, client) = try connect(.only(.tls12))
        client.renegotiate()
        server.deliverOutput(of: client)
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.failure == "no renegotiation")
        #expect(server.application.story == ["<handshakeCompleted>"])
        #expect(server.handler.isHandshakeComplete)
        #expect(!server.application.isInactive)
    }

    @Test func `New keys are taken now and then`() throws {
        let (server, client) = try connect(.only(.tls13))
        for round in 0..<50 {
            client.updateKeys()
            client.write("\(round);")
            try server.exchange(with: client)
            server.write("\(round);")
            server.flush()
            try server.exchange(with: client)
        }
        let expected = (0..<50).map { "\($0);" }.joined()
        #expect(server.application.receivedText == expected)
        #expect(client.receivedText == expected)
    }

    @Test func `New keys without end are refused`() throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(.only(.tls13), to: context)
        var answered = 0
        for _ in 0..<5_000 where !server.application.isInactive {
            client.updateKeys()
            server.deliverOutput(of: client)
            // The client reads nothing.
            answered += try server.takeOutput()?.readableBytes ?? 0
        }
        #expect(server.application.story == ["<handshakeCompleted>", "<error limitExceeded>", "<inactive>"])
        #expect((16_384...17_000).contains(answered))
        #expect(context.liveConnections == 0)
    }
}
