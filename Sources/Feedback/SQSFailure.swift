import AWSClient
import StrictJSON

/// Why a call to the queue failed. The text is for the operator and contains no secret.
public struct SQSFailure: Error, Hashable, Sendable {
    /// The kinds of failure. The raw values are used in metrics and logs.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        case noQueue = "no_queue"
        case denied
        /// AWS does not know or no longer accepts the credentials, or there are none.
        case credentials
        case clock
        case throttled
        case unreachable
        /// The answer was longer than the limit.
        case tooLong = "too_long"
        case unexpected
        /// The relay itself ended the call.
        case cancelled
    }

    /// The kind of failure.
    public var kind: Kind
    /// A sentence that says what is wrong and then what to do.
    public var explanation: String

    public init(_ kind: Kind, _ explanation: String) {
        self.kind = kind
        self.explanation = explanation
    }

    /// Whether other credentials could help.
    var refusesCredentials: Bool { kind == .credentials || kind == .denied }
}

extension SQSFailure {
    static func unsigned(_ error: CredentialsError) -> SQSFailure {
        SQSFailure(
            .credentials,
            "\(ForeignText.bounded(error.explanation, 500)); give the relay credentials as for SES (ses.credentials_file)"
        )
    }

    init(_ failure: ExchangeFailure, host: String) {
        switch failure {
        case .cancelled: self.init(.cancelled, "the relay was stopped before the SQS queue answered")
        case .tooLong: self.init(.tooLong, "the SQS queue at \(host) gives an answer that is too long")
        case .timedOut, .broken, .body:
            self.init(
                .unreachable,
                "the SQS queue at \(host) \(failure.predicate); check feedback.queue_url and feedback.endpoint, and that this machine can connect to it"
            )
        }
    }

    /// The failure that an answer other than success means.
    init(_ answer: HTTPAnswer, operation: SQSClient.Operation, withholding secrets: [String]) {
        var said = ""
        var name = answer.header("x-amzn-errortype")
        if case .object(let document)? = try? JSON(reading: answer.body) {
            name = name ?? document["__type"]?.string ?? document["code"]?.string
            said = (document["message"] ?? document["Message"])?.string ?? ""
        }
        let message = ForeignText.bounded(ForeignText.withholding(secrets, in: said), 300)
        let error = name.flatMap { AWSFault.plainName(ForeignText.withholding(secrets, in: $0)) }
        self.init(name: error, message: message, status: answer.status, operation: operation)
    }

    private init(name: String?, message: String, status: Int, operation: SQSClient.Operation) {
        let what = name ?? "HTTP status \(status)"
        let words = message.isEmpty ? what : "\(what): \(message)"
        if let name, SQSFailure.namesNoQueue.contains(name) {
            self.init(
                .noQueue,
                "AWS does not know this SQS queue (\(words)); check feedback.queue_url and feedback.region, and that the credentials belong to the queue's account"
            )
            return
        }
        if name == "OverLimit" {
            self.init(
                .throttled,
                "too many messages of the SQS queue were received and not deleted (\(words)); check who else reads this queue"
            )
            return
        }
        switch AWSFault(name: name, message: message) {
        case .throttled:
            self.init(.throttled, "SQS accepts no more requests at the moment (\(words)); the relay asks less often")
        case .clock:
            self.init(
                .clock,
                "AWS refuses the time of the signature (\(words)); set this machine's clock: timedatectl set-ntp true"
            )
        // AWS's own text repeats the signed request, so it is left out.
        case .signature:
            self.init(
                .credentials,
                "AWS does not accept the signature (\(what)); the secret access key does not belong to the access key id, or this machine's clock is wrong"
            )
        case .credentials:
            self.init(.credentials, "AWS does not accept the credentials (\(words)); renew them")
        case .denied:
            self.init(
                .denied,
                "the credentials are not allowed to do this (\(words)); allow sqs:\(operation.permission) on the queue to their user or role in IAM, as 'hiveku-relay feedback template' does"
            )
        case .interrupted, .unknownOperation, nil:
            if status == 401 || status == 403 {
                self.init(
                    .denied,
                    "access is refused (\(words)); allow sqs:\(operation.permission) on the queue, and check any proxies on the way"
                )
            } else if status == 429 {
                self.init(
                    .throttled, "SQS accepts no more requests at the moment (\(words)); the relay asks less often")
            } else if status >= 500 {
                self.init(.unexpected, "SQS could not answer (\(words)); the relay asks again")
            } else {
                self.init(
                    .unexpected,
                    "the SQS queue gave an answer that the relay does not understand (\(words)); check feedback.queue_url and feedback.endpoint"
                )
            }
        }
    }

    private static let namesNoQueue: Set<String> = [
        "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue", "InvalidAddress",
        "QueueDeletedRecently",
    ]
}
