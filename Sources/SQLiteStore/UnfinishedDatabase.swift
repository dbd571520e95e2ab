import Foundation
import Glibc
import RelayCore

/// A database that a copy creates: `<path>.unfinished` with its spool. Both get their own names when the copy is
/// complete.
///
/// So an incomplete copy is never mistaken for a relay's database.
public final class UnfinishedDatabase: Sendable {
    public let store: SQLiteStore
    private let path: String
    private var unfinished: String { UnfinishedDatabase.name(path) }

    private static func name(_ path: String) -> String { path + ".unfinished" }

    /// Creates the unfinished database, or opens what an earlier copy has left. Blocks on files.
    ///
    /// - Throws: `StoreError.unavailable` if there is already something at `path`.
    public init(_ path: String, now: Timestamp) throws {
        self.path = path
        let unfinished = UnfinishedDatabase.name(path)
        for suffix in ["", "-wal", "-shm", "-journal"] where UnfinishedDatabase.exists(path + suffix) {
            throw StoreError.unavailable("\(path + suffix) already exists; name a file that does not exist")
        }
        if UnfinishedDatabase.exists(path + ".spool") {
            // An earlier copy ended between the two renames at its end.
            guard UnfinishedDatabase.exists(unfinished), !UnfinishedDatabase.exists(unfinished + ".spool") else {
                throw StoreError.unavailable("\(path).spool already exists; move it away, or name another file")
            }
            try UnfinishedDatabase.rename(path + ".spool", unfinished + ".spool")
        }
        store = try SQLiteStore(path: unfinished, role: .tool, now: now)
    }

    /// Closes the database and gives it its final name. Blocks on files.
    ///
    /// - Throws: `StoreError`. To try again, make a new `UnfinishedDatabase`.
    public func finish() throws {
        // Everything must be in the database file itself: the log is not renamed.
        try store.emptyLog()
        try store.closeConnections()
        if let size = UnfinishedDatabase.size(unfinished + "-wal"), size > 0 {
            throw StoreError.unavailable("another process has \(unfinished) open")
        }
        for suffix in ["-wal", "-shm"] { unlink(unfinished + suffix) }
        // The spool is renamed first: the database is valid once its name exists, and its bodies must exist by then.
        try UnfinishedDatabase.rename(unfinished + ".spool", path + ".spool")
        do {
            try SQLiteStore.syncDirectory(SQLiteStore.directory(of: path))
            try UnfinishedDatabase.rename(unfinished, path)
            unlink(unfinished + ".instances")
            try SQLiteStore.syncDirectory(SQLiteStore.directory(of: path))
        } catch {
            throw StoreError(error)
        }
    }

    private static func exists(_ path: String) -> Bool { size(path) != nil }

    /// The size in octets; nil if the file does not exist.
    private static func size(_ path: String) -> Int? {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    private static func rename(_ old: String, _ new: String) throws {
        guard Glibc.rename(old, new) == 0 else {
            throw StoreError.unavailable("can't rename \(old) to \(new): \(String(cString: strerror(errno)))")
        }
    }
}
