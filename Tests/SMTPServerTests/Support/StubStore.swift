import RelayCore
import Synchronization

/// A store in memory. Tests can stop its steps at gates and make them fail.
final class StubStore: KeyDirectoryStore, SubmissionStore {
    struct Faults {
        var lookUp: StoreError?
        var commit: StoreError?
        var makeFile: StoreError?
        var append: StoreError?
        var finish: StoreError?
        /// The refusal that the store's own transaction decides.
        var refusal: Refusal?
    }

    fileprivate struct State {
        var keys: [KeyID: StoredKey] = [:]
        var accepted: [Submission] = []
        /// The size in octets of each file in the spool, by name.
        var files: [String: Int] = [:]
        var faults = Faults()
    }

    let lookUps = Gate()
    let commits = Gate()
    let appends = Gate()
    let finishes = Gate()
    fileprivate let state = Mutex(State())

    let instance: Int64 = 1
    let repeatKey = ContentHash.Key([UInt8](repeating: 7, count: ContentHash.Key.length)).map { RepeatKey($0) }
    let newestMessage: MessageID? = nil
    let rates: (any SharedRates)?

    init(rates: (any SharedRates)? = nil) { self.rates = rates }

    var accepted: [Submission] { state.withLock { $0.accepted } }
    var files: [String: Int] { state.withLock { $0.files } }
    /// Files that no accepted message refers to.
    var strayFiles: Int {
        state.withLock { state in
            var files = state.files
            for submission in state.accepted {
                if case .spooled(let body) = submission.body { files[body.name] = nil }
            }
            return files.count
        }
    }

    func fail(_ change: (inout Faults) -> Void) { state.withLock { change(&$0.faults) } }

    fileprivate func check(_ fault: @Sendable (Faults) -> StoreError?) throws {
        if let error = state.withLock({ fault($0.faults) }) { throw error }
    }

    // MARK: Keys

    func insertKey(_ key: StoredKey) { state.withLock { $0.keys[key.key.id] = key } }

    func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        Task {
            await lookUps.pass()
            completion(
                Result {
                    try check { $0.lookUp }
                    return state.withLock { $0.keys[id] }
                })
        }
    }

    func record(_ activity: [KeyID: KeyActivity]) {}
    func currentKeys(_ ids: [KeyID]) -> [KeyID: StoredKey] { [:] }
    func changeCounter() -> Int64 { 0 }

    // MARK: Messages

    func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        Task {
            await commits.pass()
            completion(Result { try accept(batch) })
        }
    }

    private func accept(_ batch: [Submission]) throws -> [Acceptance] {
        try check { $0.commit }
        return state.withLock { state in
            batch.map { submission in
                if let refusal = state.faults.refusal { return .refused(refusal) }
                state.accepted.append(submission)
                return .accepted
            }
        }
    }

    func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try check { $0.makeFile }
        state.withLock { $0.files["\(id)"] = 0 }
        return StubSpoolFile(store: self, name: "\(id)")
    }

    func discard(_ body: SpooledBody) async { remove(body.name) }

    fileprivate func remove(_ name: String) { _ = state.withLock { $0.files.removeValue(forKey: name) } }
}

private final class StubSpoolFile: SpoolFile {
    private let store: StubStore
    private let name: String

    init(store: StubStore, name: String) {
        self.store = store
        self.name = name
    }

    func append(_ bytes: [UInt8]) async throws {
        await store.appends.pass()
        try store.check { $0.append }
        store.state.withLock { $0.files[name, default: 0] += bytes.count }
    }

    func finish() async throws -> SpooledBody {
        await store.finishes.pass()
        try store.check { $0.finish }
        return SpooledBody(name: name, size: store.files[name] ?? 0)
    }

    func discard() async { store.remove(name) }
}
