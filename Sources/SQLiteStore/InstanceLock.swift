import RelayCore

/// A relay's number among the relays on one database, held as long as the process lives, however it ends.
///
/// Each number is a lock, so whether the holder of a lease is still there can be asked at any time.
struct InstanceLock: Sendable {
    let number: Int
    private let file: LockFile

    /// Each the octet that is its lock.
    static let numbers = 0..<Int(MessageIDGenerator.instances)

    /// Takes the lowest number that is free.
    static func acquire(in file: LockFile) throws -> InstanceLock {
        for number in numbers where try file.take(number) { return InstanceLock(number: number, file: file) }
        throw StoreError.unavailable("\(MessageIDGenerator.instances) relays use this database already")
    }

    /// Whether a process holds `number`.
    func isHeld(_ number: Int64) -> Bool {
        if number == Int64(self.number) { return true }
        guard let number = Int(exactly: number), InstanceLock.numbers.contains(number) else { return false }
        // When the system can't say, the lease's own end decides.
        return (try? file.isAnyTaken(number..<number + 1)) ?? true
    }
}
