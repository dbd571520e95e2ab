import Admission
import InternetMessage
import RelayCore
import SQLiteStore
import TestSupport

extension Workload {
    static let admitting = [
        Workload("authentication, 10 keys") {
            let sample = try SampleStore()
            let keys = (0..<10).map { _ in sampleKey() }
            for (_, stored) in keys { try await sample.store.insertKey(stored) }
            let passwords = keys.map { Array($0.secret.revealed.utf8) }
            let admission = makeAdmission(sample.store)
            return { count in
                for i in 0..<count { _ = try await authenticate(passwords[i % passwords.count], admission) }
                withExtendedLifetime(sample) {}
            }
        },
        Workload("admission of a message of 4 KB, without the store") {
            let (secret, stored) = sampleKey()
            let admission = makeAdmission(ForgetfulStore(stored))
            let grant = try await authenticate(Array(secret.revealed.utf8), admission)
            let message = sampleMessage()
            return { count in
                for _ in 0..<count { try await submit(message, admission, grant) }
            }
        },
    ]

    private static func makeAdmission(_ store: some KeyStore & SubmissionStore) -> Admission {
        Admission(
            configuration: Admission.Configuration(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .seconds(5),
                preparation: PreparationPolicy()),
            store: store, clock: SystemClock()
        ) { _ in }
    }

    private static func authenticate(_ password: [UInt8], _ admission: Admission) async throws -> Grant {
        try await withCheckedContinuation { continuation in
            admission.authenticate(userName: Array("apikey".utf8), password: password, client: Sample.client) {
                continuation.resume(returning: $0)
            }
        }.get()
    }

    /// All that happens to a message from DATA to the 250.
    private static func submit(_ message: [UInt8], _ admission: Admission, _ grant: Grant) async throws {
        let envelope = Envelope(reversePath: "orders@example.com", recipients: ["recipient@example.net"])
        guard case .now(let reservation) = admission.open(recipients: 1, grant) else {
            throw UnexpectedResult("the rate was used up")
        }
        let origin = Admission.Origin(clientName: "client.example.com", client: Sample.client, with: "ESMTPSA")
        var (id, intake) = admission.receive(from: origin, expectedSize: message.count, grant)
        message.withUnsafeBytes { intake.consume($0) }
        let summary = try intake.finish().get()
        if let refusal = admission.refusalOfHeader(summary, grant) { throw refusal }
        let submission = Submission(
            id: id, key: grant.id, client: Sample.client, envelope: envelope, subject: summary.subject,
            body: .inline(intake.takeBuffered()), acceptedAt: SystemClock().now(),
            fingerprint: admission.fingerprint(summary, intake, envelope, grant))
        _ = try await withCheckedContinuation { continuation in
            admission.submit(submission, reservation, grant) { continuation.resume(returning: $0) }
        }.get()
    }
}

/// Knows one key; takes every message at once and forgets it.
private final class ForgetfulStore: KeyStore, SubmissionStore {
    private let key: StoredKey

    let instance: Int64 = 1
    let newestMessage: MessageID? = nil

    init(_ key: StoredKey) { self.key = key }

    func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        completion(.success(id == key.key.id ? key : nil))
    }

    func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        completion(.success(batch.map { _ in .accepted }))
    }

    // Nothing that is measured asks for these.
    func insertKey(_ key: StoredKey) async throws {}
    func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? { nil }
    func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] { [] }
    func updateKey(_ key: Key) async throws {}
    func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws {}
    func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws {}
    func record(_ activity: [KeyID: KeyActivity]) async throws {}
    func currentKeys(_ ids: [KeyID], now: Timestamp) async throws -> [KeyID: (key: Key, emailsToday: Int)] { [:] }
    func changeCounter() async throws -> Int64 { 0 }
    func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile { throw StoreError.full }
    func discard(_ body: SpooledBody) async {}
}
