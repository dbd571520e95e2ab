import Diagnosis
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Checks whether the relay's user can read the files that the settings name. That user is the owner of the state
/// directory.
struct ReachCheck: Sendable {
    private let user: Account

    /// Nil if there is no such directory yet.
    init?(directory: String) {
        guard let status = FileStatus(of: directory) else { return nil }
        user = Account(owner: status)
    }

    func look(_ subject: Finding.Subject, at path: String) -> Finding? {
        let path = URL(fileURLWithPath: path).path
        // For a symbolic link, check the path to its target too: certbot's certificates are links.
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        let directories = ReachCheck.directories(path) + ReachCheck.directories(String(cString: real))
        guard let file = FileStatus(of: path) else { return nil }
        return Judge.reach(subject, file, through: directories.compactMap { FileStatus(of: $0) }, by: user)
    }

    /// The directories on the path to a file, outermost first.
    private static func directories(_ path: String) -> [String] {
        var directories: [String] = []
        var place = (path as NSString).deletingLastPathComponent
        while place.count > 1 {
            directories.append(place)
            place = (place as NSString).deletingLastPathComponent
        }
        return directories.reversed()
    }
}

extension Account {
    fileprivate init(owner status: FileStatus) {
        guard let entry = getpwuid(status.owner), let name = entry.pointee.pw_name else {
            self.init(name: "\(status.owner)", id: status.owner, groups: [status.group])
            return
        }
        var count: CInt = 64
        var groups = [gid_t](repeating: 0, count: Int(count))
        if getgrouplist(name, entry.pointee.pw_gid, &groups, &count) < 0 { count = 0 }
        self.init(
            name: String(cString: name), id: status.owner,
            groups: [entry.pointee.pw_gid] + groups.prefix(Int(max(count, 0))))
    }
}
