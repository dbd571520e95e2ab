import RelayCore

/// Knows one key; takes every message at once and forgets it.
public final class ForgetfulStore: KeyStore, SubmissionStore {
    private let key: StoredKey

    public let instance: Int64 = 1
    public let newestMessage: MessageID? = nil

    public init(_ key: StoredKey) { self.key = key }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        completion(.success(id == key.key.id ? key : nil))
    }

    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        completion(.success(batch.map { _ in .accepted }))
    }

    // Nothing that is measured asks for these.
    public func insertKey(_ key: StoredKey) async throws {}
    public func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? { nil }
    public func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] { [] }
    public func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws {}
    public func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws {}
    public func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws {}
    public func record(_ activity: [KeyID: KeyActivity]) async throws {}
    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] {
        [:]
    }
    public func changeCounter() async throws -> Int64 { 0 }
    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile { throw StoreError.full }
    public func discard(_ body: SpooledBody) async {}
}
