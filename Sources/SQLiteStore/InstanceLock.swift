import RelayCore

/// A relay's number among the relays on one database. The process holds the number until the process ends, however it
/// ends.
///
/// Each number is a lock, so it can be checked at any time whether the holder of a lease still exists.
struct InstanceLock: Sendable {
    let number: Int
    private let file: LockFile

    /// Each number is the octet that is its lock.
    static let numbers = 0..<Int(MessageIDGenerator.instances)

    /// Takes the lowest free number.
    static func acquire(in file: LockFile) throws -> InstanceLock {
        for number in numbers where try file.take(number) { return InstanceLock(number: number, file: file) }
        throw StoreError.unavailable("\(MessageIDGenerator.instances) relays already use this database")
    }

    /// Whether a process holds `number`.
    func isHeld(_ number: Int64) -> Bool {
        if number == Int64(self.number) { return true }
        guard let number = Int(exactly: number), InstanceLock.numbers.contains(number) else { return false }
        // If the system can't tell, the number counts as held, and the end of the lease decides.
        return (try? file.isAnyTaken(number..<number + 1)) ?? true
    }
}
