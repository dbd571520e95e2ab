import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file of a listening Unix socket: made room for, opened to its group, and removed.
public final class UnixSocketFile: Sendable {
    /// Who may write to a socket may connect to it: the relay's user and group.
    static let mode: mode_t = 0o660

    private let path: String
    /// Of the file that was bound here: another's is not removed.
    private let inode = Mutex<ino_t?>(nil)

    /// - Parameter path: has at most 107 octets, as the system's addresses of Unix sockets have.
    public init(_ path: String) { self.path = path }

    /// Removes a socket that nobody listens at any more, left over from a crash. Returns what else is in the way.
    public func makeRoom() -> String? {
        guard let found = look() else {
            return errno == ENOENT ? nil : String(cString: strerror(errno))
        }
        guard found.st_mode & S_IFMT == S_IFSOCK else { return "there is a file that is no socket" }
        switch connect() {
        case 0: return "another process listens there"
        // Nobody listens, or the file went meanwhile.
        case ECONNREFUSED, ENOENT: break
        case let problem: return String(cString: strerror(problem))
        }
        guard unlink(path) == 0 || errno == ENOENT else { return String(cString: strerror(errno)) }
        return nil
    }

    /// The socket has been bound: opens it to the relay's group. Returns what went wrong.
    public func open() -> String? {
        inode.withLock { $0 = look()?.st_ino }
        return chmod(path, UnixSocketFile.mode) == 0 ? nil : String(cString: strerror(errno))
    }

    /// Removes the file, unless another has taken its place.
    public func remove() {
        guard let own = inode.withLock({ $0 }), look()?.st_ino == own else { return }
        unlink(path)
    }

    private func look() -> stat? {
        var found = stat()
        return lstat(path, &found) == 0 ? found : nil
    }

    /// 0, or the error's number. A Unix socket answers at once, unless its backlog is full: then somebody listens.
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

/// `connect(2)`, which the method of the same name hides.
private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    connect(descriptor, address, length)
}
