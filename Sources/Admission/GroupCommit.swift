import RelayCore
import Synchronization

/// Brings submissions to the store in batches: what arrives while a batch is being synced goes into the next one.
///
/// So a sync is paid once for all clients that wait for it, and a client alone waits for nobody. At most one batch is under
/// way; who submits is never blocked.
final class GroupCommit: Sendable {
    /// Called with the id under which the message is in the queue: its own, or that of the one it repeats.
    typealias Completion = @Sendable (Result<MessageID, Refusal>) -> Void

    private struct Pending: Sendable {
        var submission: Submission
        var completion: Completion
    }

    private struct State: Sendable {
        var waiting: [Pending] = []
        var isRunning = false
    }

    private let store: any SubmissionStore
    private let clock: any RelayClock
    private let observe: @Sendable (Admission.Event) -> Void
    private let state = Mutex(State())

    /// One transaction must not hold so much that the next waits long for it.
    static let maximumBatch = 256
    static let maximumBatchBytes = 8 << 20

    init(
        store: any SubmissionStore, clock: any RelayClock, observe: @escaping @Sendable (Admission.Event) -> Void
    ) {
        self.store = store
        self.clock = clock
        self.observe = observe
    }

    func submit(_ submission: Submission, completion: @escaping Completion) {
        let mustStart = state.withLock { state in
            state.waiting.append(Pending(submission: submission, completion: completion))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if mustStart { commitWaiting() }
    }

    private func commitWaiting() {
        guard let batch = nextBatch() else { return }
        commit(batch) { [self] in commitWaiting() }
    }

    /// Nil when nothing waits; the next to submit then starts anew.
    private func nextBatch() -> [Pending]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isRunning = false
                return nil
            }
            var count = 0
            var bytes = 0
            for pending in state.waiting.prefix(GroupCommit.maximumBatch) {
                if case .inline(let body) = pending.submission.body { bytes += body.count }
                if count > 0, bytes > GroupCommit.maximumBatchBytes { break }
                count += 1
            }
            if count == state.waiting.count {
                // The usual case hands over the array instead of copying out of it.
                return exchange(&state.waiting, [])
            }
            let batch = Array(state.waiting.prefix(count))
            state.waiting.removeFirst(count)
            return batch
        }
    }

    private func commit(_ batch: [Pending], then goOn: @escaping @Sendable () -> Void) {
        let began = clock.monotonicNow()
        store.accept(batch.map(\.submission), now: clock.now()) { [self] result in
            switch result {
            case .success(let outcomes):
                observe(.committed(messages: batch.count, seconds: clock.monotonicNow().seconds(since: began)))
                for (pending, outcome) in zip(batch, outcomes) {
                    switch outcome {
                    case .accepted: pending.completion(.success(pending.submission.id))
                    case .repeated(let first): pending.completion(.success(first))
                    case .refused(let refusal): pending.completion(.failure(refusal))
                    }
                }
            case .failure(let error):
                // One of them may be the cause; the others must not suffer for it.
                if batch.count > 1, !GroupCommit.concernsAll(error) { return commitOneByOne(batch[...], then: goOn) }
                observe(.storageFailed(error))
                for pending in batch { pending.completion(.failure(.storageUnavailable)) }
            }
            goOn()
        }
    }

    private func commitOneByOne(_ batch: ArraySlice<Pending>, then goOn: @escaping @Sendable () -> Void) {
        guard let first = batch.first else { return goOn() }
        commit([first]) { [self] in commitOneByOne(batch.dropFirst(), then: goOn) }
    }

    private static func concernsAll(_ error: any Error) -> Bool {
        switch error as? StoreError {
        case .full, .unavailable, .corrupt, .newerSchema: true
        default: false
        }
    }
}

extension Refusal {
    public static let storageUnavailable = Refusal(
        .storage, "The relay can't store the message just now; send it again later")
}
