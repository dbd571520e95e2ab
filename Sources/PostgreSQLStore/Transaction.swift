import RelayCore

extension Connection {
    /// Runs `body` in a transaction, which is on disk when this returns: flushed on the primary, and on a standby where
    /// `synchronous_standby_names` has one.
    ///
    /// BEGIN goes out with the first statement. What `body` queues last goes out with COMMIT.
    ///
    /// - Parameters:
    ///   - isDurable: false: a failure of the server may undo it (`synchronous_commit` off).
    ///   - onCommit: is told how many seconds COMMIT took, with what went out with it.
    /// - Throws: ``CommitInDoubt`` where nobody knows whether it holds; what `body` throws; ``ServerError``.
    func transaction<T>(
        isDurable: Bool = true, onCommit: ((Double) -> Void)? = nil, _ body: () throws -> T
    ) throws -> T {
        try queue("BEGIN")
        // A relay that is stopped within a transaction must not keep its rows locked, and none waits for a lock for ever. Everything here is
        // found by an index; a plan that was made while a table was small must not go through all of it later.
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
            // What led here says more than why this can't be undone.
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
            // A statement that was queued before it was refused.
            if !isLost { _ = try? run("ROLLBACK") }
            throw error
        }
        // Committed here, but a standby was waited for in vain: should this server fail, it may be undone.
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

/// A transaction may hold or not: the connection was lost while it was being committed, or the wait for a standby was cancelled.
struct CommitInDoubt: Error {
    let why: String
}
