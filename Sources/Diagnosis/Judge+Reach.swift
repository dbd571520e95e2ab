/// Whom the relay runs as.
public struct Account: Hashable, Sendable {
    public var name: String
    public var id: UInt32
    public var groups: [UInt32]

    public init(name: String, id: UInt32, groups: [UInt32]) {
        self.name = name
        self.id = id
        self.groups = groups
    }
}

extension Judge {
    /// A file that the relay must read. Doctor, run by root, can read what the relay can't.
    ///
    /// - Parameters:
    ///   - directories: on the way to it.
    ///   - reader: the relay's user.
    public static func reach(
        _ subject: Finding.Subject, _ file: FileStatus, through directories: [FileStatus], by reader: Account
    ) -> Finding? {
        let closed = directories.first { !allows(reader, 0o1, $0) } ?? (allows(reader, 0o4, file) ? nil : file)
        guard let closed else { return nil }
        let place = closed.path == file.path ? "" : ": \(closed.path) is closed to it"
        // A warning: the unit may give the service further groups, and lists of access are not looked at.
        return .warning(
            subject, "the relay's user \(reader.name) may not read \(file.path)\(place)",
            remedy: "name a copy that it may read in the settings: install -m 600 -o \(shellWord(reader.name)) "
                + "\(shellWord(file.path)) /etc/hiveku-relay/ (for certificates the README has a hook that does it at each "
                + "renewal); nothing, if the service's unit or an access control list lets it")
    }

    /// Whether an account may do what one of the bits of `right` says, as in `rwx`.
    private static func allows(_ account: Account, _ right: UInt32, _ file: FileStatus) -> Bool {
        if account.id == 0 { return true }
        if file.owner == account.id { return file.permissions >> 6 & right != 0 }
        return file.permissions >> (account.groups.contains(file.group) ? 3 : 0) & right != 0
    }
}
