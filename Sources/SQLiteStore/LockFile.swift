import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file beside the database whose octets are locks between processes (open file description locks, see fcntl(2)).
///
/// The octets need not exist. The system lets go of a lock with the process that holds it, however that ends.
final class LockFile: Sendable {
    private let descriptor: CInt

    // Not imported from <fcntl.h>, where they hang on a macro; the same on every Linux.
    private static let getLock: CInt = 36
    private static let setLock: CInt = 37

    /// Opens the file of the database at `path`, making it if there is none.
    init(beside path: String) throws {
        let file = path + ".instances"
        descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StoreError.unavailable("can't open \(file): \(String(cString: strerror(errno)))")
        }
        SQLiteStore.giveToOwnerOfDirectory(file)
    }

    deinit { close(descriptor) }

    /// Takes a lock, unless another has it: another process, or another `LockFile` of this one.
    func take(_ octet: Int) -> Bool { apply(LockFile.setLock, F_WRLCK, octet) != nil }

    func letGo(_ octet: Int) { _ = apply(LockFile.setLock, F_UNLCK, octet) }

    /// Whether another has the lock; nil when the system can't say.
    func isTaken(_ octet: Int) -> Bool? {
        apply(LockFile.getLock, F_WRLCK, octet).map { $0.l_type != Int16(F_UNLCK) }
    }

    private func apply(_ command: CInt, _ type: CInt, _ octet: Int) -> flock? {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(octet)
        lock.l_len = 1
        return fcntl(descriptor, command, &lock) == 0 ? lock : nil
    }
}
