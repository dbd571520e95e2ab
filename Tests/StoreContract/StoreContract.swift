import RelayCore
import TestSupport

/// Everything that a relay needs from a store.
public typealias AnyStore = any KeyStore & SubmissionStore & DeliveryQueue & MessageCancellation
    & MessageRecords & FeedbackStore & SuppressionStore & SenderReportStore & WebhookStore & OperatorSessionStore
    & TemplateStore & StatisticsStore & SimulatedDomainStore

/// One rule that every store must keep. The test of a store calls ``hold(_:)`` of each contract in ``all``, each time
/// with a new store.
///
/// It uses no test library, so tests of any test library can call it.
public struct StoreContract: Sendable, CustomStringConvertible {
    public let description: String
    private let body: @Sendable (Bench) async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable (Bench) async throws -> Void) {
        self.description = description
        self.body = body
    }

    /// - Throws: ``Violation``, or the error that the store threw.
    public func hold(_ store: AnyStore) async throws { try await body(Bench(store)) }

    public static let all =
        keys + acceptance + queue + scheduling + searches + operators + events + suppressions + senderReports + webhooks
        + lists + words + sessions + templates + statistics + simulatedDomains

    /// What was expected and what was found.
    public struct Violation: Error, CustomStringConvertible {
        public let description: String
    }
}

/// A store with short functions for tests.
final class Bench: Sendable {
    let store: AnyStore
    private let ids = Counter()

    init(_ store: AnyStore) { self.store = store }

    func key(_ environment: Environment = .test, configure: (inout Key) -> Void = { _ in }) async throws -> KeyID {
        let (secret, stored) = Sample.key(environment, configure: configure)
        try await store.insertKey(stored)
        return secret.id
    }

    func submission(_ key: KeyID, recipients: Int = 1, at time: Timestamp = Sample.now) throws -> Submission {
        let id = try unwrap(MessageID(rawValue: MessageID.first(at: time) + ids.next()))
        return Sample.submission(id, key: key, recipients: Sample.recipients(recipients), at: time)
    }

    @discardableResult
    func accept(_ key: KeyID, recipients: Int = 1, at time: Timestamp = Sample.now) async throws -> MessageID {
        let submission = try submission(key, recipients: recipients, at: time)
        try equal(try await store.accept([submission], now: time), [.accepted])
        return submission.id
    }

    /// Submits a batch. Returns the reason for which each submission was refused; nil if it was accepted.
    func reasons(_ batch: [Submission], at time: Timestamp = Sample.now) async throws -> [RefusalReason?] {
        try await store.accept(batch, now: time).map { outcome in
            if case .refused(let refusal) = outcome { refusal.reason } else { nil }
        }
    }

    func claim(_ lane: Lane = .test, limit: Int = 100, at time: Timestamp = Sample.now) async throws
        -> [ClaimedDelivery]
    {
        try await store.claim(lane: lane, limit: limit, leaseUntil: time + .seconds(60), now: time)
    }

    func settle(
        _ deliveries: [ClaimedDelivery], _ result: Settlement.Result, reason: String? = nil,
        at time: Timestamp = Sample.now, mayHaveBeenTaken: Bool = false, lengthensPause: Bool = true
    ) async throws {
        try await store.settle(
            deliveries.map {
                Settlement(
                    delivery: $0.id, result: result, reason: reason, startedAt: time, finishedAt: time,
                    mayHaveBeenTaken: mayHaveBeenTaken, lengthensPause: lengthensPause)
            })
    }

    func message(_ id: MessageID, at time: Timestamp = Sample.now) async throws -> MessageRecord {
        try unwrap(try await store.messages(MessageFilter(ids: [id]), now: time).first)
    }

    // MARK: Expectations

    func equal<T: Equatable>(_ found: T, _ expected: T, line: Int = #line) throws {
        guard found == expected else {
            throw StoreContract.Violation(description: "line \(line): expected \(expected), found \(found)")
        }
    }

    func holds(_ condition: Bool, _ words: String, line: Int = #line) throws {
        guard condition else { throw StoreContract.Violation(description: "line \(line): \(words)") }
    }

    func unwrap<T>(_ value: T?, line: Int = #line) throws -> T {
        guard let value else { throw StoreContract.Violation(description: "line \(line): expected a value") }
        return value
    }

    func fails(_ error: StoreError, line: Int = #line, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let found as StoreError where found == error {
            return
        }
        throw StoreContract.Violation(description: "line \(line): \(error) was expected")
    }
}
