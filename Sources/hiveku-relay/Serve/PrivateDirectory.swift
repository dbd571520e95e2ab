import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A directory that only this process's user can access. It is held open: files in it are opened by their names within
/// it, never through a link.
///
/// It is for the demo, which starts in any directory, also in one where another user could have prepared files for it.
final class PrivateDirectory: Sendable {
    let path: String
    private let descriptor: CInt

    /// Creates the directory (mode 0700), or opens an existing one.
    ///
    /// - Throws: `CommandError` if it is a link, belongs to another user, or is open to other users.
    init(_ path: String) throws {
        self.path = path
        let parent = (path as NSString).deletingLastPathComponent
        var status = stat()
        guard stat(parent, &status) == 0 else { throw PrivateDirectory.failure("look at", parent) }
        guard status.st_mode & S_IWOTH == 0 || status.st_mode & S_ISVTX != 0 else {
            throw CommandError("every user of this machine can replace files in \(parent); start the demo elsewhere")
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw PrivateDirectory.failure("make", path) }
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandError(
                "can't use \(path): it is a link or not a directory; remove it, or start the demo elsewhere")
        }
        do {
            guard fstat(descriptor, &status) == 0 else { throw PrivateDirectory.failure("look at", path) }
            guard status.st_uid == geteuid() else {
                throw CommandError(
                    "can't use \(path): it belongs to another user (uid \(status.st_uid)); remove it, or start the demo elsewhere"
                )
            }
            guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
                throw CommandError(
                    "can't use \(path): other users can write to it; remove it, or start the demo elsewhere")
            }
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// The content of a file that this process's user wrote, at most `limit` octets. Nil if there is none.
    func read(_ name: String, limit: Int) -> [UInt8]? {
        let file = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = systemRead(file, &bytes, limit)
        return count >= 0 ? Array(bytes.prefix(count)) : nil
    }

    /// Writes `content` to a new file, which replaces whatever has the name. No other user can read the file at any
    /// moment (mode 0600).
    ///
    /// - Throws: `CommandError`.
    func write(_ content: [UInt8], to name: String) throws {
        let new = name + ".new"
        // A file with this name is left over from an interrupted start, or another user planted it. Remove it in both
        // cases.
        unlinkat(descriptor, new, 0)
        let file = openat(descriptor, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw PrivateDirectory.failure("write", path + "/" + name) }
        let written = systemWrite(file, content, content.count)
        let failure = PrivateDirectory.failure("write", path + "/" + name)
        close(file)
        guard written == content.count else { throw failure }
        guard renameat(descriptor, new, descriptor, name) == 0 else {
            throw PrivateDirectory.failure("write", path + "/" + name)
        }
    }

    private static func failure(_ what: String, _ path: String) -> CommandError {
        CommandError("can't \(what) \(path): \(String(cString: strerror(errno)))")
    }
}

/// Call `read(2)` and `write(2)`, which the methods of the same names hide.
private func systemRead(_ file: CInt, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(file, bytes, count)
}
private func systemWrite(_ file: CInt, _ bytes: UnsafeRawPointer, _ count: Int) -> Int { write(file, bytes, count) }
