import AWSClient
import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import RelayCore
import StrictJSON

/// A message that was taken from a queue. It comes again unless it is deleted in time.
public struct SQSMessage: Hashable, Sendable {
    /// The handle for deleting the message.
    public var receipt: String
    /// The body of the message, as UTF-8.
    public var body: ArraySlice<UInt8>

    public init(receipt: String, body: ArraySlice<UInt8>) {
        self.receipt = receipt
        self.body = body
    }
}

/// The state of a queue (GetQueueAttributes).
public struct SQSQueueState: Hashable, Sendable {
    /// The approximate number of messages that wait.
    public var waiting: Int?
    /// The approximate number of messages that were received and not deleted.
    public var inFlight: Int?
    /// How long a message is kept.
    public var retention: Duration?
    /// Whether messages that were received too often are moved to another queue.
    public var hasDeadLetterQueue: Bool

    public init(waiting: Int?, inFlight: Int?, retention: Duration?, hasDeadLetterQueue: Bool) {
        self.waiting = waiting
        self.inFlight = inFlight
        self.retention = retention
        self.hasDeadLetterQueue = hasDeadLetterQueue
    }
}

/// A queue that the relay takes messages from.
public protocol MessageQueue: Sendable {
    /// Takes at most `limit` messages (1 to 10). Waits for the first message as long as SQS does. Ends at once when the
    /// task is cancelled.
    func receive(limit: Int) async throws(SQSFailure) -> [SQSMessage]
    /// Deletes at most 10 messages. Returns how many could not be deleted. These come again.
    func delete(_ receipts: [String]) async throws(SQSFailure) -> Int
}

/// SQS through its JSON protocol ("Making Query API requests using AWS JSON protocol").
public final class SQSClient: MessageQueue {
    /// The raw values are the names of the operations.
    enum Operation: String {
        case receiveMessage = "ReceiveMessage"
        case deleteMessageBatch = "DeleteMessageBatch"
        case getQueueAttributes = "GetQueueAttributes"

        /// The operation's name in IAM.
        var permission: String { self == .deleteMessageBatch ? "DeleteMessage" : rawValue }
    }

    /// The queue that this client uses.
    public let queue: SQSQueue
    private let credentials: any CredentialsProvider
    private let clock: any RelayClock
    private let logger: Logger
    private let client: HTTPClient
    private let deadlines: Deadlines
    private let requestTimeout: Duration

    /// The longest wait of SQS, in seconds.
    static let longPoll = 20
    /// The largest number of messages in one call of SQS.
    public static let batch = 10
    /// The longest answer that is read, in bytes. A message of SQS has at most 1 MiB, and each of its octets may be an
    /// escape of six octets. Ten messages from SNS, of 256 KiB each and with escaped quotes, need less.
    static let answerLimit = 8 << 20

    /// - Parameters:
    ///   - connections: the largest number of concurrent calls.
    ///   - requestTimeout: the time for a call. A long poll gets the time of the poll in addition.
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

    /// Ends running calls and closes the connections. It must be called once, before the client is released.
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
        // SQS leaves the member out when there are no messages.
        return document["Messages"].elements.compactMap { message in
            guard case .object(let message) = message, let receipt = message["ReceiptHandle"]?.string else {
                return nil
            }
            // SNS never sends a message without a body. If one comes, it is returned with an empty body.
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

    /// The state of the queue, for operators' tools.
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
        "the answer is not from SQS; check feedback.queue_url and feedback.endpoint, and any proxies on the way"
    )

    /// The body of a successful answer.
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
