/// The user that the relay runs as.
public struct Account: Hashable, Sendable {
    /// The name of the user in the system, as findings show it. If the user has no name, the user id as text.
    public var name: String
    /// The user id.
    public var id: UInt32
    /// The ids of all groups that the user is in.
    public var groups: [UInt32]

    public init(name: String, id: UInt32, groups: [UInt32]) {
        self.name = name
        self.id = id
        self.groups = groups
    }
}

extension Judge {
    /// Judges a file that the relay must read; nil if the relay can read it. Doctor, when root runs it, can read files
    /// that the relay can't.
    ///
    /// - Parameters:
    ///   - directories: the directories on the path to the file.
    ///   - reader: the relay's user.
    public static func reach(
        _ subject: Finding.Subject, _ file: FileStatus, through directories: [FileStatus], by reader: Account
    ) -> Finding? {
        let closed = directories.first { !allows(reader, 0o1, $0) } ?? (allows(reader, 0o4, file) ? nil : file)
        guard let closed else { return nil }
        let place = closed.path == file.path ? "" : ": \(closed.path) can't be accessed"
        // Only a warning: the unit may give the service more groups, and access control lists are not read.
        return .warning(
            subject, "the relay's user \(reader.name) can't read \(file.path)\(place)",
            remedy: "make a copy that it can read, and name the copy in the settings: install -m 600 -o "
                + "\(shellWord(reader.name)) \(shellWord(file.path)) /etc/hiveku-relay/ (for certificates, the README has a hook that does this at each "
                + "renewal). If the service's unit or an access control list allows it, nothing needs to be done")
    }

    /// Whether an account has a permission, given as one of the bits of `right` in the form of `rwx`.
    private static func allows(_ account: Account, _ right: UInt32, _ file: FileStatus) -> Bool {
        if account.id == 0 { return true }
        if file.owner == account.id { return file.permissions >> 6 & right != 0 }
        return file.permissions >> (account.groups.contains(file.group) ? 3 : 0) & right != 0
    }
}
