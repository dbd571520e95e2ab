import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The change from root to the user that owns the relay's files.
///
/// The owner of the database's directory could have replaced the relay's files with links to other files, and files
/// that are created there must belong to the relay's user. So every command that root starts becomes that user before
/// it opens anything there. The command also becomes that user before it connects to a database server: the server may
/// know its users by the system's names, and the password may be in a file of the relay's user.
enum RelayUser {
    /// Becomes the owner of the directory, or of the nearest existing directory above it. Does nothing if the process
    /// is not root's, or if root is the owner.
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

    /// Finds the owner and the group of the nearest existing directory. Nil if the process is not root's, or if no
    /// directory can be examined.
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
        // Use the user's primary group. The directory's group may be root's, and is used only for a user that the
        // system does not list.
        let entry = getpwuid(user)
        let group = entry?.pointee.pw_gid ?? group
        guard group != 0 else {
            throw CommandError(
                "can't become the owner of \(directory), which is the user that runs the relay: the group would be root's; change it with chgrp"
            )
        }
        // Set the user's supplementary groups from the system's list, as systemd does: the certificates often belong to
        // one of these groups.
        let groups = entry.map { initgroups($0.pointee.pw_name, group) } ?? setgroups(0, nil)
        // Set HOME to the user's home, as systemd does. libpq and the AWS credentials look for files there, and the
        // user can't access root's home. Commands call this function before they open the store, so before libpq reads
        // HOME.
        if let entry { setenv("HOME", entry.pointee.pw_dir, 1) } else { unsetenv("HOME") }
        // For root, these calls can't be undone. The C library applies them to all threads, except to the first thread
        // once Dispatch has parked it. Some commands call this function after that, but they end soon. `serve` calls it
        // before that.
        guard groups == 0, setgid(group) == 0, setuid(user) == 0, getegid() == group else {
            throw CommandError(
                "can't become the owner of \(directory), which is the user that runs the relay: \(String(cString: strerror(errno)))"
            )
        }
    }
}
