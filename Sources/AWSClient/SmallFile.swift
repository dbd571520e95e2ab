#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Attributes of a file that change when it is written again.
struct FileFingerprint: Hashable, Sendable {
    private let device: UInt64, inode: UInt64
    private let size: Int64, seconds: Int64, nanoseconds: Int64

    /// Returns nil when there is no such file.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        seconds = Int64(status.st_mtim.tv_sec)
        nanoseconds = Int64(status.st_mtim.tv_nsec)
    }
}

/// Reads credential files. They are small, so they are read whole, and larger files are refused.
enum SmallFile {
    /// The rest of a sentence that begins with the file's name.
    enum Problem: Error, Equatable, CustomStringConvertible {
        case system(String)
        case noFile
        case tooLong(limit: Int)

        var description: String {
            switch self {
            case .system(let why): "can't be read: \(why)"
            case .noFile: "is not a regular file"
            case .tooLong(let limit): "is longer than \(limit) bytes"
            }
        }
    }

    static func contents(of path: String, limit: Int) throws(Problem) -> [UInt8] {
        // O_NONBLOCK: a pipe in the file's place must not block the daemon.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .noFile }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(String(cString: strerror(errno))) }
            guard count > 0 else { return bytes }
            bytes += piece[..<count]
            guard bytes.count <= limit else { throw .tooLong(limit: limit) }
        }
    }
}
