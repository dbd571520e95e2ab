import GRDB

extension SQLiteStore {
    /// Returns when the writing thread and a reading thread have each had a turn, which shows that the store processes
    /// its work.
    ///
    /// Whether the database can be used is a different question. A lock, a full disk or damage is reported to the
    /// callers of other functions. This function detects a store that does not answer at all.
    public func turn() async {
        await withCheckedContinuation { continuation in
            pool.asyncWriteWithoutTransaction { _ in continuation.resume() }
        }
        await withCheckedContinuation { continuation in
            pool.asyncRead { _ in continuation.resume() }
        }
    }
}
