import Glibc
import RelayCore
import Synchronization

/// Whose turn it is to begin the next write, among processes on one database.
///
/// SQLite has no queue: who finds the database locked looks again after a while, up to 100 ms later. A relay under load begins its
/// next transaction within microseconds of the end of the last, so a command could look in vain for as long as it cared. Hence a
/// turnstile: who wants to write takes this lock, begins its transaction, and lets go of it. While a command has the turn and waits for
/// the relay's transaction to end, the relay can't begin another.
///
/// Nothing but fairness depends on it; what is right is up to SQLite's lock. So nobody waits for the turn for ever: a process
/// that was stopped while it had it is waited for once, then passed by until it has let go. One that is not stopped has begun within
/// SQLite's time-out, or given up.
final class WriteTurn: Sendable {
    private let file: LockFile
    private let isPassedBy = Atomic(false)

    /// Behind the numbers of relays.
    static let octet = InstanceLock.numbers.upperBound

    /// How long to wait before the turn is asked for once more, in microseconds.
    private static let pause = 1000
    /// How often it is asked for.
    private let tries: Int

    /// `patience` in seconds: longer than SQLite's time-out, or who waits for the database is taken for one that was stopped.
    init(_ file: LockFile, patience: Double = 1.2 * SQLiteStore.busyTimeout) {
        self.file = file
        tries = max(1, Int(patience * 1_000_000) / WriteTurn.pause)
    }

    /// Calls `begin` when it is the caller's turn, and returns what it returns. Blocks.
    func take<T>(_ begin: () throws -> T) rethrows -> T {
        let has = wait()
        defer { if has { file.letGo(WriteTurn.octet) } }
        return try begin()
    }

    /// Returns whether the turn is the caller's.
    private func wait() -> Bool {
        let passesBy = isPassedBy.load(ordering: .relaxed)
        for _ in 0..<(passesBy ? 1 : tries) {
            // Where files can't be locked, all go without turns.
            guard let isMine = try? file.take(WriteTurn.octet) else { return false }
            if isMine {
                if passesBy { isPassedBy.store(false, ordering: .relaxed) }
                return true
            }
            if !passesBy { usleep(UInt32(WriteTurn.pause)) }
        }
        isPassedBy.store(true, ordering: .relaxed)
        return false
    }
}
