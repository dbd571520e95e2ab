import RelayCore
import Synchronization

/// The rates of a store, whose answers a test decides.
public final class StubRates: SharedRates {
    public typealias Answer = Result<SharedRateAnswer, any Error>

    /// The arguments of a call of `take`.
    public struct Question: Hashable, Sendable {
        public var emails: Int
        public var most: Int
        public var key: KeyID
        public var limits: SendingLimits
        public var maximumWait: Double

        public init(emails: Int, most: Int, key: KeyID, limits: SendingLimits, maximumWait: Double) {
            self.emails = emails
            self.most = most
            self.key = key
            self.limits = limits
            self.maximumWait = maximumWait
        }
    }

    private struct State {
        var questions: [Question] = []
        var waiting: [@Sendable (Answer) -> Void] = []
        var givenBack: [(emails: Int, since: MonotonicTime)] = []
        var fixed: (@Sendable (Question) -> Answer)?
    }

    private let state = Mutex(State())

    /// - Parameter fixed: answers each question at once. If it is nil, questions wait for ``answer(_:)``.
    public init(_ fixed: (@Sendable (Question) -> Answer)? = nil) { state.withLock { $0.fixed = fixed } }

    /// All questions, in the order in which they were asked.
    public var questions: [Question] { state.withLock { $0.questions } }
    /// Questions without an answer.
    public var open: Int { state.withLock { $0.waiting.count } }
    /// The emails of each call of `giveBack`, in the order of the calls.
    public var givenBack: [Int] { state.withLock { $0.givenBack.map(\.emails) } }
    /// For each call of `giveBack`, in the order of the calls: the time from which the rate can fill the place of the
    /// emails.
    public var givenBackSince: [MonotonicTime] { state.withLock { $0.givenBack.map(\.since) } }

    public func take(
        _ emails: Int, most: Int, key: KeyID, limits: SendingLimits, maximumWait: Double,
        completion: @escaping @Sendable (Answer) -> Void
    ) {
        let question = Question(emails: emails, most: most, key: key, limits: limits, maximumWait: maximumWait)
        let answer = state.withLock { state in
            state.questions.append(question)
            if state.fixed == nil { state.waiting.append(completion) }
            return state.fixed
        }
        if let answer { completion(answer(question)) }
    }

    public func giveBack(_ emails: Int, since: MonotonicTime, key: KeyID, limits: SendingLimits) {
        state.withLock { $0.givenBack.append((emails, since)) }
    }

    /// Answers the question that has waited longest. Returns false if there is none.
    @discardableResult
    public func answer(_ answer: Answer) -> Bool {
        let completion = state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
        completion?(answer)
        return completion != nil
    }

    /// Answers that the rate allows the message now, and that `taken` emails were taken.
    @discardableResult
    public func allow(_ taken: Int) -> Bool {
        answer(.success(SharedRateAnswer(answer: .go, taken: taken, aheadLasts: 0.2)))
    }
}

/// A store for admission, with rates that relays share.
public struct StoreWithRates<Store: KeyDirectoryStore & SubmissionStore>: KeyDirectoryStore, SubmissionStore {
    private let store: Store
    public let rates: (any SharedRates)?

    public init(_ store: Store, rates: any SharedRates) {
        self.store = store
        self.rates = rates
    }

    public var instance: Int64 { store.instance }
    public var repeatKey: RepeatKey? { store.repeatKey }
    public var newestMessage: MessageID? { store.newestMessage }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        store.storedKey(id, completion: completion)
    }

    public func record(_ activity: [KeyID: KeyActivity]) async throws { try await store.record(activity) }

    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] { try await store.currentKeys(ids) }

    public func changeCounter() async throws -> Int64 { try await store.changeCounter() }

    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        store.accept(batch, now: now, completion: completion)
    }

    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] {
        try await store.requests(under: fingerprints, now: now)
    }

    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try await store.makeSpoolFile(for: id)
    }

    public func discard(_ body: SpooledBody) async { await store.discard(body) }

    public func refusalOfSpace(for environment: Environment, size: Int) -> Refusal? {
        store.refusalOfSpace(for: environment, size: size)
    }
}
