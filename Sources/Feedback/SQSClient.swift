import AWSClient
import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import RelayCore
import StrictJSON

/// A message that was taken from a queue. It comes back unless it is deleted in time.
public struct SQSMessage: Hashable, Sendable {
    /// What it is deleted by.
    public var receipt: String
    public var body: ArraySlice<UInt8>

    public init(receipt: String, body: ArraySlice<UInt8>) {
        self.receipt = receipt
        self.body = body
    }
}

/// How a queue stands (GetQueueAttributes).
public struct SQSQueueState: Hashable, Sendable {
    /// Messages that wait, about.
    public var waiting: Int?
    /// Messages that somebody has taken and not deleted, about.
    public var inFlight: Int?
    /// For how long a message is kept.
    public var retention: Duration?
    /// Whether messages that are taken too often go to another queue.
    public var hasDeadLetterQueue: Bool

    public init(waiting: Int?, inFlight: Int?, retention: Duration?, hasDeadLetterQueue: Bool) {
        self.waiting = waiting
        self.inFlight = inFlight
        self.retention = retention
        self.hasDeadLetterQueue = hasDeadLetterQueue
    }
}

/// A queue to take messages from.
public protocol MessageQueue: Sendable {
    /// Takes at most `limit` messages (1 to 10), and waits for the first for as long as SQS does. Ends at once when the task is
    /// cancelled.
    func receive(limit: Int) async throws(SQSFailure) -> [SQSMessage]
    /// Deletes at most 10 messages. Returns how many could not be: they come again.
    func delete(_ receipts: [String]) async throws(SQSFailure) -> Int
}

/// SQS over its JSON protocol ("Making Query API requests using AWS JSON protocol").
public final class SQSClient: MessageQueue {
    /// The raw values are the names of the operations.
    enum Operation: String {
        case receiveMessage = "ReceiveMessage"
        case deleteMessageBatch = "DeleteMessageBatch"
        case getQueueAttributes = "GetQueueAttributes"

        /// What IAM calls it.
        var permission: String { self == .deleteMessageBatch ? "DeleteMessage" : rawValue }
    }

    public let queue: SQSQueue
    private let credentials: any CredentialsProvider
    private let clock: any RelayClock
    private let logger: Logger
    private let client: HTTPClient
    private let deadlines: Deadlines
    private let requestTimeout: Duration

    /// The longest that SQS waits.
    static let longPoll = 20
    /// SQS gives and takes so many at once.
    public static let batch = 10
    /// One message of SQS has 1 MiB at most, of which each octet may be an escape of six; ten from SNS, of 256 KiB with their quotes
    /// escaped, have less.
    static let answerLimit = 8 << 20

    public init(
        queue: SQSQueue, credentials: any CredentialsProvider, connections: Int,
        requestTimeout: Duration = .seconds(10),
        clock: any RelayClock, logger: Logger
    ) {
        self.queue = queue
        self.credentials = credentials
        self.clock = clock
        self.logger = logger
        self.requestTimeout = requestTimeout
        deadlines = Deadlines(clock: clock)
        client = HTTPClient(
            eventLoopGroupProvider: .shared(HTTPClient.defaultEventLoopGroup.next()),
            configuration: .aws(connectTimeout: .seconds(5), connections: connections))
    }

    /// Ends what runs and closes the connections. Must be called once, before the client is given up.
    public func shutdown() async {
        do {
            try await client.shutdown()
        } catch {
            logger.warning("the connections to SQS could not be closed", metadata: ["error": "\(error)"])
        }
    }

    public func receive(limit: Int) async throws(SQSFailure) -> [SQSMessage] {
        let body = try await call(
            .receiveMessage,
            [
                "QueueUrl": JSON(queue.url), "MaxNumberOfMessages": JSON(limit),
                "WaitTimeSeconds": JSON(SQSClient.longPoll),
            ], within: requestTimeout + .seconds(SQSClient.longPoll))
        guard case .object(let document)? = try? JSON(reading: body) else { throw SQSClient.foreign }
        // Left out where there are none.
        return document["Messages"].elements.compactMap { message in
            guard case .object(let message) = message, let receipt = message["ReceiptHandle"]?.string else {
                return nil
            }
            // An empty body is none of SNS's; it is told as such.
            guard case .string(let text)? = message["Body"] else { return SQSMessage(receipt: receipt, body: []) }
            return SQSMessage(receipt: receipt, body: text.utf8)
        }
    }

    public func delete(_ receipts: [String]) async throws(SQSFailure) -> Int {
        let entries = receipts.enumerated().map { index, receipt -> JSON in
            ["Id": JSON("\(index)"), "ReceiptHandle": JSON(receipt)]
        }
        let body = try await call(
            .deleteMessageBatch, ["QueueUrl": JSON(queue.url), "Entries": .array(entries)], within: requestTimeout)
        guard case .object(let document)? = try? JSON(reading: body) else { throw SQSClient.foreign }
        return document["Failed"].elements.count
    }

    /// How the queue stands: what an operator's tool asks.
    public func state() async throws(SQSFailure) -> SQSQueueState {
        let names: JSON = [
            "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod",
            "RedrivePolicy",
        ]
        let body = try await call(
            .getQueueAttributes, ["QueueUrl": JSON(queue.url), "AttributeNames": names], within: requestTimeout)
        guard case .object(let document)? = try? JSON(reading: body), case .object(let found)? = document["Attributes"]
        else { throw SQSClient.foreign }
        let number = { (name: String) in found[name]?.string.flatMap { Int($0) } }
        return SQSQueueState(
            waiting: number("ApproximateNumberOfMessages"),
            inFlight: number("ApproximateNumberOfMessagesNotVisible"),
            retention: number("MessageRetentionPeriod").map { .seconds($0) },
            hasDeadLetterQueue: found["RedrivePolicy"]?.string != nil)
    }

    private static let foreign = SQSFailure(
        .unexpected,
        "what answers at the queue's place is not SQS; check feedback.queue_url and feedback.endpoint, and proxies on the way"
    )

    /// The body of an answer with success.
    private func call(
        _ operation: Operation, _ input: JSON, within time: Duration
    ) async throws(SQSFailure) -> [UInt8] {
        let body = input.bytes
        let hash = SigV4.hash(of: body)
        let result: Result<[UInt8], SQSFailure>
        do throws(CredentialsError) {
            result = try await credentials.signing { credentials in
                await self.call(operation, body, hash, within: time, credentials)
            } refusesCredentials: { result in
                if case .failure(let failure) = result { failure.refusesCredentials } else { false }
            }
        } catch {
            throw Task.isCancelled ? SQSFailure(.cancelled, "the relay was stopped") : SQSFailure.unsigned(error)
        }
        return try result.get()
    }

    private func call(
        _ operation: Operation, _ body: [UInt8], _ hash: String, within time: Duration, _ credentials: AWSCredentials
    ) async -> Result<[UInt8], SQSFailure> {
        var request = HTTPRequest(
            .POST, "/", at: queue.endpoint,
            fields: [
                (name: "Content-Type", value: "application/x-amz-json-1.0"),
                (name: "X-Amz-Target", value: "AmazonSQS.\(operation.rawValue)"),
            ], payloadHash: hash, with: credentials, region: queue.region, service: "sqs", time: clock.now())
        request.body = .bytes(body)
        switch await client.exchange(request, within: time, limit: SQSClient.answerLimit, deadlines: deadlines) {
        case .success(let answer) where answer.status == 200: return .success(answer.body)
        case .success(let answer):
            return .failure(SQSFailure(answer, operation: operation, withholding: credentials.secrets))
        case .failure(let failure): return .failure(SQSFailure(failure, host: queue.endpoint.host))
        }
    }
}
