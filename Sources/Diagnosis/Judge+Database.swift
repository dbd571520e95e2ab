import RelayCore

/// The result of opening the database.
public enum DatabaseObservation: Hashable, Sendable {
    case missing
    case failed(StoreError)
    case opened(schema: Int, known: Int)
}

/// The result of SQLite's check of the whole file.
public enum IntegrityObservation: Hashable, Sendable {
    /// The faults that were found; empty if the file is sound.
    case checked([String])
    /// The check did not finish within this time.
    case unfinished(Duration)
    case failed(String)
}

/// Who can access a file, and how.
public struct FileStatus: Hashable, Sendable {
    /// The path of the file or directory, as findings show it.
    public var path: String
    /// The user id of the owner.
    public var owner: UInt32
    /// The group id.
    public var group: UInt32
    /// The permissions: the last nine bits of `st_mode`.
    public var permissions: UInt32

    public init(path: String, owner: UInt32, group: UInt32, permissions: UInt32) {
        self.path = path
        self.owner = owner
        self.group = group
        self.permissions = permissions
    }
}

extension Judge {
    /// Judges the result of opening the database at `path`.
    public static func database(_ path: String, _ observation: DatabaseObservation) -> Finding {
        switch observation {
        case .missing:
            return .problem(
                .database, "there is no database at \(path)",
                remedy:
                    "start the relay, which creates it (systemctl start hiveku-relay), or name the right settings with --config"
            )
        case .failed(let error): return .problem(.database, "\(path): \(error)", remedy: remedy(error))
        case .opened(let schema, let known) where schema > known:
            return .problem(
                .database,
                "\(path) was written by a newer relay: its schema has version \(schema), this one supports up to \(known)",
                remedy: "install the newer relay again")
        case .opened(let schema, let known) where schema < known:
            return .warning(
                .database, "\(path) has the schema of an older relay, version \(schema) of \(known)",
                remedy:
                    "restart the relay, which migrates it and keeps a copy of the file: systemctl restart hiveku-relay"
            )
        case .opened(let schema, _): return .ok(.database, "\(path) opens, its schema has version \(schema)")
        }
    }

    /// Judges the result of the integrity check.
    public static func integrity(_ path: String, _ observation: IntegrityObservation) -> Finding {
        let command = "sqlite3 -readonly \(shellWord(path)) 'PRAGMA quick_check'"
        switch observation {
        case .checked([]): return .ok(.database, "SQLite's quick_check finds no fault in it")
        case .checked(let faults):
            return .problem(
                .database, "it is damaged: \(list(faults, limit: 3))",
                remedy: "stop the relay, keep a copy of the file, and restore a backup or use sqlite3's .recover")
        case .unfinished(let time):
            return .skipped(
                .database, "it is too large to check for damage within \(time.spelled)",
                remedy: "check it at a quiet time: \(command)")
        case .failed(let why):
            return .problem(.database, "it could not be checked for damage: \(why)", remedy: "try: \(command)")
        }
    }

    private static func remedy(_ error: StoreError) -> String {
        switch error {
        case .full: "free some space on its file system"
        case .corrupt: "stop the relay, keep a copy of the file, and restore a backup or use sqlite3's .recover"
        case .inDoubt, .instanceLost:
            "check that the database server runs and can be reached from here, then run doctor again"
        default: "check that this user can read it and its directory: run doctor as the relay's user or as root"
        }
    }

    /// Judges the database's files, those of them that are symbolic links, and their directory. The directory belongs
    /// to the relay's user, who may have made the links. So a command in a remedy must not follow a link.
    public static func permissions(
        directory: FileStatus, files: [FileStatus], links: [String] = [], user: String
    ) -> [Finding] {
        var findings: [Finding] = []
        if !links.isEmpty {
            findings.append(
                .warning(
                    .database, "\(list(links)) \(links.count == 1 ? "is a symbolic link" : "are symbolic links")",
                    remedy:
                        "check where it points: ls -l \(links.map(shellWord).joined(separator: " ")); name the file itself "
                        + "in the setting database"))
        }
        let open = files.filter { $0.permissions & 0o007 != 0 }
        // A user who can't search the directory can't reach any file in it.
        if directory.permissions & 0o001 != 0, !open.isEmpty {
            findings.append(
                .warning(
                    .database, "every user of this machine can access \(list(open.map(\.path))), which hold mail",
                    remedy: "chmod o-rwx \(open.map { shellWord($0.path) }.joined(separator: " "))"))
        }
        let closed = files.filter { !isWritable($0, by: directory) }
        if !closed.isEmpty {
            findings.append(
                .problem(
                    .database,
                    "the relay's user \(user), who owns \(directory.path), can't write \(list(closed.map(\.path)))",
                    remedy: "chown \(shellWord(user)): \(closed.map { shellWord($0.path) }.joined(separator: " "))"))
        }
        return findings
    }

    /// Whether the owner of the directory can write the file.
    private static func isWritable(_ file: FileStatus, by directory: FileStatus) -> Bool {
        if directory.owner == 0 { return true }
        if file.owner == directory.owner { return file.permissions & 0o200 != 0 }
        return file.permissions & (file.group == directory.group ? 0o020 : 0o002) != 0
    }

    /// Judges the free space of the database's file system, in bytes, against what the relay reserves.
    public static func disk(_ path: String, free: Int64, total: Int64, storage: StoragePolicy) -> Finding {
        let share = total > 0 ? Double(free) / Double(total) * 100 : 0
        let found = "\(size(free)) (\(Int(share)) %) are free on the file system of \(path)"
        let remedy =
            "free some space, or lower retention.simulated_size, retention.simulated and retention.failed, which keep bodies; "
            + "when it is full, mail is refused with 452"
        if free < storage.reserve {
            return .problem(
                .disk,
                "only \(found), less than storage.reserve: mail from test keys and large messages are refused with 452",
                remedy: remedy)
        }
        if free < 64_000_000 { return .problem(.disk, "only \(found)", remedy: remedy) }
        if free < storage.reserveTest {
            return .warning(
                .disk, "only \(found), less than storage.reserve_test: mail from test keys is refused with 452",
                remedy: remedy)
        }
        if free < 1_000_000_000 || share < 5 { return .warning(.disk, "only \(found)", remedy: remedy) }
        return .ok(.disk, found)
    }
}
