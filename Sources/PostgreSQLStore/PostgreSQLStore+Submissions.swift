import Dispatch
import RelayCore
import Synchronization

extension PostgreSQLStore: SubmissionStore {
    /// The relay's number among living relays; 0 if it has no place. The number changes after the place was lost,
    /// because another relay may then have the former number.
    public var instance: Int64 { membership?.place?.number ?? 0 }

    /// How long a batch is attempted while the server can't be reached and nothing of the batch can have been
    /// committed.
    static let timeout = Duration.seconds(5)
    /// How long the relay tries to find out whether a batch in doubt was committed.
    static let patienceInDoubt = Duration.seconds(20)
    /// The pause between two attempts, in seconds.
    private static let pause = 0.1

    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        let began = serverClock.monotonicNow()
        tryToAccept(batch, now: now, .begun, until: began + PostgreSQLStore.timeout) { [self] result in
            if case .success(let accepted) = result { remember(accepted.queued) }
            completion(result.map(\.outcomes).mapError { StoreError($0) as any Error })
            if case .success(let accepted) = result, accepted.testBodies > 0 { noteSimulated(accepted.testBodies) }
        }
    }

    /// Tells this relay's next claim about messages that it has accepted itself, so that the claim need not search for
    /// their keys.
    private func remember(_ queued: [(lane: Lane, key: KeyID, due: Timestamp)]) {
        let moment = serverClock.monotonicNow()
        for (lane, key, due) in queued { claimState.with(lane) { $0.queued(key.text, due: due, at: moment) } }
    }

    /// The progress of a batch.
    private enum Progress: Sendable {
        /// Nothing of it can have been committed.
        case begun
        /// It may have been committed with this result, and clients wait for the answer.
        case inDoubt(AcceptanceTransaction.Result)
    }

    /// The result of one attempt.
    private struct Try: Sendable {
        var result: AcceptanceTransaction.Result
        /// Whether an earlier attempt had committed it.
        var wasThere = false
    }

    private func tryToAccept(
        _ batch: [Submission], now: Timestamp, _ progress: Progress, until deadline: MonotonicTime,
        completion: @escaping @Sendable (Result<AcceptanceTransaction.Result, any Error>) -> Void
    ) {
        guard let place = membership?.place else {
            // The next renewal takes another place.
            return finish(.failure(StoreError.instanceLost), progress, completion)
        }
        // What the last attempt had decided when its COMMIT was sent.
        let box = Decided()
        let left = deadline - serverClock.monotonicNow()
        submissions.run(within: max(left, .milliseconds(100))) { [self] connection in
            if case .inDoubt(let result) = progress {
                if try DoubtfulBatch(ids: result.ids(in: batch), node: place.node).holds(in: connection) {
                    return Try(result: result, wasThere: true)
                }
            }
            let transaction = AcceptanceTransaction(
                batch, now: now, storage: storage, node: place.node, uncapped: uncapped, slots: slots,
                requiresReplica: requiresReplica)
            return try connection.transaction(onCommit: onSync) {
                box.decided.withLock { $0 = nil }
                let result = try transaction.run(in: connection)
                box.decided.withLock { $0 = result }
                return Try(result: result)
            }
        } completion: { [self] result in
            guard case .failure(let error) = result else { return finish(result, progress, completion) }
            let next: Progress
            switch (error, progress) {
            case (is CommitInDoubt, .begun):
                guard let result = box.decided.withLock({ $0 }) else { return completion(.failure(error)) }
                // Refusals need no commit.
                if !result.outcomes.contains(.accepted) { return completion(.success(result)) }
                next = .inDoubt(result)
            case (is CommitInDoubt, .inDoubt(let earlier)):
                // The result of the later attempt: the earlier one was found not to be committed before the later one
                // began.
                next = .inDoubt(box.decided.withLock { $0 } ?? earlier)
            case (let error as ServerError, _) where error.isEndOfServer || error.isOccupied: next = progress
            default: return finish(result, progress, completion)
            }
            let isNewlyInDoubt = if case (.begun, .inDoubt) = (progress, next) { true } else { false }
            let end =
                isNewlyInDoubt ? serverClock.monotonicNow() + PostgreSQLStore.patienceInDoubt : deadline
            guard serverClock.monotonicNow() < end else {
                if case .inDoubt = next { return finish(.failure(StoreError.inDoubt), next, completion) }
                return completion(result.map(\.result))
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + PostgreSQLStore.pause) { [self] in
                tryToAccept(batch, now: now, next, until: end, completion: completion)
            }
        }
    }

    /// Reports how a batch in doubt ended, before any client gets the answer.
    private func finish(
        _ result: Result<Try, any Error>, _ progress: Progress,
        _ completion: (Result<AcceptanceTransaction.Result, any Error>) -> Void
    ) {
        if case .inDoubt(let doubtful) = progress {
            let ending: CommitDoubt.Ending =
                switch result {
                case .success(let done): done.wasThere ? .committed : .repeated
                case .failure: .unknown
                }
            onDoubt(CommitDoubt(messages: doubtful.outcomes.count { $0 == .accepted }, ending: ending))
        }
        completion(result.map(\.result))
    }

    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] {
        let rows = try await look { connection in
            try connection.rows(
                """
                SELECT fingerprint, message, content FROM repeat
                WHERE fingerprint = ANY ($1) AND accepted_at BETWEEN $2 AND $3 AND content IS NOT NULL
                """,
                [fingerprints.map { Bytes($0.bytes) }, now - Fingerprint.memory, now + Fingerprint.memory]
            ) { ($0.bytes(0), $0.integer(1).flatMap(MessageID.init(rawValue:)), $0.bytes(2)) }
        }
        let byBytes = Dictionary(fingerprints.map { ($0.bytes, $0) }) { first, _ in first }
        var found: [Fingerprint: AcceptanceLedger.EarlierRequest] = [:]
        for case (let bytes?, let message?, let content?) in rows {
            guard let fingerprint = byBytes[bytes] else { continue }
            found[fingerprint] = AcceptanceLedger.EarlierRequest(message: message, content: content)
        }
        return found
    }

    /// Notes the octets of test messages' bodies, and has them added to the stored total once there are many: all
    /// relays share the row of the total.
    private func noteSimulated(_ octets: Int) {
        let uncounted = uncountedBodies.wrappingAdd(octets, ordering: .relaxed).newValue
        if uncounted >= min(storage.simulatedSize / 1024, SimulatedBodies.mostUncounted) { dropSimulatedSoon() }
    }
}

/// Holds what a transaction has decided. The transaction's thread writes it, and the transaction's completion reads it.
private final class Decided: Sendable {
    let decided = Mutex<AcceptanceTransaction.Result?>(nil)
}

/// A batch for which it is not known whether it was committed.
struct DoubtfulBatch {
    /// The ids of the messages that it accepted.
    let ids: [Int64]
    let node: Int64

    /// Finds out, with certainty, whether the batch was committed.
    ///
    /// It inserts messages with the same ids and rolls that back. A transaction that is still being committed holds its
    /// ids, so the insertion waits for its end. A committed message conflicts with the insertion. A message that was
    /// not committed does not conflict, and can't be committed later. `pg_xact_status` is not used, because a server
    /// that took over does not know the transaction.
    ///
    /// - Throws: ``CommitInDoubt`` if it is committed here but may still be lost with this server.
    func holds(in connection: Connection) throws -> Bool {
        guard try isThere(in: connection) else { return false }
        // A later commit on the same server never reaches a standby before an earlier one. So once the commit of this
        // transaction is confirmed, the batch is confirmed too.
        try connection.transaction {
            try connection.queue("UPDATE node SET seen_at = seen_at WHERE id = $1", [node])
        }
        return true
    }

    private struct Undo: Error { var inserted: Int }

    private func isThere(in connection: Connection) throws -> Bool {
        do {
            try connection.transaction {
                // The insertion does not wait long for the batch: if the batch's commit waits in vain for a standby,
                // another server may have taken over.
                try connection.queue("SELECT set_config('lock_timeout', '2000', true)")
                let inserted = try connection.execute(
                    """
                    INSERT INTO message (id, key, lane, size, accepted_at)
                    SELECT id, '', '', 0, 0 FROM unnest($1) AS id ORDER BY id ON CONFLICT (id) DO NOTHING
                    """, [ids])
                throw Undo(inserted: inserted)
            }
        } catch let undo as Undo {
            guard undo.inserted == 0 || undo.inserted == ids.count else {
                throw StoreError.corrupt("a batch of messages exists only in part")
            }
            return undo.inserted == 0
        }
        return false
    }
}
