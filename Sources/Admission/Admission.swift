import InternetMessage
import RelayCore
import Synchronization

/// Decides who may submit and what is taken: keys, limits, the header's authors, and the durable queue behind them.
///
/// Knows nothing of SMTP. A face (the SMTP server; later HTTP) brings a key and a client's address, then an envelope and a
/// message, and gets an id or a ``RelayCore/Refusal``.
public final class Admission: Sendable {
    public struct Configuration: Sendable {
        public var hostname: String
        /// Octets of message content.
        public var maximumMessageSize: Int
        /// How long a submission may be held back until the key's rate allows it.
        public var maximumRateDelay: Duration
        public var preparation: PreparationPolicy
        /// Whether a message that is sent again is recognised; a key can opt out.
        public var detectsRepeats: Bool
        public var throttle: AuthenticationThrottle.Configuration

        public init(
            hostname: String, maximumMessageSize: Int, maximumRateDelay: Duration, preparation: PreparationPolicy,
            detectsRepeats: Bool = true, throttle: AuthenticationThrottle.Configuration = .init()
        ) {
            self.hostname = hostname
            self.maximumMessageSize = maximumMessageSize
            self.maximumRateDelay = maximumRateDelay
            self.preparation = preparation
            self.detectsRepeats = detectsRepeats
            self.throttle = throttle
        }
    }

    /// What happened, for whoever logs, counts, or wakes the worker.
    public enum Event: Sendable {
        case accepted(Submission, Lane)
        /// A client sent again what is in the queue already.
        case repeated(Submission, of: MessageID)
        case storageFailed(any Error)
        /// The store decided on so many messages in one transaction, which took so long with its sync.
        case committed(messages: Int, seconds: Double)
    }

    private struct State: Sendable {
        var keys = KeyDirectory()
        var limiter = RateLimiter()
        var throttle: AuthenticationThrottle
        var activity: [KeyID: KeyActivity] = [:]
        var ids: MessageIDGenerator
    }

    private let currentConfiguration: Mutex<Configuration>
    private let store: any KeyStore & SubmissionStore
    private let clock: any RelayClock
    private let observe: @Sendable (Event) -> Void
    private let commits: GroupCommit
    private let state: Mutex<State>

    public init(
        configuration: Configuration, store: any KeyStore & SubmissionStore, clock: any RelayClock,
        observe: @escaping @Sendable (Event) -> Void
    ) {
        currentConfiguration = Mutex(configuration)
        self.store = store
        self.clock = clock
        self.observe = observe
        commits = GroupCommit(store: store, clock: clock, observe: observe)
        state = Mutex(
            State(
                throttle: AuthenticationThrottle(configuration.throttle),
                ids: MessageIDGenerator(instance: store.instance, after: store.newestMessage)))
    }

    private var configuration: Configuration { currentConfiguration.withLock { $0 } }

    /// Other settings from now on, for messages that begin. The throttle keeps those that it began with.
    public func reconfigure(_ configuration: Configuration) {
        currentConfiguration.withLock { $0 = configuration }
    }

    // MARK: Authentication

    /// Whether the client may try to authenticate at all.
    public func refusalOfTrying(client: IPAddress) -> Refusal? {
        let wait = state.withLock { $0.throttle.wait(for: client, at: clock.monotonicSeconds()) }
        return wait.map { wait in
            Refusal(
                .authThrottled,
                "Too many failed authentications from \(client); correct the API key, then try again in \(Int(wait.rounded(.up))) s",
                retryAfter: .seconds(wait))
        }
    }

    /// `completion` is called once: here, or on a thread of the store's.
    public func authenticate(
        userName: [UInt8], password: [UInt8], client: IPAddress,
        completion: @escaping @Sendable (Result<Grant, Refusal>) -> Void
    ) {
        switch KeyVerdict.key(password: password, userName: userName) {
        case .success(let candidate):
            store.storedKey(candidate.id) { [self] in completion(decide(on: candidate, found: $0, client)) }
        case .failure(let refusal):
            // A malformed key is a slip, not a guess at a secret, but it must not be free to try either.
            failed(nil, client)
            completion(.failure(refusal))
        }
    }

    private func decide(on candidate: APIKey, found: Result<StoredKey?, any Error>, _ client: IPAddress)
        -> Result<Grant, Refusal>
    {
        let stored: StoredKey?
        do {
            stored = try found.get()
        } catch {
            observe(.storageFailed(error))
            return .failure(Refusal(.storage, "The relay can't look up the API key just now; try again later"))
        }
        let now = clock.now()
        let digest = candidate.digest
        if let refusal = KeyVerdict.ofUse(candidate, digest, stored: stored, client: client, now: now) {
            failed(stored?.key.id, client)
            return .failure(refusal)
        }
        guard let stored else { return .failure(KeyVerdict.unknown) }
        let key = state.withLock { state in
            state.throttle.succeeded(client)
            state.activity[stored.key.id, default: KeyActivity()].add(KeyActivity(lastUsedAt: now))
            return state.keys.use(stored)
        }
        return .success(Grant(subject: key, secret: digest, client: client))
    }

    /// How long a face is to hold back the answer to an authentication that failed: guessing is to be slow.
    public func delay(of refusal: Refusal, client: IPAddress) -> Duration {
        // Where the store is to blame, nobody was guessing.
        if refusal.reason == .storage { return .zero }
        return .seconds(state.withLock { $0.throttle.delay(for: client, at: clock.monotonicSeconds()) })
    }

    private func failed(_ id: KeyID?, _ client: IPAddress) {
        state.withLock { state in
            state.throttle.failed(client, at: clock.monotonicSeconds())
            if let id { state.activity[id, default: KeyActivity()].add(KeyActivity(authFailures: 1)) }
        }
    }

    // MARK: Envelope

    /// Whether the key still holds, for the early answers of a session.
    public func refusalOfUse(_ grant: Grant) -> Refusal? { grant.refusal(at: clock.now()) }

    public func refusalOfSender(_ path: ReversePath, _ grant: Grant) -> Refusal? {
        refusalOfUse(grant) ?? KeyVerdict.ofSender(path, key: grant.key)
    }

    /// Emails taken from a key's bucket for a message under way, to be given back if it is not sent.
    public struct Reservation: Sendable {
        fileprivate let emails: Int
        /// Monotonic, in seconds.
        fileprivate let takenAt: Double
    }

    public enum Opening: Sendable {
        case now(Reservation)
        /// The message may come after so long; the place is held.
        case after(Duration, Reservation)
        case refused(Refusal)
    }

    /// Whether the key's rate allows a message to so many recipients, and when.
    public func open(recipients: Int, _ grant: Grant) -> Opening {
        if let refusal = refusalOfUse(grant) { return .refused(refusal) }
        let key = grant.key
        let maximumWait = configuration.maximumRateDelay.inSeconds
        return state.withLock { state in
            let now = clock.monotonicSeconds()
            let reservation = Reservation(emails: recipients, takenAt: now)
            let answer = state.limiter.take(recipients, key: key, now: now, maximumWait: maximumWait)
            switch answer {
            case .go: return .now(reservation)
            case .wait(let seconds):
                state.activity[key.id, default: KeyActivity()].add(KeyActivity(rateLimitHits: 1))
                return .after(.seconds(seconds), reservation)
            case .refuse(let seconds):
                state.activity[key.id, default: KeyActivity()].add(KeyActivity(rateLimitHits: 1))
                // Whoever sets an emails a second of next to nothing means to stop the key.
                let wait = Int(min(seconds, 1e9).rounded(.up))
                return .refused(
                    Refusal(
                        .rateSecond,
                        "The API key's limit of \(decimal(key.limits.perSecond)) emails per second is reached, retry in \(wait) s",
                        retryAfter: .seconds(wait)))
            }
        }
    }

    public func cancel(_ reservation: Reservation, _ grant: Grant) {
        let key = grant.key
        state.withLock {
            $0.limiter.giveBack(
                reservation.emails, takenAt: reservation.takenAt, key: key, now: clock.monotonicSeconds())
        }
    }

    // MARK: Message

    /// Where a message comes from, for its trace field (RFC 5321 section 4.4).
    public struct Origin: Sendable {
        /// The name that the client gave, of printable ASCII.
        public var clientName: String
        public var client: IPAddress
        /// RFC 3848: `ESMTPSA` and the like.
        public var with: String

        public init(clientName: String, client: IPAddress, with: String) {
            self.clientName = clientName
            self.client = client
            self.with = with
        }
    }

    /// Begins to take a message.
    public func receive(from origin: Origin, expectedSize: Int?, _ grant: Grant) -> (
        id: MessageID, intake: MessageIntake
    ) {
        let configuration = configuration
        let now = clock.now()
        let id = state.withLock { $0.ids.next(at: now) }
        let date = now.rfc5322
        let received =
            configuration.preparation.addReceived
            ? "from \(origin.clientName) ([\(origin.client.isIPv4 ? "" : "IPv6:")\(origin.client)])\r\n"
                + " by \(configuration.hostname) (Hiveku Relay) with \(origin.with)\r\n id \(id) (key \(grant.id));\r\n \(date)"
            : nil
        let context = PreparationContext(
            received: received, date: date, messageID: "<\(id).\(grant.id)@\(configuration.hostname)>")
        let intake = MessageIntake(
            policy: configuration.preparation, context: context, maximumSize: configuration.maximumMessageSize,
            expectedSize: expectedSize, hashesBody: configuration.detectsRepeats && grant.key.detectsRepeats)
        return (id, intake)
    }

    /// What tells a finished message when it is sent again; nil when it has no id of the client's, or nobody asks.
    public func fingerprint(
        _ summary: HeaderSummary, _ intake: MessageIntake, _ envelope: Envelope, _ grant: Grant
    ) -> Fingerprint? {
        guard let bodyHash = intake.finishedBodyHash else { return nil }
        if let key = summary.idempotencyKey { return Fingerprint(key: grant.id, idempotencyKey: key) }
        guard let messageID = summary.messageID else { return nil }
        return Fingerprint(key: grant.id, messageID: messageID, envelope: envelope, bodyHash: bodyHash)
    }

    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try await store.makeSpoolFile(for: id)
    }

    /// The spool failed under a message on its way in.
    public func storageFailed(_ error: any Error) { observe(.storageFailed(error)) }

    public func refusalOfHeader(_ summary: HeaderSummary, _ grant: Grant) -> Refusal? {
        KeyVerdict.ofHeader(summary, key: grant.key)
    }

    /// Takes a message into the queue. `completion` is called, on any thread, once it is on disk or refused for good; a
    /// refused message's reservation has been given back then.
    public func submit(
        _ submission: Submission, _ reservation: Reservation, _ grant: Grant,
        completion: @escaping @Sendable (Result<MessageID, Refusal>) -> Void
    ) {
        var submission = submission
        submission.secret = grant.secret
        commits.submit(submission) { [self, submission] result in
            switch result {
            case .success(let first) where first != submission.id:
                // Queued once already: the rate was not used, and these bytes are not needed.
                cancel(reservation, grant)
                if case .spooled(let body) = submission.body { Task { await store.discard(body) } }
                completion(.success(first))
                observe(.repeated(submission, of: first))
            case .success:
                completion(.success(submission.id))
                observe(.accepted(submission, grant.key.environment))
            case .failure(let refusal):
                cancel(reservation, grant)
                note(refusal, grant)
                // After a storage error it is not known what the disk holds: the store's own cleaning decides then.
                if refusal.reason != .storage, case .spooled(let body) = submission.body {
                    Task { await store.discard(body) }
                }
                completion(.failure(refusal))
            }
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

    /// Keeps grants up to date with other processes' changes, and writes usage down at least once a second, until cancelled.
    /// Call ``flushActivity()`` afterwards, when nothing submits any more.
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
                // The store's own calls report what they suffer; a grant that is not refreshed is checked at end of data.
            }
            rounds += 1
            if rounds.isMultiple(of: Admission.roundsPerFlush) { await flushActivity() }
        }
    }

    static let refreshMilliseconds: Int64 = 200
    static let roundsPerFlush = 4

    /// Takes over what other processes changed about the keys in use.
    public func refreshGrants() async throws {
        let keys = state.withLock { $0.keys.inUse }
        guard !keys.isEmpty else { return }
        let current = try await store.currentKeys(keys.map(\.id))
        for key in keys {
            if let stored = current[key.id] { key.update(stored) } else { key.revoke(at: clock.now()) }
        }
    }

    /// Writes down what happened to keys since the last time; what can't be written is kept for the next.
    public func flushActivity() async {
        let activity = state.withLock { exchange(&$0.activity, [:]) }
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

/// `10` rather than `10.0`.
private func decimal(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
}
