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
        // Not blocking, so that a pipe in the file's place holds nobody up until it is found out.
        let descriptor = try openWhatIsThere(path, O_RDWR | O_NONBLOCK)
        do {
            try check(descriptor, path, is: S_IFREG, "regular file")
        } catch {
            Glibc.close(descriptor)
            throw error
        }
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
            guard errno == EEXIST else { throw refused("make", path) }
            let descriptor = try openWhatIsThere(path, O_RDONLY | O_DIRECTORY)
            defer { Glibc.close(descriptor) }
            return try check(descriptor, path, is: S_IFDIR, "directory")
        }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw refused("open", path) }
        giveToOwnerOfDirectory(descriptor, path)
        Glibc.close(descriptor)
    }

    /// Goes through a link only where root or this process's user made it, and nobody else can put another in its place: people
    /// move a database or its spool to another disk by a link.
    private static func openWhatIsThere(_ path: String, _ flags: CInt) throws -> CInt {
        let descriptor = Glibc.open(path, flags | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor < 0 else { return descriptor }
        let failure = errno
        var (link, directory) = (stat(), stat())
        guard lstat(path, &link) == 0, link.st_mode & S_IFMT == S_IFLNK else {
            errno = failure
            throw refused("open", path)
        }
        let isSettled =
            stat(SQLiteStore.directory(of: path), &directory) == 0
            && (directory.st_mode & S_IWOTH == 0 || directory.st_mode & S_ISVTX != 0)
        guard isSettled, link.st_uid == 0 || link.st_uid == geteuid() else {
            throw StoreError.unavailable(
                "can't open \(path): it is a link that another user (uid \(link.st_uid)) made or can replace")
        }
        let followed = Glibc.open(path, flags | O_CLOEXEC)
        guard followed >= 0 else { throw refused("open", path) }
        return followed
    }

    /// What was opened, not what stands at the path by now: of the right kind, and not planted by another user.
    private static func check(_ descriptor: CInt, _ path: String, is kind: mode_t, _ name: String) throws {
        var (found, directory) = (stat(), stat())
        guard fstat(descriptor, &found) == 0 else { throw refused("look at", path) }
        guard found.st_mode & S_IFMT == kind else {
            throw StoreError.unavailable("can't open \(path): it is no \(name)")
        }
        let isDirectorys =
            stat(SQLiteStore.directory(of: path), &directory) == 0 && directory.st_uid == found.st_uid
        guard isDirectorys || found.st_uid == 0 || found.st_uid == geteuid() else {
            throw StoreError.unavailable(
                "can't open \(path): it belongs to another user (uid \(found.st_uid)) than its directory and the relay")
        }
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
