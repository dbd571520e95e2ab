import AWSTestSupport
import Foundation
import Hashing
import Logging
import NIOCore
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import AWSClient
@testable import SESTransport

/// Gives the same credentials until they are refused, then the next ones.
private actor Rotating: CredentialsProvider {
    private var sets: [AWSCredentials]

    init(_ sets: [AWSCredentials]) { self.sets = sets }

    func credentials() throws(CredentialsError) -> AWSCredentials {
        guard let first = sets.first else { throw CredentialsError("no AWS credentials anywhere") }
        return first
    }

    func refused(_ credentials: AWSCredentials) {
        if sets.count > 1 { sets.removeFirst() }
    }
}

/// A body that can be read but must not be sent, because it was withdrawn.
private struct WithdrawnBody: StoredBody {
    let size: Int
    var mayBeSent: Bool { false }

    func read(at offset: Int, count: Int) async -> [UInt8] { [UInt8](repeating: 120, count: min(count, size - offset)) }
}

/// A body whose second reading waits for a gate: the request has begun and does not end.
private final class GatedBody: StoredBody {
    let size: Int
    private let read = Mutex(0)
    let reached = Gate()
    let gate = Gate()

    init(size: Int) { self.size = size }

    func read(at offset: Int, count: Int) async -> [UInt8] {
        let before = read.withLock { read in
            defer { read += count }
            return read
        }
        if before > size {
            await reached.open()
            await gate.passed()
        }
        return [UInt8](repeating: 0x61, count: count)
    }
}

@Suite struct SESTransportTests {
    private let clock = ManualClock.forCalls()

    private func withTransport<Result>(
        to url: String, set: String? = nil, credentials: (any CredentialsProvider)? = nil,
        _ body: (SESTransport) async throws -> Result
    ) async throws -> Result {
        let configuration = try SESConfiguration(
            region: "eu-west-1", endpoint: url, configurationSet: set, concurrency: 4)
        let transport = SESTransport(
            configuration: configuration, credentials: try credentials ?? StaticCredentials(.example(token: "session")),
            clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do {
            let result = try await body(transport)
            await transport.shutdown()
            return result
        } catch {
            await transport.shutdown()
            throw error
        }
    }

    /// Sends one small message to a server that reacts with `whole`. Returns the outcome. `passing` is the time that
    /// passes after the server has received the request.
    private func outcome(
        passing time: Duration? = nil, _ whole: @escaping @Sendable (Received, Int) -> Reaction
    ) async throws -> DeliveryOutcome {
        try await StandIn.with(whole: whole) { server in
            try await withTransport(to: server.url) { transport in
                async let outcome = transport.send(try .example(), body: MemoryBody(noise(2000)))
                if let time {
                    await server.received(1)
                    clock.advance(time)
                }
                return try await outcome
            }
        }
    }

    private func expectSigned(_ request: Received, token: String? = "session") throws {
        var signed = SigV4.Request(
            method: request.method, host: try #require(request.header("Host")), path: request.path,
            payloadHash: SHA256.digest(of: request.body).hexadecimal)
        if let type = request.header("Content-Type") { signed.headers = [(name: "Content-Type", value: type)] }
        let expected = SigV4.headers(
            signing: signed, with: try .example(token: token), region: "eu-west-1", service: "ses", at: clock.now())
        for field in expected { #expect(request.header(field.name) == field.value) }
    }

    private func raw(_ request: Received) throws -> Data {
        struct Document: Decodable {
            struct Content: Decodable { var Raw: Raw }
            struct Raw: Decodable { var Data: String }
            var Content: Content
        }
        let document = try JSONDecoder().decode(Document.self, from: Data(request.body))
        return try #require(Data(base64Encoded: document.Content.Raw.Data))
    }

    @Test func sendsTheStoredBytesSigned() async throws {
        try await StandIn.with(whole: { _, _ in .taken("0100-one") }) { server in
            let body = MemoryBody(Array("From: ä\r\n\r\n".utf8) + noise(1000))
            let outcome = try await withTransport(to: server.url, set: "set") { transport in
                await transport.send(try .example(to: ["ann@example.org", "bob@example.net"]), body: body)
            }
            #expect(outcome == .sent(sesMessageID: "0100-one"))
            let request = try #require(server.requests.first)
            #expect(server.requests.count == 1)
            #expect(request.method == "POST")
            #expect(request.path == "/v2/email/outbound-emails")
            #expect(request.header("Host") == "127.0.0.1:\(server.port)")
            #expect(request.header("Content-Type") == "application/json")
            #expect(request.header("Content-Length") == "\(request.body.count)")
            #expect(request.header("Transfer-Encoding") == nil)
            try expectSigned(request)
            #expect(try raw(request) == Data(body.bytes))
            let text = String(decoding: request.body, as: UTF8.self)
            #expect(text.contains(#""ToAddresses":["ann@example.org","bob@example.net"]"#))
            #expect(text.contains(#""FeedbackForwardingEmailAddress":"bounces@example.com""#))
            #expect(text.contains(#""ConfigurationSetName":"set""#))
        }
    }

    private func feedback(_ request: Received) throws -> String? {
        let document = try JSONSerialization.jsonObject(with: Data(request.body)) as? [String: Any]
        return document?["FeedbackForwardingEmailAddress"] as? String
    }

    private static func notVerified(_ identities: String) -> Reaction {
        .refusal(
            400, "MessageRejected",
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: \(identities)"
        )
    }

    private func note(_ outcome: DeliveryOutcome) -> String? {
        if case .sent(_, let note) = outcome { note } else { nil }
    }

    /// Sends a message from this sender to an SES that has not verified these identities. Returns the feedback address
    /// of each call, and the outcome.
    private func calls(
        from sender: String?, unverified: [String]
    ) async throws -> (feedback: [String?], outcome: DeliveryOutcome) {
        try await StandIn.with(whole: { request, _ in
            let text = String(decoding: request.body, as: UTF8.self)
            let named = unverified.filter { $0.hasPrefix("From") || text.contains(":\"\($0)\"") }
            return named.isEmpty ? .taken() : Self.notVerified(named.joined(separator: ", "))
        }) { server in
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(from: sender), body: MemoryBody(noise(10)))
            }
            return (try server.requests.map { try feedback($0) }, outcome)
        }
    }

    /// A sender whose domain can't be in the public DNS is never tried as a feedback address.
    @Test(arguments: [
        "www-data@web01", "root@[192.0.2.7]", "root@[IPv6:2001:db8::1]", "cron@nas.local", "cron@NAS.LAN",
        "a@b.home.arpa",
    ])
    func aSenderThatCanBeNoIdentityIsLeftOut(_ sender: String) async throws {
        let (feedback, outcome) = try await calls(from: sender, unverified: [sender])
        #expect(feedback == [nil])
        let note = try #require(self.note(outcome))
        #expect(note.contains(sender) && note.contains("Return-Path") && !note.contains("ses.region"))
    }

    @Test(arguments: ["a@shop.example", nil]) func envelopeSenderIsPassedToSES(_ sender: String?) async throws {
        let (feedback, outcome) = try await calls(from: sender, unverified: [])
        #expect(feedback == [sender])
        #expect(outcome == .sent(sesMessageID: "0100-example"))
    }

    @Test func unverifiedSenderIsOmittedOnAnImmediateRetry() async throws {
        let (feedback, outcome) = try await calls(from: "a@other.example", unverified: ["a@other.example"])
        #expect(feedback == ["a@other.example", nil])
        let note = try #require(self.note(outcome))
        #expect(note.contains("a@other.example") && note.contains("ses.region"))
    }

    /// SES refuses the message because of its From field. Leaving out the sender does not help.
    @Test func unverifiedFromAddressFails() async throws {
        let (feedback, outcome) = try await calls(from: "a@shop.example", unverified: ["From <x@shop.example>"])
        #expect(feedback == ["a@shop.example"])
        #expect(outcome.cause?.explanation.contains("ses.region") == true)
        let both = try await calls(from: "a@b.example", unverified: ["a@b.example", "From <x@shop.example>"])
        #expect(both.feedback == ["a@b.example", nil])
        #expect(both.outcome.cause?.explanation.contains("a@b.example") == false)
        let hopeless = try await calls(from: nil, unverified: ["From <root@web01>"])
        // The explanation has the address twice: in the relay's words, and in the words of SES, which it quotes.
        let explanation = try #require(hopeless.outcome.cause?.explanation)
        #expect(explanation.ranges(of: "root@web01").count == 2 && !explanation.contains("ses.region"))
    }

    /// If SES does not name the identity that it refuses, the relay tries the message again without the sender.
    @Test func refusalNamingNoAddressIsRetriedWithoutTheSender() async throws {
        try await StandIn.with(whole: { _, count in
            count == 1 ? .refusal(400, "MessageRejected", "Email address is not verified.") : .taken()
        }) { server in
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(from: "a@b.example"), body: MemoryBody(noise(10)))
            }
            #expect(note(outcome) != nil && server.requests.count == 2)
        }
    }

    @Test func refusedSenderIsOmittedForAnHour() async throws {
        try await StandIn.with(whole: { request, _ in
            String(decoding: request.body, as: UTF8.self).contains("a@b.example")
                ? Self.notVerified("a@b.example") : .taken()
        }) { server in
            try await withTransport(to: server.url) { transport in
                func calls(_ sender: String) async throws -> Int {
                    let before = server.requests.count
                    _ = await transport.send(try .example(from: sender), body: MemoryBody(noise(10)))
                    return server.requests.count - before
                }
                var made: [Int] = []
                for sender in ["a@b.example", "a@b.example", "c@b.example"] { made.append(try await calls(sender)) }
                clock.advance(.seconds(3601))
                made.append(try await calls("a@b.example"))
                #expect(made == [2, 1, 1, 2])
            }
        }
    }

    @Test func refusedSendersAreBounded() {
        let start = MonotonicTime(seconds: 7)
        var refused = RefusedSenders()
        for number in 0..<(2 * RefusedSenders.limit) { refused.insert("a\(number)@b.example", at: start) }
        let known = (0..<(2 * RefusedSenders.limit)).count {
            refused.contains("a\($0)@b.example", at: start + .seconds(1))
        }
        #expect(known == RefusedSenders.limit)
        #expect(refused.contains("a\(2 * RefusedSenders.limit - 1)@b.example", at: start + .seconds(3599)))
        #expect(!refused.contains("a\(2 * RefusedSenders.limit - 1)@b.example", at: start + .seconds(3600)))
    }

    @Test(
        arguments: [
            ("a@b.example", ["a@b.example"]), ("a@b.example, c.example.", ["a@b.example", "c.example"]),
            ("Ann <a@b.example>,  c@d.example", ["Ann <a@b.example>", "c@d.example"]), ("", nil), ("a@b.ex…", nil),
        ] as [(String, [String]?)])
    func namesOfARefusal(_ list: String, _ expected: [String]?) {
        let answer = SESAnswer(
            status: 400, errorName: "MessageRejected",
            message:
                "Email address is not verified. The following identities failed the check in region EU-WEST-1: \(list)")
        #expect(answer.unverifiedIdentities == expected)
    }

    @Test(arguments: [
        ("a@b.example", true), ("A@B.example", true), ("b.example", true), ("Ann <a@b.example>", true),
        ("arn:aws:ses:eu-west-1:1:identity/b.example", true), ("x@b.example", false), ("aa@b.example", false),
        ("other.example", false),
    ])
    func whomARefusalMeans(_ identity: String, _ isMeant: Bool) {
        let answer = SESAnswer(
            status: 400, errorName: "MessageRejected",
            message: "Email address is not verified. The following identities failed the check in region X: \(identity)"
        )
        #expect(answer.mayRefuse("a@b.example") == isMeant)
    }

    @Test func streamsALargeBodyInPieces() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            let body = MemoryBody(noise(25 << 20))
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(from: nil), body: body)
            }
            #expect(outcome == .sent(sesMessageID: "0100-example"))
            let request = try #require(server.requests.first)
            #expect(request.header("Content-Length") == "\(request.body.count)")
            #expect(request.header("Transfer-Encoding") == nil)
            try expectSigned(request)
            #expect(try raw(request) == Data(body.bytes))
            let reads = body.readsSoFar
            #expect(reads.allSatisfy { $0.count <= SendEmailPayload.pieceSize })
            #expect(reads.map(\.count).reduce(0, +) == 2 * body.size)
        }
    }

    @Test func reusesAConnection() async throws {
        try await StandIn.with(whole: { _, n in .taken("id-\(n)") }) { server in
            try await withTransport(to: server.url) { transport in
                for n in 1...5 {
                    let outcome = await transport.send(try .example(), body: MemoryBody(noise(n)))
                    #expect(outcome == .sent(sesMessageID: "id-\(n)"))
                }
            }
        }
    }

    @Test func distinguishesThrottlingFromRefusal() async throws {
        let throttled = try await outcome { _, _ in
            .refusal(
                429, "TooManyRequestsException:http://internal.amazon.com/coral/", "Maximum sending rate exceeded.")
        }
        #expect(AnswerTests.Verdict(throttled) == .throttled)
        let refused = try await outcome { _, _ in .refusal(400, "MessageRejected", "Email address is not verified.") }
        #expect(AnswerTests.Verdict(refused) == .failed)
        let quota = try await outcome { _, _ in
            .answer(400, [:], #"{"__type":"x#LimitExceededException","message":"Daily message quota exceeded."}"#)
        }
        #expect(AnswerTests.Verdict(quota) == .held(alert: false))
    }

    @Test func followsNoRedirect() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { elsewhere in
            let url = elsewhere.url
            for status in [303, 307] {
                let outcome = try await outcome { _, _ in .answer(status, ["Location": url]) }
                #expect(AnswerTests.Verdict(outcome) == .again)
            }
            #expect(elsewhere.requests.isEmpty)
        }
    }

    @Test func outcomeIsUnknownAfterAServerErrorOrABrokenAnswer() async throws {
        for reaction in [
            Reaction.answer(500), .answer(503, [:], "<html>"), .answer(200, [:], "{"), .answer(200, [:], ""),
        ] {
            let outcome = try await outcome { _, _ in reaction }
            #expect(AnswerTests.Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: true))
        }
    }

    @Test func outcomeIsUnknownAfterATimeout() async throws {
        for reaction in [Reaction.silence, .headOnly(200)] {
            let outcome = try await outcome(passing: .seconds(60)) { _, _ in reaction }
            #expect(AnswerTests.Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: true))
            #expect(outcome.cause?.word == "timeout")
        }
    }

    @Test func outcomeIsUnknownWhenTheConnectionEndsAfterTheRequest() async throws {
        let outcome = try await outcome { _, _ in .cut }
        #expect(AnswerTests.Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: true))
        #expect(outcome.cause?.word == "connection-lost")
    }

    @Test func connectionLostDuringTheRequestIsKnownUnsent() async throws {
        try await StandIn.with(atHead: { _ in .cut }, whole: { _, _ in .taken() }) { server in
            let body = GatedBody(size: 2 << 20)
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(), body: body)
            }
            await body.gate.open()
            #expect(AnswerTests.Verdict(outcome) == .again)
            #expect(outcome.cause?.word == "connection-lost")
        }
    }

    @Test(arguments: [9, 3 << 20]) func sendsNothingOfAMessageThatWasWithdrawn(size: Int) async throws {
        let requests = Mutex(0)
        try await StandIn.with(
            whole: { _, _ in
                requests.withLock { $0 += 1 }
                return .taken()
            }
        ) { server in
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(), body: WithdrawnBody(size: size))
            }
            #expect(AnswerTests.Verdict(outcome) == .again)
            #expect(outcome.cause?.word == "body-unreadable")
        }
        #expect(requests.withLock { $0 } == 0)
    }

    @Test func refusalBeforeTheBodyIsSentCounts() async throws {
        let early: @Sendable (Received) -> Reaction? = { _ in .refusal(400, "BadRequestException", "too large") }
        try await StandIn.with(atHead: early, whole: { _, _ in .taken() }) { server in
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(), body: MemoryBody(noise(3 << 20)))
            }
            #expect(AnswerTests.Verdict(outcome) == .failed)
        }
    }

    @Test func knowsThatNothingWasSentWithoutAConnection() async throws {
        let port = try RefusingPort()
        let refused = try await withTransport(to: "http://127.0.0.1:\(port.number)") { transport in
            await transport.send(try .example(), body: MemoryBody(noise(9)))
        }
        #expect(AnswerTests.Verdict(refused) == .again)
        #expect(refused.cause?.word == "connection-failed")
        #expect(refused.cause?.explanation.mentions("SES", "Connection refused") == true)
    }

    @Test func errorNamesTheFailureOfEachHostAddress() async throws {
        let port = try RefusingPort()
        let refused = try await withTransport(to: "http://localhost:\(port.number)") { transport in
            await transport.send(try .example(), body: MemoryBody(noise(9)))
        }
        let explanation = try #require(refused.cause?.explanation)
        #expect(explanation.mentions("127.0.0.1", "Connection refused"))
        #expect(!explanation.contains("errno") && !explanation.contains("reset"), "\(explanation)")
    }

    @Test func knowsThatNothingWasSentWithoutAHandshake() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            // The server does not support TLS.
            let outcome = try await withTransport(to: "https://127.0.0.1:\(server.port)") { transport in
                await transport.send(try .example(), body: MemoryBody(noise(9)))
            }
            #expect(AnswerTests.Verdict(outcome) == .again)
            #expect(outcome.cause?.word == "connection-failed")
            #expect(outcome.cause?.explanation.mentions("SES", "TLS", "WRONG_VERSION_NUMBER") == true)
            #expect(server.requests.isEmpty)
        }
    }

    @Test func unreadableBodyIsReported() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            try await withTransport(to: server.url) { transport in
                for body in [MemoryBody(noise(900), failsAt: 500), MemoryBody(noise(900), claiming: 1000)] {
                    let outcome = await transport.send(try .example(), body: body)
                    #expect(AnswerTests.Verdict(outcome) == .again)
                    #expect(outcome.cause?.word == "body-unreadable")
                }
            }
            #expect(server.requests.isEmpty)
        }
    }

    @Test func holdsTheLaneWithoutCredentials() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            let outcome = try await withTransport(to: server.url, credentials: Rotating([])) { transport in
                #expect(await transport.quota() == nil)
                return await transport.send(try .example(), body: MemoryBody(noise(9)))
            }
            #expect(AnswerTests.Verdict(outcome) == .held(alert: true))
            #expect(outcome.cause == DeliveryOutcome.Cause("no-credentials", "no AWS credentials anywhere"))
            #expect(server.requests.isEmpty)
        }
    }

    @Test func triesOnceMoreWithRotatedCredentials() async throws {
        let rotating = Rotating([try .example("AKIAOLD"), try .example("AKIANEW")])
        let answer: @Sendable (Received, Int) -> Reaction = { request, _ in
            request.header("Authorization")?.contains("AKIANEW") == true
                ? .taken() : .refusal(403, "UnrecognizedClientException")
        }
        try await StandIn.with(whole: answer) { server in
            let outcome = try await withTransport(to: server.url, credentials: rotating) { transport in
                await transport.send(try .example(), body: MemoryBody(noise(1 << 20)))
            }
            #expect(outcome == .sent(sesMessageID: "0100-example"))
            #expect(server.requests.count == 2)
        }
    }

    @Test func doesNotTryAgainWithTheSameCredentials() async throws {
        try await StandIn.with(whole: { _, _ in .refusal(403, "ExpiredTokenException") }) { server in
            let outcome = try await withTransport(to: server.url) { transport in
                await transport.send(try .example(), body: MemoryBody(noise(9)))
            }
            #expect(AnswerTests.Verdict(outcome) == .held(alert: true))
            #expect(server.requests.count == 1)
        }
    }

    @Test func repeatsNoSecret() async throws {
        let outcome = try await outcome { request, _ in
            .refusal(400, "BadRequestException", "you sent \(request.header("X-Amz-Security-Token") ?? "nothing")")
        }
        #expect(outcome.cause?.explanation.contains("you sent [withheld]") == true)
    }

    @Test func sendCancelledAfterTheRequestHasUnknownOutcome() async throws {
        try await StandIn.with(whole: { _, _ in .silence }) { server in
            try await withTransport(to: server.url) { transport in
                let sending = Task { await transport.send(try .example(), body: MemoryBody(noise(9))) }
                await server.received(1)
                sending.cancel()
                let outcome = try await sending.value
                #expect(AnswerTests.Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: true))
                #expect(outcome.cause?.word == "interrupted")
            }
        }
    }

    @Test func sendCancelledDuringTheRequestIsKnownUnsent() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            try await withTransport(to: server.url) { transport in
                let body = GatedBody(size: 2 << 20)
                let sending = Task { await transport.send(try .example(), body: body) }
                await body.reached.passed()
                sending.cancel()
                let outcome = try await sending.value
                await body.gate.open()
                #expect(AnswerTests.Verdict(outcome) == .again)
                #expect(outcome.cause?.word == "interrupted")
            }
        }
    }

    @Test func sendCancelledBeforeItStartsMakesNoRequest() async throws {
        try await StandIn.with(whole: { _, _ in .taken() }) { server in
            try await withTransport(to: server.url) { transport in
                let sending = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return await transport.send(try .example(), body: MemoryBody(noise(9)))
                }
                let outcome = try await sending.value
                #expect(AnswerTests.Verdict(outcome) == .again)
                #expect(server.requests.isEmpty)
            }
        }
    }

    @Test func shutdownEndsRunningSends() async throws {
        try await StandIn.with(whole: { _, _ in .silence }) { server in
            let sending = try await withTransport(to: server.url) { transport in
                let sending = Task { await transport.send(try .example(), body: MemoryBody(noise(9))) }
                await server.received(1)
                return sending
            }
            let outcome = try await sending.value
            #expect(AnswerTests.Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: true))
        }
    }
}

@Suite struct QuotaTests {
    private func quota(_ reaction: Reaction, passing time: Duration? = nil) async throws -> SendQuota? {
        try await StandIn.with(whole: { _, _ in reaction }) { server in
            let clock = ManualClock.forCalls()
            let transport = SESTransport(
                configuration: try SESConfiguration(region: "eu-west-1", endpoint: server.url),
                credentials: StaticCredentials(try .example()), clock: clock,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            async let answer = transport.quota()
            if let time {
                await server.received(1)
                clock.advance(time)
            }
            let quota = await answer
            await transport.shutdown()
            #expect(server.requests.map(\.method) == ["GET"])
            #expect(server.requests.map(\.path) == ["/v2/email/account"])
            return quota
        }
    }

    @Test(
        arguments: [
            (
                #"{"SendQuota":{"Max24HourSend":50000.0,"MaxSendRate":14.0,"SentLast24Hours":12.0},"SendingEnabled":true}"#,
                SendQuota(maximumRate: 14, maximum24Hours: 50000, sentLast24Hours: 12)
            ),
            (
                #"{"SendQuota":{"Max24HourSend":-1,"MaxSendRate":500,"SentLast24Hours":1e6}}"#,
                SendQuota(maximumRate: 500, maximum24Hours: nil, sentLast24Hours: 1e6)
            ),
            (#"{"SendQuota":{"MaxSendRate":1}}"#, SendQuota(maximumRate: 1, maximum24Hours: nil, sentLast24Hours: 0)),
            (#"{"SendQuota":{"MaxSendRate":0,"Max24HourSend":200}}"#, nil),
            (#"{"SendQuota":{}}"#, nil), ("{}", nil), ("", nil), ("[1]", nil),
        ] as [(String, SendQuota?)])
    func isReadFromTheAccount(body: String, expected: SendQuota?) async throws {
        #expect(try await quota(.answer(200, [:], body)) == expected)
    }

    @Test func quotaIsNilWhenSESDoesNotReportIt() async throws {
        for reaction in [
            Reaction.refusal(403, "AccessDeniedException"), .answer(404, [:], "<html>"), .answer(500), .cut,
            .refusal(429, "TooManyRequestsException"),
        ] {
            #expect(try await quota(reaction) == nil)
        }
        #expect(try await quota(.silence, passing: .seconds(60)) == nil)
    }
}
