import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The change from root to the user that owns the relay's files.
///
/// The owner of the database's directory could have replaced the relay's files with links to other files, and files
/// that are created there must belong to the relay. So every command that root starts becomes that user before it opens
/// anything there. The same holds for a database server: it may know its users by the system's names, and the password
/// may be in a file of the relay's user.
enum RelayUser {
    /// Becomes the owner of the directory, or of the nearest existing one above it. Does nothing if the process is not
    /// root's, or if root is the owner.
    ///
    /// - Returns: whether the process now runs as another user.
    /// - Throws: `CommandError`.
    @discardableResult
    static func become(ownerOf directory: String) throws -> Bool {
        guard let owner = owner(of: directory), owner.user != 0 else { return false }
        try become(owner.user, owner.group, directory: owner.directory)
        return true
    }

    /// Whether ``become(ownerOf:)`` will change anything.
    static func isAnother(thanOwnerOf directory: String) -> Bool {
        owner(of: directory).map { $0.user != 0 } ?? false
    }

    /// Nil if the process is not root's.
    private static func owner(of directory: String) -> (directory: String, user: uid_t, group: gid_t)? {
        guard geteuid() == 0 else { return nil }
        var directory = directory
        var status = stat()
        while stat(directory.isEmpty ? "." : directory, &status) != 0 {
            guard errno == ENOENT, !directory.isEmpty, directory != "/" else { return nil }
            directory = (directory as NSString).deletingLastPathComponent
        }
        return (directory.isEmpty ? "." : directory, status.st_uid, status.st_gid)
    }

    private static func become(_ user: uid_t, _ group: gid_t, directory: String) throws {
        // The user's primary group, whatever group the directory has: that one may be root's.
        let entry = getpwuid(user)
        let group = entry?.pointee.pw_gid ?? group
        guard group != 0 else {
            throw CommandError(
                "can't become the owner of \(directory), which is the user that runs the relay: the group would be root's; change it with chgrp"
            )
        }
        // With the user's supplementary groups from the system's list, as systemd sets them: a group often owns the
        // certificates.
        let groups = entry.map { initgroups($0.pointee.pw_name, group) } ?? setgroups(0, nil)
        // The user's, as systemd sets it. Libpq and the AWS credentials look for files there, and root's home is closed to
        // the user. Commands call this before they start threads.
        if let entry { setenv("HOME", entry.pointee.pw_dir, 1) } else { unsetenv("HOME") }
        // As root these can't be undone. The C library makes all threads follow, except the first one after Dispatch
        // has parked it. Commands end soon after that, and `serve` calls this before that.
        guard groups == 0, setgid(group) == 0, setuid(user) == 0, getegid() == group else {
            throw CommandError(
                "can't become the owner of \(directory), which is the user that runs the relay: \(String(cString: strerror(errno)))"
            )
        }
    }
}
