import RelayCore

/// Knows one key. It accepts every message at once and does not keep it.
public final class ForgetfulStore: KeyDirectoryStore, SubmissionStore {
    private let key: StoredKey

    public let instance: Int64 = 1
    public let repeatKey = ContentHash.Key([UInt8](repeating: 7, count: ContentHash.Key.length)).map { RepeatKey($0) }
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

    public func record(_ activity: [KeyID: KeyActivity]) async throws {}
    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] {
        [:]
    }
    public func changeCounter() async throws -> Int64 { 0 }
    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile { throw StoreError.full }
    public func discard(_ body: SpooledBody) async {}
}
