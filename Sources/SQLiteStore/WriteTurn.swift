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
/// that was stopped while it had it is waited for once, then passed by until it has let go.
final class WriteTurn: Sendable {
    private let file: LockFile
    private let isPassedBy = Atomic(false)

    /// Behind the numbers of relays.
    static let octet = Int(MessageIDGenerator.instances)

    /// How long to wait before the turn is asked for once more, in microseconds, and how often: a second in all.
    private static let pause: UInt32 = 1000
    private static let tries = 1000

    init(_ file: LockFile) { self.file = file }

    /// Calls `begin` when it is the caller's turn. Blocks.
    func take(_ begin: () throws -> Void) rethrows {
        let has = wait()
        defer { if has { file.letGo(WriteTurn.octet) } }
        try begin()
    }

    /// Returns whether the turn is the caller's.
    private func wait() -> Bool {
        let passesBy = isPassedBy.load(ordering: .relaxed)
        for _ in 0..<(passesBy ? 1 : WriteTurn.tries) {
            if file.take(WriteTurn.octet) {
                if passesBy { isPassedBy.store(false, ordering: .relaxed) }
                return true
            }
            if !passesBy { usleep(WriteTurn.pause) }
        }
        isPassedBy.store(true, ordering: .relaxed)
        return false
    }
}
