import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file of a listening Unix socket. This type removes an old file, gives the relay's group access to the new one,
/// and removes it at the end.
public final class UnixSocketFile: Sendable {
    /// Processes of the relay's user and group may write to the socket, and so connect to it.
    static let mode: mode_t = 0o660

    private let path: String
    /// The inode of the file that was bound here. A file of another process is not removed.
    private let inode = Mutex<ino_t?>(nil)

    /// - Parameter path: at most 107 octets, the limit of the system's Unix socket addresses.
    public init(_ path: String) { self.path = path }

    /// Removes a socket that no process listens on, for example after a crash. Returns nil if the path is free
    /// afterwards, or else the reason why it is not, such as a process that listens on the socket.
    public func makeRoom() -> String? {
        guard let found = look() else {
            return errno == ENOENT ? nil : String(cString: strerror(errno))
        }
        guard found.st_mode & S_IFMT == S_IFSOCK else { return "the path is a file that is not a socket" }
        switch connect() {
        case 0: return "another process listens on it"
        // No process listens, or the file was removed in the meantime.
        case ECONNREFUSED, ENOENT: break
        case let problem: return String(cString: strerror(problem))
        }
        guard unlink(path) == 0 || errno == ENOENT else { return String(cString: strerror(errno)) }
        return nil
    }

    /// Gives the relay's group access to the bound socket. Returns what went wrong, or nil.
    public func open() -> String? {
        inode.withLock { $0 = look()?.st_ino }
        return chmod(path, UnixSocketFile.mode) == 0 ? nil : String(cString: strerror(errno))
    }

    /// Removes the file, unless another file has taken its place.
    public func remove() {
        guard let own = inode.withLock({ $0 }), look()?.st_ino == own else { return }
        unlink(path)
    }

    private func look() -> stat? {
        var found = stat()
        return lstat(path, &found) == 0 ? found : nil
    }

    /// Tries to connect. Returns 0 if a process listens, or else the error number. A Unix socket with a full backlog
    /// does not answer at once (EAGAIN), but this too shows that a process listens on it.
    private func connect() -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return ENAMETOOLONG }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(
            AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                systemConnect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 || errno == EAGAIN ? 0 : errno
    }
}

/// Calls `connect(2)`, which the method of the same name hides.
private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    connect(descriptor, address, length)
}
