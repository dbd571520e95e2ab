import AWSTestSupport
import Logging
import NIOHTTP1
import RelayCore
import StrictJSON
import TestSupport
import Testing

@testable import AWSClient
@testable import Feedback

@Suite struct SQSClientTests {
    private static let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"

    /// The result of a call, and the requests that it made.
    private func call<Value: Sendable>(
        _ reaction: Reaction, _ body: @Sendable (SQSClient) async throws(SQSFailure) -> Value
    ) async throws -> (Result<Value, SQSFailure>, [Received]) {
        let credentials = try #require(
            AWSCredentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "secret-example", sessionToken: "token-example")
        )
        return try await StandIn.with(whole: { _, _ in reaction }) { server in
            let client = SQSClient(
                queue: try SQSQueue(url: Self.url, region: "eu-west-1", endpoint: server.url),
                credentials: StaticCredentials(credentials), connections: 2, clock: SystemClock(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let result: Result<Value, SQSFailure>
            do throws(SQSFailure) { result = .success(try await body(client)) } catch { result = .failure(error) }
            await client.shutdown()
            return (result, server.requests)
        }
    }

    @Test func receivesMessages() async throws {
        let (result, requests) = try await call(
            .answer(
                200, [:],
                #"{"Messages":[{"MessageId":"1","ReceiptHandle":"r1","MD5OfBody":"x","Body":"{\"a\":1}"},{"ReceiptHandle":"r2"}]}"#
            )
        ) { client throws(SQSFailure) in try await client.receive(limit: 10) }
        #expect(
            try result.get() == [
                SQSMessage(receipt: "r1", body: Array(#"{"a":1}"#.utf8)[...]), SQSMessage(receipt: "r2", body: []),
            ])
        let request = try #require(requests.first)
        #expect(request.method == "POST" && request.path == "/")
        #expect(request.header("X-Amz-Target") == "AmazonSQS.ReceiveMessage")
        #expect(request.header("Content-Type") == "application/x-amz-json-1.0")
        #expect(request.header("Authorization")?.contains("/eu-west-1/sqs/aws4_request") == true)
        let document = try JSON(reading: request.body)
        #expect(document == ["QueueUrl": JSON(Self.url), "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20])
    }

    @Test func emptyQueueReturnsNoMessages() async throws {
        let (result, _) = try await call(.answer(200)) { client throws(SQSFailure) in
            try await client.receive(limit: 10)
        }
        #expect(try result.get().isEmpty)
    }

    @Test func deletesInBatches() async throws {
        let (result, requests) = try await call(
            .answer(200, [:], #"{"Successful":[{"Id":"0"}],"Failed":[{"Id":"1","SenderFault":true,"Code":"x"}]}"#)
        ) { client throws(SQSFailure) in try await client.delete(["r1", "r2"]) }
        #expect(try result.get() == 1)
        #expect(
            try JSON(reading: requests.first?.body ?? []) == [
                "QueueUrl": JSON(Self.url),
                "Entries": [
                    ["Id": "0", "ReceiptHandle": "r1"], ["Id": "1", "ReceiptHandle": "r2"],
                ],
            ])
    }

    @Test func readsQueueAttributes() async throws {
        let (result, _) = try await call(
            .answer(
                200, [:],
                #"{"Attributes":{"ApproximateNumberOfMessages":"7","ApproximateNumberOfMessagesNotVisible":"2","MessageRetentionPeriod":"1209600"}}"#
            )
        ) { client throws(SQSFailure) in try await client.state() }
        #expect(
            try result.get()
                == SQSQueueState(waiting: 7, inFlight: 2, retention: .seconds(1_209_600), hasDeadLetterQueue: false))
    }

    private static func refusal(_ status: Int, _ type: String, _ message: String = "no") -> Reaction {
        .answer(status, [:], #"{"__type":"com.amazonaws.sqs#\#(type)","message":"\#(message)"}"#)
    }

    /// The queue's answer, the kind of failure, and the words that the explanation contains.
    @Test(
        arguments: [
            (
                refusal(400, "QueueDoesNotExist"), .noQueue,
                ["QueueDoesNotExist", "feedback.queue_url", "feedback.region"]
            ),
            (
                refusal(400, "AccessDeniedException", "User is not authorized"), .denied,
                ["AccessDeniedException", "sqs:ReceiveMessage"]
            ),
            (refusal(403, "InvalidClientTokenId"), .credentials, ["InvalidClientTokenId", "renew"]),
            (refusal(403, "ExpiredToken"), .credentials, ["ExpiredToken", "renew"]),
            (
                refusal(403, "SignatureDoesNotMatch", "secret-example"), .credentials,
                ["SignatureDoesNotMatch", "access key id"]
            ),
            (refusal(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier"), .clock, ["timedatectl"]),
            (refusal(400, "RequestThrottled"), .throttled, ["RequestThrottled"]),
            (refusal(400, "OverLimit"), .throttled, ["OverLimit", "deleted"]),
            (refusal(500, "InternalFailure"), .unexpected, ["InternalFailure"]),
            (.answer(403, [:], "<html>"), .denied, ["403", "sqs:ReceiveMessage", "proxies"]),
            (.answer(404, [:], "<html>"), .unexpected, ["404", "feedback.queue_url"]),
            (.answer(301, ["Location": "http://192.0.2.1/"]), .unexpected, ["301", "feedback.queue_url"]),
            (.answer(200, [:], "<html>"), .unexpected, ["feedback.queue_url", "proxies"]),
            (.cut, .unreachable, ["feedback.queue_url", "feedback.endpoint"]),
        ] as [(Reaction, SQSFailure.Kind, [String])])
    func explainsWhatFails(reaction: Reaction, kind: SQSFailure.Kind, facts: [String]) async throws {
        let (result, _) = try await call(reaction) { client throws(SQSFailure) in try await client.receive(limit: 10) }
        guard case .failure(let failure) = result else {
            Issue.record("the call did not fail")
            return
        }
        #expect(failure.kind == kind)
        for fact in facts { #expect(failure.explanation.contains(fact), "\(failure.explanation)") }
        // An explanation contains one of these words only if the word is among its facts.
        for word in ["feedback.queue_url", "deleted", "proxies", "renew", "timedatectl"] {
            #expect(failure.explanation.contains(word) == facts.contains(word), "\(failure.explanation)")
        }
        #expect(!failure.explanation.contains("secret-example"))
    }

    /// A long poll may last 20 s. When the relay stops, it does not wait for the poll.
    @Test(.timeLimit(.minutes(1))) func cancellingTheTaskEndsALongPoll() async throws {
        try await StandIn.with(whole: { _, _ in .silence }) { server in
            let credentials = try #require(AWSCredentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "example"))
            let client = SQSClient(
                queue: try SQSQueue(url: Self.url, region: "eu-west-1", endpoint: server.url),
                credentials: StaticCredentials(credentials), connections: 1, clock: ManualClock(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let poll = Task { () -> SQSFailure? in
                do throws(SQSFailure) { _ = try await client.receive(limit: 10) } catch { return error }
                return nil
            }
            await server.received(1)
            poll.cancel()
            #expect(await poll.value?.kind == .cancelled)
            await client.shutdown()
        }
    }

    @Test(arguments: ["", "ftp://a/1/q", "https://a", "https://a/q", "https://u:p@a/1/q", "https://a/1/q?x=1"])
    func rejectsInvalidQueueURLs(url: String) {
        #expect(throws: SQSQueueError.self) { try SQSQueue(url: url, region: "eu-west-1") }
    }
}
