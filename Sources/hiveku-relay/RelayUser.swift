import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// From root to the user whom the relay's files belong to.
///
/// The owner of the database's directory could have put links to other files in place of the relay's own, and what is made there
/// must be the relay's. So whatever root starts becomes that user before it opens anything there. It does so for a database server too,
/// which may know its users by those of the system, and whose password may be in a file of the relay's user.
enum RelayUser {
    /// Becomes the owner of the directory, or of the nearest one above it that is there. Does nothing for another user than root, or where
    /// root is the owner.
    ///
    /// - Returns: whether the process is now somebody else.
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

    /// Nil for a process that is not root.
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
        // The user's own group, whatever group the directory has: that may be root's.
        let entry = getpwuid(user)
        let group = entry?.pointee.pw_gid ?? group
        guard group != 0 else {
            throw CommandError(
                "can't become the owner of \(directory), who runs the relay: the group would be root's; change it with chgrp"
            )
        }
        // With the groups that the user has by the system's list, as systemd does it: certificates are often a group's.
        let groups = entry.map { initgroups($0.pointee.pw_name, group) } ?? setgroups(0, nil)
        // As root, these can't be taken back. The C library sees to it that all threads follow, but for the first one once Dispatch
        // has parked it: commands end soon after, `serve` calls this before.
        guard groups == 0, setgid(group) == 0, setuid(user) == 0, getegid() == group else {
            throw CommandError(
                "can't become the owner of \(directory), who runs the relay: \(String(cString: strerror(errno)))")
        }
    }
}
