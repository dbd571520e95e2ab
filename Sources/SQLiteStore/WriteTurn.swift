import Glibc
import RelayCore
import Synchronization

/// Decides which of the processes on one database may begin the next write.
///
/// SQLite has no queue: a process that finds the database locked tries again after a while, up to 100 ms later. A relay
/// under load begins its next transaction within microseconds after the last one, so a command could try in vain
/// without end. So this lock is a turnstile: a process that wants to write takes the lock, begins its transaction, and
/// releases the lock. While a command has the turn and waits for the end of the relay's transaction, the relay can't
/// begin another one.
///
/// Only fairness depends on the turn; SQLite's lock ensures correctness. So no process waits for the turn without a
/// limit. If a process was stopped while it had the turn, the others wait for it once, and then ignore the turn until
/// it has released the lock. A process that was not stopped has begun within SQLite's time-out, or has given up.
final class WriteTurn: Sendable {
    private let file: LockFile
    private let isPassedBy = Atomic(false)

    /// The octet after the numbers of relays.
    static let octet = InstanceLock.numbers.upperBound

    /// How long to wait before the lock is tried again, in microseconds.
    private static let pause = 1000
    /// How often the lock is tried.
    private let tries: Int

    /// - Parameter timeout: in seconds. Longer than SQLite's time-out; otherwise a process that waits for the database
    ///   would be mistaken for one that was stopped.
    init(_ file: LockFile, timeout: Double = 1.2 * SQLiteStore.busyTimeout) {
        self.file = file
        tries = max(1, Int(timeout * 1_000_000) / WriteTurn.pause)
    }

    /// Calls `begin` when it is the caller's turn, or without a turn after the time-out. Returns the result of `begin`.
    /// Blocks.
    func take<T>(_ begin: () throws -> T) rethrows -> T {
        let has = wait()
        defer { if has { file.letGo(WriteTurn.octet) } }
        return try begin()
    }

    /// Waits for the turn, for a limited time. Returns whether the caller has it.
    private func wait() -> Bool {
        let passesBy = isPassedBy.load(ordering: .relaxed)
        for _ in 0..<(passesBy ? 1 : tries) {
            // If files can't be locked, all processes write without turns.
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
