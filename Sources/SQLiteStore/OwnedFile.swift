import Foundation
import Glibc
import RelayCore

/// What the store makes is its owner's alone, and its owner is the relay: who owns the directory.
///
/// Root's commands make files before the relay's first start, or beside it. The relay's user could put a link to any file in their
/// place, so root gives away nothing but what it has itself just made, and never by name.
enum OwnedFile {
    /// Opens the file at `path` for reading and writing, making it if there is none.
    static func open(_ path: String) throws -> CInt {
        if let descriptor = try make(path) { return descriptor }
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw refused("open", path) }
        return descriptor
    }

    /// Makes the file at `path` and opens it; nil if there is something already.
    static func make(_ path: String) throws -> CInt? {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EEXIST { return nil }
        guard descriptor >= 0 else { throw refused("open", path) }
        giveToOwnerOfDirectory(descriptor, path)
        return descriptor
    }

    /// Makes the directory at `path`, if there is nothing yet.
    static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o700) == 0 else {
            if errno == EEXIST { return }
            throw refused("make", path)
        }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw refused("open", path) }
        giveToOwnerOfDirectory(descriptor, path)
        Glibc.close(descriptor)
    }

    private static func giveToOwnerOfDirectory(_ descriptor: CInt, _ path: String) {
        guard geteuid() == 0 else { return }
        var directory = stat()
        guard stat(SQLiteStore.directory(of: path), &directory) == 0, directory.st_uid != 0 else { return }
        _ = fchown(descriptor, directory.st_uid, directory.st_gid)
    }

    private static func refused(_ what: String, _ path: String) -> StoreError {
        .unavailable("can't \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
