import NIOCore
import NIOEmbedded
import NIOOpenSSL
import TestSupport
import Testing

@Suite struct ClosureTests {
    @Test(arguments: TLSVersion.allCases)
    func `The client says that it has finished, and still hears the answer`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(.only(version), to: context)
        client.write("QUIT\r\n")
        client.closeOutput()
        server.deliverOutput(of: client)
        #expect(server.application.story == ["<handshakeCompleted>", "QUIT\r\n", "<closeNotifyReceived>"])
        #expect(server.application.events.last == .closeNotifyReceived)
        server.write("221 bye\r\n")
        server.flush()
        server.close(.all)
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.receivedText == "221 bye\r\n")
        #expect(client.hasReceivedCloseNotify)
        #expect(server.application.errors.isEmpty)
        #expect(context.liveConnections == 0)
    }

    @Test func `What follows close_notify is not looked at`() throws {
        let (server, client) = try connect()
        client.closeOutput()
        server.deliverOutput(of: client)
        server.deliver("anything")
        server.disconnect()
        #expect(server.application.story == ["<handshakeCompleted>", "<closeNotifyReceived>", "<inactive>"])
    }

    @Test(arguments: TLSVersion.allCases)
    func `The server closes with close_notify`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        let log = Log()
        server.write("421 closing\r\n", as: "flushed", log: log)
        server.flush()
        server.write("never", as: "never", log: log)
        server.close(.all, as: "close", log: log)
        server.close(.all, as: "again", log: log)
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.receivedText == "421 closing\r\n")
        #expect(client.hasReceivedCloseNotify && client.failure == nil)
        #expect(server.application.story == ["<handshakeCompleted>", "<inactive>"])
        #expect(log.entries.prefix(3) == ["flushed", "never: closed", "close"])
        #expect(log.entries.count == 4)
    }

    @Test func `Closing before the handshake is complete says nothing`() throws {
        let server = try EmbeddedServer()
        let log = Log()
        server.write("held back", as: "held back", log: log)
        server.flush()
        server.close(.all, as: "close", log: log)
        #expect(try server.takeOutput() == nil)
        #expect(server.application.story == ["<inactive>"])
        #expect(log.entries == ["held back: closed", "close"])
    }

    // MARK: - Half-closure

    @Test(arguments: TLSVersion.allCases)
    func `The server closes its output and goes on reading`(version: TLSVersion) throws {
        let (server, client) = try connect(.only(version))
        let log = Log()
        server.write("last words", as: "flushed", log: log)
        server.flush()
        server.write("never", as: "never", log: log)
        server.close(.output, as: "output", log: log)
        server.close(.output, as: "again", log: log)
        server.write("late", as: "late", log: log)
        #expect(server.wire.outputIsClosed)
        #expect(log.entries == ["flushed", "never: closed", "output", "again: closed", "late: closed"])
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.receivedText == "last words" && client.hasReceivedCloseNotify)
        client.write("the rest")
        client.closeOutput()
        server.deliverOutput(of: client)
        #expect(server.application.story == ["<handshakeCompleted>", "the rest", "<closeNotifyReceived>"])
        server.close(.all)
        #expect(try server.takeOutput() == nil)  // close_notify is sent only once
    }

    @Test func `A half-closure before the handshake is complete waits for it`() throws {
        let server = try EmbeddedServer()
        let client = try TLSClient()
        let log = Log()
        server.write("flushed", as: "flushed", log: log)
        server.flush()
        server.write("never", as: "never", log: log)
        server.close(.output, as: "output", log: log)
        server.close(.output, as: "again", log: log)
        server.write("late", as: "late", log: log)
        #expect(log.entries == ["again: closed", "late: closed"])
        try server.exchange(with: client)
        #expect(client.receivedText == "flushed" && client.hasReceivedCloseNotify)
        #expect(log.entries.dropFirst(2) == ["flushed", "never: closed", "output"])
        #expect(server.handler.isHandshakeComplete)
        #expect(server.wire.outputIsClosed)
    }

    @Test func `A half-closed peer that ended TLS first is no error`() throws {
        let (server, client) = try connect()
        client.closeOutput()
        server.deliverOutput(of: client)
        server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.application.story == ["<handshakeCompleted>", "<closeNotifyReceived>", "<inputClosed>"])
        server.write("answer")
        server.flush()
        client.receive(try #require(try server.takeOutput()))
        #expect(server.application.errors.isEmpty)
    }

    // MARK: - Truncation

    @Test(arguments: TLSVersion.allCases)
    func `A connection that ends without close_notify is truncated`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(.only(version), to: context)
        client.write("DATA with an end that somebody may have cut off")
        server.deliverOutput(of: client)
        let log = Log()
        server.write("waiting", as: "waiting", log: log)
        server.disconnect()
        #expect(server.application.story.suffix(2) == ["<error truncated>", "<inactive>"])
        #expect(server.application.errors.map(\.code) == [.truncated])
        #expect(log.entries == ["waiting: closed"])
        #expect(context.liveConnections == 0)
    }

    @Test func `Half a record at the end is not delivered`() throws {
        let (server, client) = try connect()
        client.write("never whole")
        var ciphertext = try #require(client.takeOutput())
        server.deliver(try ciphertext.take(ciphertext.readableBytes - 1))
        server.disconnect()
        #expect(server.application.story == ["<handshakeCompleted>", "<error truncated>", "<inactive>"])
    }

    @Test func `A half-closure without close_notify is truncated, and can still be answered`() throws {
        let context = try selfSignedContext()
        let (server, client) = try connect(to: context)
        server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.application.story == ["<handshakeCompleted>", "<error truncated>", "<inputClosed>"])
        server.write("250 Ok\r\n")
        server.flush()
        client.receive(try #require(try server.takeOutput()))
        client.advance()
        #expect(client.receivedText == "250 Ok\r\n")
        server.channel.close(promise: nil)
        #expect(context.liveConnections == 0)
    }

    @Test func `A half-closure within the handshake ends the connection`() throws {
        let context = try selfSignedContext()
        let server = try EmbeddedServer(context)
        let client = try TLSClient()
        client.advance()
        server.deliverOutput(of: client)
        server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.application.story == ["<error handshakeFailed>", "<inputClosed>", "<inactive>"])
        #expect(context.liveConnections == 0)
    }

    @Test func `The application may close when it hears of it`() throws {
        let (server, _) = try connect()
        server.application.onError = { $0.close(promise: nil) }
        server.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(server.application.errors.count == 1)
        #expect(server.application.isInactive)
    }

    @Test func `Other events pass`() throws {
        let (server, _) = try connect()
        server.channel.pipeline.fireUserInboundEventTriggered("custom")
        #expect(server.application.story.last == "<custom>")
    }

    @Test(arguments: TLSVersion.allCases)
    func `A fatal alert after the handshake is told by its number`(version: TLSVersion) throws {
        // OpenSSL sends a fatal alert for a record that it cannot decrypt.
        let (server, client) = try connect(.only(version))
        server.write("250 Ok\r\n")
        server.flush()
        var damaged = Array(try #require(try server.takeOutput()).readableBytesView)
        damaged[damaged.count - 1] ^= 1
        client.receive(ByteBuffer(bytes: damaged))
        client.advance()
        server.deliverOutput(of: client)
        let error = try #require(server.application.errors.first)
        #expect(error.code == .alertReceived && error.alert == 20)
        #expect(error.description.mentions("TLS", "client", "alert 20", "bad record mac"))
    }
}
