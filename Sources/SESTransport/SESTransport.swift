import AWSClient
import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import RelayCore
import Synchronization

/// Sends deliveries through AWS SES, API version 2.
public final class SESTransport: Transport, QuotaSource {
    let configuration: SESConfiguration
    private let credentials: any CredentialsProvider
    private let clock: any RelayClock
    private let logger: Logger
    private let client: HTTPClient
    private let deadlines: Deadlines
    private let sendCall: SignedCall
    /// Runs the caller's tasks on the event loop of the calls.
    private let loop: EventLoopExecutor
    /// Why SES last did not report the quota. It is logged once, not for each request.
    private let quotaProblem = Mutex<String?>(nil)
    private let refusedSenders = Mutex(RefusedSenders())

    /// The longest answer that is read, in bytes. The longest answer of SES is a list of 1,000 identities.
    static let answerLimit = 512 * 1024
    static let sendPath = "/v2/email/outbound-emails"
    private static let jsonFields = [(name: "Content-Type", value: "application/json")]
    static let accountPath = "/v2/email/account"

    /// - Parameter credentials: the source of the credentials that sign the requests.
    public init(
        configuration: SESConfiguration, credentials: any CredentialsProvider, clock: any RelayClock, logger: Logger
    ) {
        self.configuration = configuration
        self.credentials = credentials
        self.clock = clock
        self.logger = logger
        deadlines = Deadlines(clock: clock)
        sendCall = SignedCall(
            .POST, SESTransport.sendPath, at: configuration.endpoint, fields: SESTransport.jsonFields,
            region: configuration.region, service: "ses")
        // All calls use one event loop, so a request, its connection and its answer need no other thread.
        let loop = HTTPClient.defaultEventLoopGroup.next()
        self.loop = EventLoopExecutor(loop)
        client = HTTPClient(
            eventLoopGroupProvider: .shared(loop),
            configuration: .aws(connectTimeout: configuration.connectTimeout, connections: configuration.concurrency))
    }

    public var executor: (any TaskExecutor)? { loop }

    /// Ends running calls and closes the connections. It must be called once, before the transport is released.
    public func shutdown() async {
        do {
            try await client.shutdown()
        } catch {
            logger.warning("the connections to SES could not be closed", metadata: ["error": "\(error)"])
        }
    }

    public func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        let feedback = refusedSenders.withLock {
            FeedbackAddress(of: delivery.envelope, refused: $0, at: clock.monotonicNow())
        }
        let result = await send(delivery.envelope.recipients, body, feedback: feedback.address)
        guard let sender = feedback.address, case .answered(let answer, _) = result, answer.kind == .notVerified,
            answer.mayRefuse(sender)
        else { return outcome(result, note: feedback.note) }
        // Send the message again at once, without the envelope sender's address. The answer shows whether SES refused
        // the envelope sender or From.
        let second = await send(delivery.envelope.recipients, body, feedback: nil)
        if case .answered(let answer, _) = second, 200..<300 ~= answer.status {
            refusedSenders.withLock { $0.insert(sender, at: clock.monotonicNow()) }
        }
        return outcome(second, note: FeedbackAddress(unverified: sender).note)
    }

    private func outcome(_ result: CallResult, note: String?) -> DeliveryOutcome {
        switch result {
        case .answered(let answer, _):
            if case .sent(let id, nil) = answer.outcome { return .sent(sesMessageID: id, note: note) }
            return answer.outcome
        case .unanswered(let failure, let stage): return DeliveryOutcome(failure, stage: stage)
        case .unsigned(let error):
            let cause = DeliveryOutcome.Cause("no-credentials", ForeignText.bounded(error.explanation, 1000))
            return .laneHeld(cause, alert: true)
        }
    }

    private func send(_ recipients: [String], _ body: any StoredBody, feedback: String?) async -> CallResult {
        let content = SendEmailPayload(
            recipients, feedback: feedback, configurationSet: configuration.configurationSet, body: body)
        let payload: PreparedPayload
        do {
            payload = try await PreparedPayload(content)
        } catch let fault as PayloadFault {
            return .unanswered(.body(fault), stage: .notBegun)
        } catch {
            return .unanswered(.cancelled, stage: .notBegun)
        }
        return await withCredentials { credentials in
            let progress = UploadProgress()
            var request = self.sendCall.request(
                payloadHash: payload.hash, with: credentials, time: self.clock.now())
            request.body = payload.upload(progress, on: self.client.eventLoopGroup)
            let time = self.configuration.timeout(forLength: payload.length)
            return await self.call(request, within: time, credentials, progress)
        }
    }

    /// The sending quota of the SES account. Nil when SES does not report it, since many accounts' policies forbid the
    /// call.
    public func quota() async -> SendQuota? {
        let result = await withCredentials { credentials in
            let request = self.request(.GET, SESTransport.accountPath, SESTransport.emptyHash, credentials)
            return await self.call(request, within: self.configuration.requestTimeout, credentials, UploadProgress())
        }
        let problem: String
        switch result {
        case .answered(let answer, let arrival) where answer.status == 200:
            if let quota = SendQuota(account: arrival.body) {
                noteQuota(problem: nil)
                return quota
            }
            problem = "its answer has no quota"
        case .answered(let answer, _): problem = answer.errorName ?? "HTTP status \(answer.status)"
        case .unanswered(.cancelled, _): return nil
        case .unanswered(let failure, _): problem = "SES \(failure.predicate)"
        case .unsigned: problem = "no AWS credentials"
        }
        noteQuota(problem: problem)
        return nil
    }

    private func noteQuota(problem: String?) {
        let isNews = quotaProblem.withLock { last in
            defer { last = problem }
            return last != problem
        }
        guard isNews, let problem else { return }
        logger.notice(
            "SES does not report the account's quota (GetAccount); ses.max_send_rate or the default applies",
            metadata: ["reason": "\(problem)"])
    }
}

/// One call: credentials, signature, answer.
extension SESTransport {
    enum CallResult: Sendable {
        case answered(SESAnswer, Arrival)
        case unanswered(ExchangeFailure, stage: UploadProgress.Stage)
        /// There were no credentials to sign with.
        case unsigned(CredentialsError)
    }

    /// An answer as it was received.
    struct Arrival: Sendable {
        var body: [UInt8]
        /// The value of the answer's Date field: the time of the server's own clock.
        var date: String?
        /// When the request was sent, by this machine's clock.
        var askedAt: Timestamp
        var answeredAt: Timestamp
    }

    static let emptyHash = SigV4.hash(of: [])

    /// Makes a call. If AWS refuses the credentials and their source has other credentials by now, makes the call once
    /// more with those. So a rotation of keys does not delay mail.
    func withCredentials(
        _ call: @Sendable (AWSCredentials) async -> CallResult
    ) async -> CallResult {
        do throws(CredentialsError) {
            return try await credentials.signing(call) { result in
                if case .answered(let answer, _) = result { answer.refusesCredentials } else { false }
            }
        } catch {
            return Task.isCancelled ? .unanswered(.cancelled, stage: .notBegun) : .unsigned(error)
        }
    }

    func request(
        _ method: HTTPMethod, _ path: String, _ payloadHash: String, _ credentials: AWSCredentials
    ) -> HTTPRequest {
        HTTPRequest(
            method, path, at: configuration.endpoint,
            fields: method == .POST ? SESTransport.jsonFields : [],
            payloadHash: payloadHash, with: credentials, region: configuration.region, service: "ses",
            time: clock.now())
    }

    /// A call that sends no message. Its body is small, and it does no harm to repeat the call.
    func call(_ method: HTTPMethod, _ path: String, payload: [UInt8]?, within time: Duration) async -> CallResult {
        let hash = payload.map { SigV4.hash(of: $0) } ?? SESTransport.emptyHash
        return await withCredentials { credentials in
            var request = self.request(method, path, hash, credentials)
            request.body = payload.map { .bytes($0) }
            return await self.call(
                request, within: min(time, self.configuration.requestTimeout), credentials, UploadProgress())
        }
    }

    func call(
        _ request: HTTPRequest, within time: Duration, _ credentials: AWSCredentials, _ progress: UploadProgress
    ) async -> CallResult {
        let askedAt = clock.now()
        switch await client.exchange(request, within: time, limit: SESTransport.answerLimit, deadlines: deadlines) {
        case .success(let answer):
            return .answered(
                SESAnswer(answer, withholding: credentials.secrets),
                Arrival(
                    body: answer.body, date: answer.header("date"), askedAt: askedAt, answeredAt: clock.now()))
        case .failure(let failure): return .unanswered(failure, stage: progress.stage)
        }
    }
}
