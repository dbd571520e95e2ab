import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file beside the database whose octets are locks between processes (open file description locks, see fcntl(2)).
///
/// The octets need not exist. The system releases a lock when the process that holds it ends, however it ends.
final class LockFile: Sendable {
    private let path: String
    private let descriptor: CInt

    // These constants are not imported from <fcntl.h>, where they depend on a macro. The values are the same on every
    // Linux.
    private static let getLock: CInt = 36
    private static let setLock: CInt = 37

    /// Opens the lock file of the database at `path`. Creates it if there is none.
    init(beside path: String) throws {
        self.path = path + ".instances"
        descriptor = try OwnedFile.open(self.path)
    }

    deinit { close(descriptor) }

    /// Takes a lock. Returns false if another holder has it: another process, or another `LockFile` of this process.
    ///
    /// - Throws: `StoreError` if files can't be locked here.
    func take(_ octet: Int) throws -> Bool {
        var lock = LockFile.lock(F_WRLCK, octet..<octet + 1)
        if fcntl(descriptor, LockFile.setLock, &lock) == 0 { return true }
        guard errno == EAGAIN || errno == EACCES else { throw refused() }
        return false
    }

    func letGo(_ octet: Int) {
        var lock = LockFile.lock(F_UNLCK, octet..<octet + 1)
        _ = fcntl(descriptor, LockFile.setLock, &lock)
    }

    /// Whether another holder has one of the locks.
    ///
    /// - Throws: `StoreError` if the system can't tell.
    func isAnyTaken(_ octets: Range<Int>) throws -> Bool {
        var lock = LockFile.lock(F_WRLCK, octets)
        guard fcntl(descriptor, LockFile.getLock, &lock) == 0 else { throw refused() }
        return lock.l_type != Int16(F_UNLCK)
    }

    /// Whether the file at the path is still the one that was opened.
    var isInPlace: Bool {
        var (own, found) = (stat(), stat())
        return fstat(descriptor, &own) == 0 && stat(path, &found) == 0 && own.st_ino == found.st_ino
            && own.st_dev == found.st_dev
    }

    private func refused() -> StoreError {
        .unavailable("can't lock \(path): \(String(cString: strerror(errno)))")
    }

    private static func lock(_ type: CInt, _ octets: Range<Int>) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(octets.lowerBound)
        lock.l_len = off_t(octets.count)
        return lock
    }
}
