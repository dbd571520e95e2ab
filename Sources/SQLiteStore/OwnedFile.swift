import Foundation
import Glibc
import RelayCore

/// Creates and opens the store's files, which only their owner can use. The owner is the relay's user, who also owns
/// the directory.
///
/// Commands that root runs may create files before the relay's first start, or while the relay runs. The relay's user
/// could replace such a file by a link to any other file. So root gives the relay's user only files that it has just
/// created itself, and refers to them by descriptor, never by name.
enum OwnedFile {
    /// Opens the file at `path` for reading and writing. Creates it if there is none.
    static func open(_ path: String) throws -> CInt {
        if let descriptor = try make(path) { return descriptor }
        // Non-blocking, so that a pipe in the file's place does not block the process before it is detected.
        let descriptor = try openWhatIsThere(path, O_RDWR | O_NONBLOCK)
        do {
            try check(descriptor, path, is: S_IFREG, "regular file")
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Creates and opens the file at `path`; nil if something is there already.
    static func make(_ path: String) throws -> CInt? {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EEXIST { return nil }
        guard descriptor >= 0 else { throw refused("open", path) }
        giveToOwnerOfDirectory(descriptor, path)
        return descriptor
    }

    /// Creates the directory at `path` if nothing is there.
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

    /// Follows a link only if root or this process's user made it and no other user can replace it: people use links to
    /// move a database or its spool to another disk.
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

    /// Checks the opened file, and not the file that is at the path by now. The opened file must be of the right kind,
    /// and must not have been planted by another user.
    private static func check(_ descriptor: CInt, _ path: String, is kind: mode_t, _ name: String) throws {
        var (found, directory) = (stat(), stat())
        guard fstat(descriptor, &found) == 0 else { throw refused("look at", path) }
        guard found.st_mode & S_IFMT == kind else {
            throw StoreError.unavailable("can't open \(path): it is not a \(name)")
        }
        let isDirectorys =
            stat(SQLiteStore.directory(of: path), &directory) == 0 && directory.st_uid == found.st_uid
        guard isDirectorys || found.st_uid == 0 || found.st_uid == geteuid() else {
            throw StoreError.unavailable(
                "can't open \(path): it belongs to another user (uid \(found.st_uid)), not to the owner of its directory and the relay"
            )
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
