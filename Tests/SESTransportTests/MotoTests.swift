import AWSTestSupport
import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import RelayCore
import Testing

@testable import AWSClient
@testable import SESTransport

/// Tests with moto, an independent implementation of SES.
@Suite struct MotoTests {
    /// The script prints its port when the server is ready. It ends when its input ends, so that it can't outlive the
    /// tests.
    private static let script = """
        import sys
        from moto.server import ThreadedMotoServer
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        print(server.get_host_and_port()[1], flush=True)
        sys.stdin.read()
        server.stop()
        """

    @Test func motoAcceptsWhatTheTransportSends() async throws {
        let moto = try Python(MotoTests.script)
        guard let port = try await moto.line() else {
            try await moto.end()
            Issue.record("this test needs moto's SES server: python3 -m pip install 'moto[server]'")
            return
        }
        let url = "http://127.0.0.1:\(port)"
        let transport = SESTransport(
            configuration: try SESConfiguration(region: "eu-west-1", endpoint: url),
            credentials: StaticCredentials(try .example()), clock: SystemClock(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await exchange(transport, url)
        } catch {
            Issue.record(error)
        }
        await transport.shutdown()
        try await moto.end()
    }

    private func exchange(_ transport: SESTransport, _ url: String) async throws {
        let message = Array(
            "From: Ann <ann@example.com>\r\nSubject: Gr\u{FC}\u{DF}e\r\n\r\n\u{4E16}\u{754C}\r\n.\r\n".utf8)
        let recipients = ["bob@example.org", "carol@example.net"]
        let delivery = try ClaimedDelivery.example(to: recipients)

        let refused = await transport.send(delivery, body: MemoryBody(message))
        #expect(AnswerTests.Verdict(refused) == .failed)
        #expect(refused.cause?.word == "MessageRejected")
        #expect(await transport.quota() == nil)

        var creation = HTTPRequest(url: url + "/v2/email/identities")
        creation.method = .POST
        // Moto reads only the region from the Authorization field. It does not check the signature.
        creation.headers.add(
            name: "Authorization",
            value:
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/ses/aws4_request, SignedHeaders=host, Signature=0"
        )
        creation.body = .string(#"{"EmailIdentity":"example.com"}"#)
        #expect(try await ask(creation).status == 200)

        let outcome = await transport.send(delivery, body: MemoryBody(message))
        guard case .sent(let id, nil) = outcome else {
            Issue.record("not sent: \(outcome)")
            return
        }
        let record = try #require(try await records(url).first { $0.id == id })
        #expect(Array(record.raw_data.utf8) == message)
        #expect(record.destinations == recipients)
        #expect(record.source == "ann@example.com")
    }

    private struct Record: Decodable {
        var id: String
        var raw_data: String
        var destinations: [String]
        var source: String
    }

    private func records(_ url: String) async throws -> [Record] {
        struct Document: Decodable {
            struct SES: Decodable { var RawMessage: [Record] }
            var ses: SES
        }
        let answer = try await ask(HTTPRequest(url: url + "/moto-api/data.json"))
        return try JSONDecoder().decode(Document.self, from: Data(answer.body)).ses.RawMessage
    }

    private func ask(_ request: HTTPRequest) async throws -> HTTPAnswer {
        try await HTTPClient.withHTTPClient { client in
            try await client.exchange(
                request, within: .seconds(30), limit: 16 << 20, deadlines: Deadlines(clock: SystemClock())
            ).get()
        }
    }
}
