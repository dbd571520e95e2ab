import RelayCore

extension Connection {
    /// Runs `body` in a transaction, which is on disk when this returns: flushed on the primary, and on a standby if
    /// `synchronous_standby_names` names one.
    ///
    /// BEGIN is sent with the first statement. The statements that `body` queues last are sent with COMMIT.
    ///
    /// - Parameters:
    ///   - isDurable: if false, a failure of the server may undo the transaction (`synchronous_commit` off).
    ///   - onCommit: called with the seconds that COMMIT took, including the statements that were sent with it.
    /// - Throws: ``CommitInDoubt`` if it is not known whether the transaction was committed; errors of `body`;
    ///   ``ServerError``.
    func transaction<T>(
        isDurable: Bool = true, onCommit: ((Double) -> Void)? = nil, _ body: () throws -> T
    ) throws -> T {
        try queue("BEGIN")
        // A relay that is stopped within a transaction must not keep its rows locked, and no relay may wait for a lock
        // without a limit. Everything here is found by an index; a plan that was made while a table was small must not
        // go through the whole table later.
        try queue(
            """
            SELECT set_config('idle_in_transaction_session_timeout', '10000', true),
                set_config('lock_timeout', '10000', true), set_config('enable_seqscan', 'off', true),
                set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
                set_config('jit', 'off', true)
            """)
        if !isDurable { try queue("SELECT set_config('synchronous_commit', 'off', true)") }
        let result: T
        do {
            result = try body()
        } catch {
            // The original error says more than the reason why this can't be rolled back.
            dropQueued()
            if !isLost { _ = try? run("ROLLBACK") }
            throw error
        }
        let began = SystemClock().monotonicNow()
        try commit()
        onCommit?(SystemClock().monotonicNow().seconds(since: began))
        return result
    }

    private func commit() throws {
        _ = takeWarnings()
        do {
            try run("COMMIT")
        } catch ServerError.lost(let why) {
            throw CommitInDoubt(why: why)
        } catch {
            // A statement that was queued before COMMIT was refused.
            if !isLost { _ = try? run("ROLLBACK") }
            throw error
        }
        // The transaction is committed here, but the wait for a standby was in vain: if this server fails, the
        // transaction may be undone.
        if takeWarnings().contains(where: { $0 == "01000" || $0 == "57P01" }) {
            throw CommitInDoubt(why: "the wait for the standby was cancelled")
        }
    }

    /// Runs `body` on a snapshot of the database.
    func snapshot<T>(_ body: () throws -> T) throws -> T {
        try queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        do {
            let result = try body()
            try run("COMMIT")
            return result
        } catch {
            dropQueued()
            if !isLost { _ = try? run("ROLLBACK") }
            throw error
        }
    }
}

/// A transaction may or may not be committed: the connection was lost during the commit, or the wait for a standby was
/// cancelled.
struct CommitInDoubt: Error {
    let why: String
}
