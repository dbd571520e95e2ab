import NIOCore
import NIOOpenSSL
import Testing

@Suite struct ResumptionTests {
    /// Makes one connection. Returns its information, and the session for the next connection.
    private func session(
        _ version: TLSVersion, from context: TLSServerContext, resuming session: TLSClient.Session? = nil
    ) throws -> (info: TLSConnectionInfo, session: TLSClient.Session) {
        var options = TLSClient.Options.only(version)
        options.session = session
        let (server, client) = try connect(options, to: context)
        // Both sides must be able to exchange data, with any session keys.
        client.write("ping")
        server.application.onRead = { context, _ in
            context.writeAndFlush(NIOAny(ByteBuffer(string: "pong")), promise: nil)
        }
        try server.exchange(with: client)
        #expect(client.receivedText == "pong")
        let info = try #require(server.application.info)
        #expect(info.resumed == client.isResumed)
        return (info, try #require(client.session))
    }

    @Test(arguments: TLSVersion.allCases)
    func `A session is resumed by its ticket`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let first = try self.session(version, from: context)
        #expect(!first.info.resumed)
        let second = try self.session(version, from: context, resuming: first.session)
        #expect(second.info.resumed)
        #expect(second.info.version == version)
        // TLS 1.3 exchanges new keys even when it resumes a session.
        #expect(second.info.group == (version == .tls13 ? "x25519" : nil))
        #expect(second.info.serverName == "mail.example")
        let third = try self.session(version, from: context, resuming: second.session)
        #expect(third.info.resumed)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A ticket outlives a reload of the certificates`(version: TLSVersion) throws {
        let holder = ReloadableTLSContext(try selfSignedContext())
        let before = holder.current
        let first = try self.session(version, from: before)
        let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime)
        try holder.reload(TLSConfiguration(identities: [identity]))
        #expect(holder.current !== before)
        #expect(holder.current.ticketKeys === before.ticketKeys)
        #expect(try self.session(version, from: holder.current, resuming: first.session).info.resumed)
    }

    @Test func `A reload that fails leaves the context`() throws {
        let holder = ReloadableTLSContext(try selfSignedContext())
        let before = holder.current
        #expect(throws: TLSConfigurationError.self) { try holder.reload(TLSConfiguration(identities: [])) }
        #expect(holder.current === before)
    }

    @Test(arguments: TLSVersion.allCases)
    func `A ticket outlives one rotation of the keys, not two`(version: TLSVersion) throws {
        let context = try selfSignedContext()
        let first = try self.session(version, from: context)
        try context.ticketKeys.rotate()
        let second = try self.session(version, from: context, resuming: first.session)
        #expect(second.info.resumed)
        try context.ticketKeys.rotate()
        #expect(try !self.session(version, from: context, resuming: first.session).info.resumed)
        // The second connection got a new ticket, made with the key of the first rotation.
        #expect(try self.session(version, from: context, resuming: second.session).info.resumed)
    }

    @Test(arguments: TLSVersion.allCases)
    func `The ticket of another server is no ticket`(version: TLSVersion) throws {
        let first = try self.session(version, from: selfSignedContext())
        #expect(try !self.session(version, from: selfSignedContext(), resuming: first.session).info.resumed)
    }

    @Test func `A ticket of TLS 1.2 does not get past a minimum of TLS 1.3`() throws {
        let keys = try TLSTicketKeys()
        let first = try self.session(.tls12, from: selfSignedContext(ticketKeys: keys))
        var options = TLSClient.Options()
        options.session = first.session
        let context = try selfSignedContext(minimumVersion: .tls13, ticketKeys: keys)
        let (server, client) = try connect(options, to: context)
        #expect(!client.isResumed)
        #expect(server.application.info?.version == .tls13)
    }

    @Test func `Ticket keys show nothing of themselves`() throws {
        let keys = try TLSTicketKeys()
        #expect("\(keys)" == "TLSTicketKeys(redacted)")
        var dumped = ""
        dump(keys, to: &dumped)
        #expect(!dumped.contains("current") && !dumped.contains("storage"))
    }
}
