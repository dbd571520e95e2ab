import RelayCore
import Synchronization

/// Passes submissions to the store in batches. Submissions that arrive while a batch is being synced go into the next
/// batch.
///
/// So all clients that wait for a sync share its cost, and a single client does not have to wait for others. At most
/// one batch is in progress. A caller that submits is never blocked.
final class GroupCommit: Sendable {
    /// Called for each submission. Its arguments are the submission's index among those that were submitted together,
    /// and the id under which the message is in the queue. For a repeat, that is the id of the earlier message.
    typealias Completion = @Sendable (Int, Result<MessageID, Refusal>) -> Void

    /// Submissions that were submitted together. They are decided on in one transaction.
    private struct Pending: Sendable {
        var submissions: [Submission]
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

    /// A transaction must not be so large that the next one waits long for it.
    static let maximumBatch = 256
    static let maximumBatchBytes = 8 << 20

    init(
        store: any SubmissionStore, clock: any RelayClock, observe: @escaping @Sendable (Admission.Event) -> Void
    ) {
        self.store = store
        self.clock = clock
        self.observe = observe
    }

    /// - Parameter submissions: one submission, or all of one batch. They are never split over several transactions.
    func submit(_ submissions: [Submission], completion: @escaping Completion) {
        let mustStart = state.withLock { state in
            state.waiting.append(Pending(submissions: submissions, completion: completion))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if mustStart { commitWaiting() }
    }

    private func commitWaiting() {
        guard let batch = nextBatch() else { return }
        commit(batch) { [self] in commitWaiting() }
    }

    /// Returns nil when no submission waits. The next submission then starts a batch.
    private func nextBatch() -> [Pending]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isRunning = false
                return nil
            }
            var count = 0
            var messages = 0
            var bytes = 0
            for pending in state.waiting {
                messages += pending.submissions.count
                for submission in pending.submissions {
                    if case .inline(let body) = submission.body { bytes += body.count }
                }
                if count > 0, messages > GroupCommit.maximumBatch || bytes > GroupCommit.maximumBatchBytes { break }
                count += 1
            }
            if count == state.waiting.count {
                // Usually, the whole array is passed on, which avoids a copy.
                return exchange(&state.waiting, [])
            }
            let batch = Array(state.waiting.prefix(count))
            state.waiting.removeFirst(count)
            return batch
        }
    }

    private func commit(_ batch: [Pending], then goOn: @escaping @Sendable () -> Void) {
        let began = clock.monotonicNow()
        store.accept(batch.flatMap(\.submissions), now: clock.now()) { [self] result in
            switch result {
            case .success(let outcomes):
                observe(.committed(messages: outcomes.count, seconds: clock.monotonicNow().seconds(since: began)))
                var outcomes = outcomes[...]
                for pending in batch {
                    for (i, submission) in pending.submissions.enumerated() {
                        switch outcomes.removeFirst() {
                        case .accepted: pending.completion(i, .success(submission.id))
                        case .repeated(let first): pending.completion(i, .success(first))
                        case .refused(let refusal): pending.completion(i, .failure(refusal))
                        }
                    }
                }
            case .failure(let error):
                // One submission may have caused the failure. The others must not fail because of it.
                if batch.count > 1, !GroupCommit.concernsAll(error) { return commitOneByOne(batch[...], then: goOn) }
                observe(.storageFailed(error))
                let refusal: Refusal = error as? StoreError == .inDoubt ? .commitInDoubt : .storageUnavailable
                for pending in batch {
                    for i in pending.submissions.indices { pending.completion(i, .failure(refusal)) }
                }
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
        case .full, .unavailable, .corrupt, .newerSchema, .olderSchemaInUse: true
        // It is not known whether a batch in doubt was stored. Storing its messages one by one would not show it.
        case .inDoubt, .instanceLost: true
        default: false
        }
    }
}

extension Refusal {
    static let lookUpFailed = Refusal(.storage, "The relay can't look up the API key just now; try again later")

    /// The store is not available. The client should send the message again later.
    public static let storageUnavailable = Refusal(
        .storage, "The relay can't store the message just now; send it again later")

    static let commitInDoubt = Refusal(
        .storage,
        "The relay could not find out in time whether the message was stored; send it again later",
        isInDoubt: true)
}
