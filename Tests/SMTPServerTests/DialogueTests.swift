import Logging
import NIOCore
import NIOOpenSSL
import RelayCore
import TestSupport
import Testing

@testable import SMTPServer

func testTLS() throws -> ReloadableTLSContext {
    // 2026-01-01. No test verifies the certificate.
    let identity = try TLSIdentity.selfSigned(hostnames: ["relay.example.com"], now: 1_767_225_600)
    return ReloadableTLSContext(try TLSServerContext(TLSConfiguration(identities: [identity])))
}

@Suite(.timeLimit(.minutes(5))) struct PipeliningTests {
    private static let transaction =
        "MAIL FROM:<from@example.com>\r\nRCPT TO:<to@example.net>\r\nDATA\r\n" + Client.content(500) + ".\r\n"

    /// A dialogue in one text, with every decision of the relay and with refusals.
    private func dialogue(_ key: APIKey) -> String {
        "EHLO client.example\r\nMAIL FROM:<from@example.com>\r\n" + Client.plain("guess") + "\r\n"
            + Client.plain(key.revealed) + "\r\n" + PipeliningTests.transaction
            + "MAIL FROM:<from@elsewhere.example>\r\nRSET\r\nbare\nMAIL FROM:<from@example.com>\r\nRCPT TO:<x>\r\nRSET\r\n"
            + PipeliningTests.transaction + String(repeating: "x", count: 3000) + "\r\nQUIT\r\nNOOP\r\n"
    }

    private func replies(readSize: Int) async throws -> [String] {
        let fixture = try ServerFixture()
        let client = try await fixture.connect()
        await client.onWire { $0.readSize = readSize }
        await client.send(dialogue(fixture.key))
        let replies = try await client.remainingReplies()
        #expect(fixture.store.accepted.count == 2)
        #expect(fixture.openConnections == 0)
        return replies
    }

    @Test func theRepliesAreTheSameHoweverTheOctetsArrive() async throws {
        let whole = try await replies(readSize: .max)
        #expect(whole.count == 21)
        #expect(whole.last == "221 2.0.0 Bye")
        #expect(whole.filter { $0.hasPrefix("250 2.0.0 Ok: queued as ") }.count == 2)
        for readSize in [1, 2, 3, 7, 64, 1000] {
            #expect(try await replies(readSize: readSize) == whole, "reads of \(readSize)")
        }
    }

    @Test func refusalsAreLoggedWithTheirReason() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        #expect(try await client.say("MAIL FROM:<from@elsewhere.example>").hasSuffix("[sender-domain]"))
        _ = try await client.openData()
        await client.send("From: from@elsewhere.example\r\n\r\n.\r\n")
        #expect(try await client.reply().hasSuffix("[header-domain]"))
        let entries = fixture.logs.entries("refused").map(\.metadata)
        #expect(
            entries.map { $0.filter { $0.key != "text" } } == [
                ["client": "192.0.2.7", "key": "\(fixture.key.id)", "reason": "sender-domain"],
                ["client": "192.0.2.7", "key": "\(fixture.key.id)", "reason": "header-domain"],
            ])
        #expect(
            entries.compactMap { $0["text"] }.reads([
                "… API key … elsewhere.example … example.com … sender …",
                "… API key … From … elsewhere.example … example.com …",
            ]))
    }
}

@Suite(.timeLimit(.minutes(1))) struct LogTests {
    @Test func protocolRefusalsAreLogged() async throws {
        let fixture = try ServerFixture(maximumRecipients: 1)
        let client = try await fixture.greeted()
        #expect(try await client.say("MAIL FROM:<from@example.com>").hasSuffix("[auth-required]"))
        #expect(try await client.say("AUTH CRAM-MD5").hasPrefix("504 "))
        #expect(try await client.authenticate(fixture.key).hasPrefix("235 "))
        #expect(try await client.say("MAIL FROM:<from@example.com> SMTPUTF8").hasSuffix("[parameter]"))
        try await client.say("MAIL FROM:<from@example.com>")
        for i in 0..<2 { try await client.say("RCPT TO:<to\(i)@example.net>") }
        #expect(try await client.say("RCPT TO:<to").hasSuffix("[address]"))
        #expect(try await client.say("BOGUS").hasPrefix("500 "))
        let key = "\(fixture.key.id)"
        let entries = fixture.logs.entries("refused").map(\.metadata)
        #expect(
            entries.map { $0["reason"] ?? $0["code"] } == [
                "auth-required", "504", "parameter", "recipients", "address", "500",
            ])
        #expect(entries.map { $0["key"] } == [nil, nil, key, key, key, key])
        #expect(entries[1]["text"].mentions("PLAIN", "LOGIN"))
        #expect(entries[2]["text"].mentions("SMTPUTF8", "MAIL", "SIZE", "BODY", "AUTH"))
        #expect(entries.allSatisfy { $0["client"] == "192.0.2.7" })
    }

    @Test func httpRequestOnAnSMTPPortIsLogged() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        await client.send("GET / HTTP/1.1\r\n")
        #expect(try await client.remainingReplies() == [])
        #expect(fixture.logs.entries("HTTP request on an SMTP port, connection closed").count == 1)
    }

    /// The log has a limit for one client, however many refusals the client causes and however different they are.
    @Test func aClientCannotDrownTheLog() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        for _ in 0..<50 {
            #expect(try await client.say("MAIL FROM:<from@elsewhere.example>").hasSuffix("[sender-domain]"))
            #expect(try await client.say("MAIL FROM:<from").hasSuffix("[address]"))
        }
        #expect(fixture.logs.entries("refused").count == 9)
        await fixture.advance(.seconds(1))
        #expect(try await client.say("MAIL FROM:<from").hasSuffix("[address]"))
        #expect(fixture.logs.entries("refused").count == 10)
        let summary = try #require(fixture.logs.entries("more lines left out").first).metadata
        #expect(summary["client"] == "192.0.2.7" && summary["count"] == "91")
        #expect(summary["about"] == "refused address (46), refused sender-domain (45)")
    }
}

@Suite(.timeLimit(.minutes(1))) struct StartTLSTests {
    @Test func plaintextAfterStartTLSEndsTheConnection() async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        let client = try await fixture.greeted()
        await client.send("STARTTLS\r\nEHLO injected\r\n")
        #expect(try await client.remainingReplies() == [])
        #expect(fixture.openConnections == 0)
        #expect(fixture.logs.entries("plaintext data after STARTTLS, connection closed").count == 1)
    }

    /// Plaintext that arrives in a later read goes to TLS. It is not TLS, so the handshake fails.
    @Test(arguments: [10, 5, 1])
    func laterPlaintextAfterStartTLSEndsTheConnection(readSize: Int) async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        let client = try await fixture.greeted()
        await client.onWire { $0.readSize = readSize }
        #expect(try await client.say("STARTTLS") == "220 2.0.0 Ready to start TLS")
        await client.onWire { $0.readSize = .max }
        await client.send("EHLO injected\r\nAUTH PLAIN AGFwaWtleQBndWVzcw==\r\n")
        #expect(client.isClosed)
        let rest = try await client.pending()
        #expect(!rest.contains("250") && !rest.contains("535"))
        #expect(fixture.openConnections == 0)
        let failure = try #require(fixture.logs.entries("connection failed").first)
        #expect(failure.level == .info)
        #expect(failure.metadata["error"]?.hasPrefix("handshake failed") == true)
    }

    /// The STARTTLS line and the plaintext after it arrive in two reads, cut at each octet.
    @Test(arguments: 0...25)
    func plaintextAfterStartTLSIsNeverACommandHoweverSplit(cut: Int) async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        let client = try await fixture.greeted()
        let whole = Array("STARTTLS\r\nEHLO injected\r\nMAIL FROM:<injected@example.com>\r\n".utf8)
        await client.send(ByteBuffer(bytes: whole.prefix(cut)))
        await client.send(ByteBuffer(bytes: whole.dropFirst(cut)))
        #expect(client.isClosed)
        let replies = try await client.pending()
        #expect(!replies.contains("250") && !replies.contains("530") && !replies.contains("503"))
        #expect(fixture.openConnections == 0)
    }

    @Test func authenticationNeedsTLS() async throws {
        let fixture = try ServerFixture(plaintext: false, tls: testTLS())
        let client = try await fixture.greeted()
        #expect(try await client.authenticate(fixture.key).hasPrefix("538 5.7.11 "))
        let encrypted = try await fixture.connect(implicitTLS: true)
        #expect(try await encrypted.pending() == "")
        await encrypted.completeHandshake()
        #expect(try await encrypted.reply().hasPrefix("220 "))
        try await encrypted.say("EHLO client.example")
        #expect(try await encrypted.authenticate(fixture.key).hasPrefix("235 "))
        #expect(try await encrypted.sendMessage().hasPrefix("250 "))
    }
}

/// The client sends `close_notify`. The relay still processes the input before it and writes the replies that are due.
/// Then the connection ends.
@Suite(.timeLimit(.minutes(1))) struct CloseNotifyTests {
    @Test func idleConnectionEndsSilentlyOnCloseNotify() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await client.sendLast("")
        #expect(try await client.remainingReplies() == [])
        #expect(fixture.openConnections == 0)
    }

    @Test func commandsBeforeCloseNotifyAreAnswered() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        await client.sendLast("NOOP\r\nQUIT\r\n")
        #expect(try await client.remainingReplies() == ["250 2.0.0 Ok", "221 2.0.0 Bye"])
        let other = try await fixture.signedIn()
        await other.sendLast("NOOP\r\nMAIL FROM:<from@example.com>\r\nRCPT")
        #expect(try await other.remainingReplies() == ["250 2.0.0 Ok", "250 2.1.0 Ok"])
    }

    @Test(arguments: [100, 300_000])
    func messageCompletedBeforeCloseNotifyIsAccepted(size: Int) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        await client.sendLast(Client.content(size) + ".\r\nQUIT\r\n")
        let replies = try await client.remainingReplies()
        #expect(replies.count == 2)
        #expect(replies.first?.hasPrefix("250 2.0.0 Ok: queued as ") == true)
        #expect(fixture.store.accepted.count == 1)
    }

    @Test(arguments: [100, 300_000])
    func messageCutOffByCloseNotifyIsNotAccepted(size: Int) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        await client.sendLast(Client.content(size))
        #expect(try await client.remainingReplies() == [])
        #expect(fixture.store.accepted.isEmpty)
        await eventually { fixture.store.files.isEmpty }
    }

    @Test func pendingReplyIsSentAfterCloseNotify() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.greeted()
        fixture.store.lookUps.close()
        await client.send(Client.plain(fixture.key.revealed) + "\r\n")
        await fixture.store.lookUps.arrival()
        await client.sendLast("")
        #expect(!client.isClosed)
        fixture.store.lookUps.open()
        #expect(try await client.remainingReplies() == ["235 2.7.0 Authentication successful"])
    }
}
