import InternetMessage
import Logging
import RelayCore
import Synchronization

/// Decides who may submit and what is accepted: it checks keys, limits and the header's authors, and uses the durable
/// queue.
///
/// It knows nothing of SMTP or HTTP. A face passes in a key and a client's address and gets a ``Grant``. With the grant
/// it begins a ``Reception``, which takes one message. The result is an id or a ``RelayCore/Refusal``. Admission counts
/// and logs, by reason word, each refusal, each delayed message and each authentication. A face only writes the reply.
public final class Admission: Sendable {
    /// The settings that apply to each message.
    public struct Configuration: Sendable {
        /// The relay's host name, for trace fields.
        public var hostname: String
        /// The largest message content that is allowed, in octets.
        public var maximumMessageSize: Int
        /// The largest number of recipients of a message.
        public var maximumRecipients: Int
        /// The longest time for which a submission is delayed until the key's rate allows it.
        public var maximumRateDelay: Duration
        /// How messages are prepared for SES.
        public var preparation: PreparationPolicy
        /// Whether a message that is sent again is recognised. A key can opt out.
        public var detectsRepeats: Bool
        /// The limits for failed authentications.
        public var throttle: AuthenticationThrottle.Configuration

        public init(
            hostname: String, maximumMessageSize: Int, maximumRecipients: Int = 1000, maximumRateDelay: Duration,
            preparation: PreparationPolicy, detectsRepeats: Bool = true,
            throttle: AuthenticationThrottle.Configuration = .init()
        ) {
            self.hostname = hostname
            self.maximumMessageSize = maximumMessageSize
            self.maximumRecipients = maximumRecipients
            self.maximumRateDelay = maximumRateDelay
            self.preparation = preparation
            self.detectsRepeats = detectsRepeats
            self.throttle = throttle
        }
    }

    private struct State: Sendable {
        var keys = KeyDirectory()
        var throttle: AuthenticationThrottle
        var activity: [KeyID: KeyActivity] = [:]
        var ids: MessageIDGenerator
    }

    private let currentConfiguration: Mutex<Configuration>
    private let store: any KeyDirectoryStore & SubmissionStore
    /// The key for the fingerprints that recognise repeats.
    let repeatKey: RepeatKey?
    let clock: any RelayClock
    private let observe: @Sendable (Event) -> Void
    private let commits: GroupCommit
    let rates: KeyRates
    private let state: Mutex<State>
    private let logger: Logger
    /// The log lines that clients cause. The faces write their lines here too.
    public let clientLog: ClientLog

    /// - Parameter observe: is called for each event, on any thread. It must be quick.
    public init(
        configuration: Configuration, store: any KeyDirectoryStore & SubmissionStore, clock: any RelayClock,
        logger: Logger,
        observe: @escaping @Sendable (Event) -> Void
    ) {
        let observe: @Sendable (Event) -> Void = { event in
            if case .storageFailed(let error) = event {
                logger.error("storage failed", metadata: ["error": "\(error)"])
            }
            observe(event)
        }
        currentConfiguration = Mutex(configuration)
        self.store = store
        repeatKey = store.repeatKey
        self.clock = clock
        self.logger = logger
        self.observe = observe
        clientLog = ClientLog(logger: logger, clock: clock)
        commits = GroupCommit(store: store, clock: clock, observe: observe)
        rates = KeyRates(shared: store.rates, clock: clock, storageFailed: { observe(.storageFailed($0)) })
        state = Mutex(
            State(
                throttle: AuthenticationThrottle(configuration.throttle),
                ids: MessageIDGenerator(after: store.newestMessage)))
    }

    var configuration: Configuration { currentConfiguration.withLock { $0 } }

    /// Sets the configuration for messages that begin from now on. The throttle keeps the settings that it began with.
    public func reconfigure(_ configuration: Configuration) {
        currentConfiguration.withLock { $0 = configuration }
    }

    // MARK: Authentication

    /// Authenticates a client and decides whether its key may be used for sending. `completion` is called once: before
    /// this function returns, or on a thread of the store.
    public func authenticate(
        userName: [UInt8], password: [UInt8], client: IPAddress,
        completion: @escaping @Sendable (Result<Grant, AuthenticationRefusal>) -> Void
    ) {
        authenticate(
            PresentedKey(place: .password, octets: password, userName: userName), for: .send, client: client,
            completion: completion)
    }

    /// Authenticates a client and decides whether its key may be used for `scope`. `completion` is called once: before
    /// this function returns, or on a thread of the store.
    public func authenticate(
        _ presented: PresentedKey, for scope: Scope, client: IPAddress,
        completion: @escaping @Sendable (Result<Grant, AuthenticationRefusal>) -> Void
    ) {
        if let wait = state.withLock({ $0.throttle.wait(for: client, at: clock.monotonicNow()) }) {
            let refusal = Refusal(
                .authThrottled,
                "Too many failed authentications from \(client); correct the API key, then try again in \(Int(wait.rounded(.up))) s",
                retryAfter: .seconds(wait))
            return completion(.failure(refuse(refusal, nil, client, endsConnection: true)))
        }
        switch KeyVerdict.key(presented) {
        case .success(let candidate):
            store.storedKey(candidate.id) { [self] in completion(decide(on: candidate, for: scope, found: $0, client)) }
        case .failure(let refusal):
            failed(nil, client, isGuess: false)
            completion(.failure(refuse(refusal, nil, client, delay: delay(client))))
        }
    }

    private func decide(
        on candidate: APIKey, for scope: Scope, found: Result<StoredKey?, any Error>, _ client: IPAddress
    ) -> Result<Grant, AuthenticationRefusal> {
        let stored: StoredKey?
        do {
            stored = try found.get()
        } catch {
            observe(.storageFailed(error))
            // The store failed, so this does not count as a guess.
            return .failure(refuse(.lookUpFailed, nil, client))
        }
        let now = clock.now()
        let digest = candidate.digest
        if let refusal = KeyVerdict.ofUse(candidate, digest, for: scope, stored: stored, client: client, now: now) {
            let isGuess = refusal.reason == .keyUnknown && stored?.previous?.digest.matches(digest) != true
            failed(stored?.key.id, client, isGuess: isGuess)
            return .failure(refuse(refusal, stored?.key.id, client, delay: delay(client)))
        }
        guard let stored else { return .failure(refuse(KeyVerdict.unknown, nil, client, delay: delay(client))) }
        let key = state.withLock { state in
            state.throttle.succeeded(client)
            state.activity[stored.key.id, default: KeyActivity()].add(KeyActivity(lastUsedAt: now))
            return state.keys.use(stored)
        }
        observe(.authenticated(key.id, client: client))
        logger.debug("authenticated", metadata: ["client": "\(client)", "key": "\(key.id)"])
        return .success(Grant(subject: key, secret: digest, client: client, scope: scope))
    }

    /// Grants the use of a key to the relay's operator, who need not show the key's secret. The key's rules still
    /// apply.
    ///
    /// - Parameter client: the operator's address. It is compared with the networks that the key allows, and recorded.
    public func grant(toOperatorUsing id: KeyID, for scope: Scope, client: IPAddress) async -> Result<Grant, Refusal> {
        do {
            guard let stored = try await store.storedKey(id) else { return .failure(.keyGone) }
            if let refusal = stored.key.refusalOfSending(for: scope, from: client, at: clock.now()) {
                return .failure(refusal)
            }
            let key = state.withLock { $0.keys.use(stored) }
            return .success(Grant(subject: key, secret: stored.digest, client: client, scope: scope))
        } catch {
            observe(.storageFailed(error))
            return .failure(.lookUpFailed)
        }
    }

    /// Returns the same grant again, for a client that shows the same key once more on the same connection. Returns nil
    /// when the client must authenticate again. A grant's copy of its key is at most a moment old, and the store
    /// decides again on each message.
    public func renew(_ grant: Grant, _ presented: PresentedKey, for scope: Scope, client: IPAddress) -> Grant? {
        let now = clock.now()
        guard grant.scope == scope, grant.client == client,
            case .success(let candidate) = KeyVerdict.key(presented), candidate.id == grant.id,
            candidate.digest.matches(grant.secret), grant.refusal(at: now) == nil
        else { return nil }
        state.withLock { $0.activity[grant.id, default: KeyActivity()].add(KeyActivity(lastUsedAt: now)) }
        return grant
    }

    /// Asks the store whether a grant is still valid. Returns nil if it is. Otherwise returns the refusal, which has
    /// already been counted and logged. A face calls this before it sends an answer that the client of a revoked key
    /// must not get.
    public func confirm(_ grant: Grant) async -> Refusal? {
        let refusal: Refusal?
        do {
            let stored = try await store.storedKey(grant.id)
            refusal = stored.map { grant.refusal(by: $0, at: clock.now()) } ?? .keyGone
        } catch {
            observe(.storageFailed(error))
            refusal = .lookUpFailed
        }
        if let refusal { tell(refusal, client: grant.client, key: grant.id) }
        return refusal
    }

    private func refuse(
        _ refusal: Refusal, _ key: KeyID?, _ client: IPAddress, delay: Duration = .zero, endsConnection: Bool = false
    ) -> AuthenticationRefusal {
        tell(refusal, client: client, key: key)
        observe(.authenticationRefused(refusal.reason))
        return AuthenticationRefusal(refusal, delay: delay, endsConnection: endsConnection)
    }

    private func delay(_ client: IPAddress) -> Duration {
        .seconds(state.withLock { $0.throttle.delay(for: client, at: clock.monotonicNow()) })
    }

    private func failed(_ id: KeyID?, _ client: IPAddress, isGuess: Bool) {
        state.withLock { state in
            state.throttle.failed(client, isGuess: isGuess, at: clock.monotonicNow())
            if let id { state.activity[id, default: KeyActivity()].add(KeyActivity(authFailures: 1)) }
        }
    }

    /// Returns, for each request, the id of the message that an earlier request with the same idempotency key created,
    /// or nil when the request is new. The store decides again when a message is submitted.
    ///
    /// A face calls this before it refuses a request because of the key's rate or cap, because a repeat counts towards
    /// neither. A request whose content differs from that of the earlier request gets a refusal, which has already been
    /// counted and logged. If the key may not be used any more, the whole result is a refusal.
    public func earlierMessages(
        _ requests: [Idempotency], _ grant: Grant
    ) async -> Result<[Result<MessageID?, Refusal>], Refusal> {
        let found: [Fingerprint: AcceptanceLedger.EarlierRequest]
        do {
            let fingerprints = requests.flatMap { [$0.request] + ($0.part.map { [$0] } ?? []) }
            found = try await store.requests(under: Array(Set(fingerprints)), now: clock.now())
        } catch {
            // If the store still fails when the messages are submitted, they are refused then.
            observe(.storageFailed(error))
            found = [:]
        }
        if !found.isEmpty, let refusal = await confirm(grant) { return .failure(refusal) }
        return .success(
            requests.map { request in
                guard let whole = found[request.request] else { return .success(nil) }
                guard whole.content == request.content else {
                    tell(.idempotencyMismatch, client: grant.client, key: grant.id)
                    return .failure(.idempotencyMismatch)
                }
                guard let part = request.part else { return .success(whole.message) }
                return .success(found[part]?.message)
            })
    }

    // MARK: Reports

    /// Counts and logs a refusal. Faces call this for refusals that they decide themselves. A refusal that Admission
    /// returns has been reported already.
    public func tell(_ refusal: Refusal, client: IPAddress, key: KeyID?) {
        observe(.refused(refusal.reason))
        clientLog.write(
            .notice, "refused", client: client, kind: refusal.reason.rawValue,
            metadata: Admission.metadata(refusal, key))
    }

    private static func metadata(_ refusal: Refusal, _ key: KeyID?) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "reason": "\(refusal.reason.rawValue)", "text": "\(refusal.explanation)",
        ]
        if let key { metadata["key"] = "\(key)" }
        return metadata
    }

    func tellSlowedDown(by delay: Duration) { observe(.slowedDown(delay)) }

    // MARK: Rate

    /// A question about a key's rate. Only the store can answer it, because several relays share the rate.
    public struct RateQuestion: Sendable {
        let request: KeyRates.Request
    }

    /// The answer to a question, for ``Reception/opened(_:)``. If the answer is released without having been used, the
    /// emails that it grants go back to the rate.
    public struct RateAnswer: Sendable {
        let answer: KeyRates.Answer
    }

    /// Asks the store about a key's rate. `completion` is called once: before this function returns, or on a thread of
    /// the store. Questions about one key are answered in the order in which they were asked.
    public func ask(_ question: RateQuestion, completion: @escaping @Sendable (RateAnswer) -> Void) {
        rates.ask(question.request) { completion(RateAnswer(answer: $0)) }
    }

    /// Takes the emails of several messages from a key's rate at once, either all or none. Returns a share for each of
    /// `counts`.
    ///
    /// Also refuses a batch that has more emails than the daily cap, or for which the disk has no space. Nothing is
    /// delayed: if the rate does not allow the batch now, the batch is refused, and the face tells the client to send
    /// it again. A refusal that is returned has already been counted and logged.
    public func takeRate(forBatch counts: [Int], _ grant: Grant) async -> Result<[RateShare], Refusal> {
        let emails = counts.reduce(0, +)
        let refusal: Refusal
        if let early = refusalBeforeContent(emails, grant, isBatch: true) {
            refusal = early
        } else {
            let answer: KeyRates.Answer
            switch rates.take(emails, grant.subject, maximumDelay: .zero) {
            case .answered(let known): answer = known
            case .ask(let request): answer = await ask(RateQuestion(request: request)).answer
            }
            switch answer {
            case .now(let reservation), .after(_, let reservation):
                return .success(reservation.parts(counts).map(RateShare.init))
            case .refused(let late): refusal = late
            }
        }
        tell(refusal, client: grant.client, key: grant.id)
        return .failure(refusal)
    }

    /// Returns a refusal that the store would give in any case, so that the client need not send the content. Returns
    /// nil if no refusal is certain yet.
    func refusalBeforeContent(_ emails: Int, _ grant: Grant, isBatch: Bool = false) -> Refusal? {
        let now = clock.now()
        let limits = grant.key.limits
        return grant.refusal(at: now)
            ?? (isBatch
                ? limits.refusalOfDay(ofBatch: emails, after: 0, at: now)
                : limits.refusalOfDay(emails, after: 0, at: now))
            ?? store.refusalOfSpace(for: grant.key.environment, size: 0)
    }

    /// The state of a key's rate, for a face that reports it to its clients. Where several relays share the rate, the
    /// state is the store's last answer to this relay. It does not include the emails that other relays have taken
    /// since, so it is possible that a client is refused earlier than the state suggests.
    public func rateStanding(of grant: Grant) -> RateStanding {
        let key = grant.key
        return RateStanding(limits: key.limits, available: rates.available(key))
    }

    // MARK: Message

    /// Makes the id of a message that the relay accepts or creates. Each instance has one generator, so ids are unique.
    public func nextID(at now: Timestamp) -> MessageID {
        let instance = store.instance
        return state.withLock { $0.ids.next(at: now, instance: instance) }
    }

    /// Makes a file in the spool for the content of the message with this id.
    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try await store.makeSpoolFile(for: id)
    }

    /// Reports that the spool failed while a message was being received.
    public func storageFailed(_ error: any Error) { observe(.storageFailed(error)) }

    /// Takes a message into the queue. `completion` is called, on any thread, when the message is on disk or finally
    /// refused.
    public func submit(
        _ message: CompleteMessage, completion: @escaping @Sendable (Result<MessageID, Refusal>) -> Void
    ) {
        commits.submit([message.submission]) { [self] _, result in
            settle(message, result)
            completion(result)
            report(message, result)
        }
    }

    /// Takes the messages of one batch into the queue, in one transaction. `completion` is called, on any thread, with
    /// a result for each message, when all of them are on disk or finally refused.
    public func submit(
        _ batch: [CompleteMessage], completion: @escaping @Sendable ([Result<MessageID, Refusal>]) -> Void
    ) {
        guard let first = batch.first else { return completion([]) }
        // The store decides on all of them together, because of the daily cap.
        let whole = SubmissionBatch(first: first.id, emails: batch.reduce(0) { $0 + $1.emails })
        let outcomes = Mutex<[Result<MessageID, Refusal>]>([])
        let submissions = batch.map { message in
            var submission = message.submission
            if batch.count > 1 { submission.batch = whole }
            return submission
        }
        commits.submit(submissions) { [self] i, result in
            settle(batch[i], result)
            // The results come in the batch's order.
            let all = outcomes.withLock { outcomes in
                outcomes.append(result)
                return outcomes
            }
            if all.count == batch.count { completion(all) }
            report(batch[i], result)
        }
    }

    /// Handles the consequences of a message's result, before the client gets the reply.
    private func settle(_ message: CompleteMessage, _ result: Result<MessageID, Refusal>) {
        let (submission, grant) = (message.submission, message.grant)
        switch result {
        case .success(let first) where first != submission.id:
            // The first copy of the message is already in the queue. This copy gives back what it took from the rate,
            // and its content is deleted.
            message.reservation.giveBack()
            if case .spooled(let body) = submission.body { Task { await store.discard(body) } }
        case .success: message.reservation.spend()
        case .failure(let refusal):
            message.reservation.giveBack()
            note(refusal, grant)
            // After a storage error it is not known whether the message was stored. The store's own clean-up then
            // decides whether to delete the content.
            if refusal.reason != .storage, case .spooled(let body) = submission.body {
                Task { await store.discard(body) }
            }
            tell(refusal, client: submission.client, key: submission.key)
        }
    }

    /// Reports a message that is in the queue to observers and to the log. A refusal has been reported already.
    private func report(_ message: CompleteMessage, _ result: Result<MessageID, Refusal>) {
        guard case .success(let id) = result else { return }
        let submission = message.submission
        if id != submission.id {
            observe(.repeated(submission, of: id))
            logger.info(
                "repeated",
                metadata: ["message": "\(id)", "key": "\(submission.key)", "client": "\(submission.client)"])
        } else {
            observe(.accepted(submission, message.grant.key.environment))
            logger.info(
                "accepted",
                metadata: [
                    "message": "\(id)", "key": "\(submission.key)", "client": "\(submission.client)",
                    "recipients": "\(submission.envelope.recipients.count)", "size": "\(submission.body.size)",
                ])
        }
    }

    private func note(_ refusal: Refusal, _ grant: Grant) {
        switch refusal.reason {
        case .keyRevoked: grant.subject.revoke(at: clock.now())
        case .rateDay:
            state.withLock { $0.activity[grant.id, default: KeyActivity()].add(KeyActivity(rateLimitHits: 1)) }
        default: break
        }
    }

    // MARK: Upkeep

    /// Runs until cancelled. Applies other processes' changes to grants, gives back unused emails of key rates, records
    /// usage at least once a second, and reports how many log lines were left out. Call ``flushActivity()`` afterwards,
    /// when nothing is submitted any more.
    public func run() async {
        var seen: Int64?
        var rounds = 0
        while !Task.isCancelled {
            do {
                try await clock.sleep(until: clock.now() + .milliseconds(Admission.refreshMilliseconds))
            } catch {
                break
            }
            do {
                let counter = try await store.changeCounter()
                if counter != seen {
                    try await refreshGrants()
                    seen = counter
                }
            } catch {
                // The store's own calls report their failures. A grant that is not refreshed now is checked when its
                // message is submitted.
            }
            clientLog.flush()
            // The unused emails of a slice that expires before the next round would be lost.
            rates.giveBackUnused(expiringWithin: .milliseconds(Admission.refreshMilliseconds))
            rounds += 1
            if rounds.isMultiple(of: Admission.roundsPerFlush) { await flushActivity() }
        }
        clientLog.flush()
        rates.giveBackUnused(expiringWithin: nil)
    }

    static let refreshMilliseconds: Int64 = 200
    static let roundsPerFlush = 4

    /// Applies the changes that other processes made to the keys in use.
    public func refreshGrants() async throws {
        let keys = state.withLock { $0.keys.inUse }
        guard !keys.isEmpty else { return }
        let current = try await store.currentKeys(keys.map(\.id))
        for key in keys {
            if let stored = current[key.id] { key.update(stored) } else { key.revoke(at: clock.now()) }
        }
    }

    /// Records what happened to keys since the last call. What can't be recorded is kept for the next call.
    public func flushActivity() async {
        var activity = state.withLock { exchange(&$0.activity, [:]) }
        for (key, hits) in rates.takeHits() {
            activity[key, default: KeyActivity()].add(KeyActivity(rateLimitHits: hits))
        }
        guard !activity.isEmpty else { return }
        do {
            try await store.record(activity)
        } catch {
            observe(.storageFailed(error))
            state.withLock { state in
                for (id, delta) in activity { state.activity[id, default: KeyActivity()].add(delta) }
            }
        }
    }
}
