import Foundation
import Glibc
import RelayCore

/// A database that a copy makes: `<path>.unfinished` with its spool, which get their own names when all is there.
///
/// So nothing ever takes a part of a copy for a relay's database.
public final class UnfinishedDatabase: Sendable {
    public let store: SQLiteStore
    private let path: String
    private var unfinished: String { UnfinishedDatabase.name(path) }

    private static func name(_ path: String) -> String { path + ".unfinished" }

    /// Makes it, or opens what an earlier copy has left. Blocks on files.
    ///
    /// - Throws: `StoreError.unavailable` where there is something at `path` already.
    public init(_ path: String, now: Timestamp) throws {
        self.path = path
        let unfinished = UnfinishedDatabase.name(path)
        for suffix in ["", "-wal", "-shm", "-journal"] where UnfinishedDatabase.exists(path + suffix) {
            throw StoreError.unavailable("\(path + suffix) is there already; name a file that is not there")
        }
        if UnfinishedDatabase.exists(path + ".spool") {
            // An earlier copy ended between the two names that it changes last.
            guard UnfinishedDatabase.exists(unfinished), !UnfinishedDatabase.exists(unfinished + ".spool") else {
                throw StoreError.unavailable("\(path).spool is there already; move it away, or name another file")
            }
            try UnfinishedDatabase.rename(path + ".spool", unfinished + ".spool")
        }
        store = try SQLiteStore(path: unfinished, role: .tool, now: now)
    }

    /// Closes it and gives it its name. Blocks on files.
    ///
    /// - Throws: `StoreError`. It can be repeated with a new value.
    public func finish() throws {
        // All of it into the file itself: the log does not get another name.
        try store.emptyLog()
        try store.closeConnections()
        if let size = UnfinishedDatabase.size(unfinished + "-wal"), size > 0 {
            throw StoreError.unavailable("another process has \(unfinished) open")
        }
        for suffix in ["-wal", "-shm"] { unlink(unfinished + suffix) }
        // The spool first: the database counts once its name is there, and its bodies must be there by then.
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

    /// In octets; nil where there is nothing.
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
