import GRDB

extension SQLiteStore {
    /// Returns once the thread that writes has come around, and one that reads: the store works off what it is given.
    ///
    /// Whether the database can be used is another matter. A lock, a full disk or damage is told to those who ask for
    /// something; what this is for is a store that answers nobody.
    public func turn() async {
        await withCheckedContinuation { continuation in
            pool.asyncWriteWithoutTransaction { _ in continuation.resume() }
        }
        await withCheckedContinuation { continuation in
            pool.asyncRead { _ in continuation.resume() }
        }
    }
}
