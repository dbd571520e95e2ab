import Foundation
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A relay's number among the relays on one database, held as long as the process lives, however it ends.
///
/// Each number is one octet of a file that is locked (an open file description lock, see fcntl(2)). The system lets go of it
/// with the process, so whether the holder of a lease is still there can be asked at any time.
final class InstanceLock: Sendable {
    let number: Int
    private let descriptor: CInt

    // Not imported from <fcntl.h>, where they hang on a macro; the same on every Linux.
    private static let getLock: CInt = 36
    private static let setLock: CInt = 37

    private init(number: Int, descriptor: CInt) {
        self.number = number
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Takes the lowest number that is free.
    static func acquire(beside path: String) throws -> InstanceLock {
        let file = path + ".instances"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StoreError.unavailable("can't open \(file): \(String(cString: strerror(errno)))")
        }
        for number in 0..<Int(MessageIDGenerator.instances) {
            var lock = octet(number)
            if fcntl(descriptor, setLock, &lock) == 0 { return InstanceLock(number: number, descriptor: descriptor) }
        }
        close(descriptor)
        throw StoreError.unavailable("\(MessageIDGenerator.instances) relays use this database already")
    }

    /// Whether a process holds `number`.
    func isHeld(_ number: Int64) -> Bool {
        if number == Int64(self.number) { return true }
        guard number >= 0, number < MessageIDGenerator.instances else { return false }
        var lock = InstanceLock.octet(Int(number))
        // When the system can't say, the lease's own end decides.
        guard fcntl(descriptor, InstanceLock.getLock, &lock) == 0 else { return true }
        return lock.l_type != Int16(F_UNLCK)
    }

    private static func octet(_ number: Int) -> flock {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(number)
        lock.l_len = 1
        return lock
    }
}
