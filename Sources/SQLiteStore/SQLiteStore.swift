import Dispatch
import Foundation
import GRDB
import Glibc
import RelayCore
import Synchronization

/// The store on an SQLite database in WAL mode, with large bodies as files beside it.
///
/// Several processes may use the same database at a time: relays, and the operator's commands. All writes of a process
/// go through one connection, on its own thread. Nothing here blocks the caller's thread.
public final class SQLiteStore: Sendable {
    /// What the process uses the store for.
    public enum Role: Sendable {
        /// Accepts messages and delivers them. Needs its own instance number.
        case relay
        /// Reads and changes records, then ends.
        case tool
    }

    let pool: DatabasePool
    /// The connection for looking up keys.
    let lookUps: any DatabaseReader
    let spool: Spool
    let instanceLock: InstanceLock?
    private let turn: WriteTurn?
    /// Nil if the database is only examined.
    let locks: LockFile?
    let claimCursor = ClaimCursor()
    let forgetCursor = ForgetCursor()
    /// Called with the seconds that the sync of a transaction took.
    private let onSync: @Sendable (Double) -> Void
    public let newestMessage: MessageID?
    public let repeatKey: RepeatKey?
    private let storagePolicy: Mutex<StoragePolicy>
    let senderReportPolicy = Mutex(SenderReports.off)
    let waitingCursor = WaitingCursor()
    let space: FreeSpace
    /// Octets of test messages' bodies that were accepted but not counted yet. Changed only on the writing thread.
    let uncountedBodies = Atomic(0)
    /// While the store is copied: a connection that keeps all others from writing.
    let copyHold = Mutex<DatabaseQueue?>(nil)
    /// The state of the task that deletes simulated bodies.
    let simulatedDropper = Atomic(SimulatedDropper.idle.rawValue)

    /// How much space is kept free, and how much simulated bodies may use. May change at any time.
    public var storage: StoragePolicy {
        get { storagePolicy.withLock { $0 } }
        set { storagePolicy.withLock { $0 = newValue } }
    }

    /// The number of this relay among those on the same database; 0 for tools, which accept nothing.
    public var instance: Int64 { Int64(instanceLock?.number ?? 0) }

    /// Opens the database at `path`. Creates it (and its spool) if there is none, and migrates an older one.
    ///
    /// Blocks on files. A relay takes over deliveries that a former relay with its number was sending.
    ///
    /// - Parameters:
    ///   - storage: how much space is kept free, and how much simulated bodies may use.
    ///   - freeSpace: returns the free space in octets, in place of the file system; nil if it can't be determined. May
    ///     block.
    ///   - onSync: called with the seconds that the sync of each transaction took; must return quickly.
    /// - Throws: `StoreError`.
    public init(
        path: String, role: Role, now: Timestamp, storage: StoragePolicy = .unlimited,
        freeSpace: (@Sendable () -> Int?)? = nil, onSync: @escaping @Sendable (Double) -> Void = { _ in }
    ) throws {
        self.onSync = onSync
        storagePolicy = Mutex(storage)
        space = FreeSpace(freeSpace ?? { FreeSpace.octets(at: path) })
        do {
            try FileManager.default.createDirectory(
                atPath: SQLiteStore.directory(of: path), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw StoreError.unavailable("can't create the directory of \(path): \(error.localizedDescription)")
        }
        let locks = try LockFile(beside: path)
        let turn = WriteTurn(locks)
        self.turn = turn
        self.locks = locks
        spool = try Spool(beside: path)
        // SQLite gives the files beside the database the same owner and permissions.
        Glibc.close(try OwnedFile.open(path))
        do {
            // One process opens the database at a time. If two processes create it at once, SQLite refuses one of them
            // without waiting. Opening an existing database can be a write too: GRDB writes to it if its log is empty.
            pool = try turn.take {
                let pool = try SQLiteStore.open(path)
                try Schema.prepare(pool, path: path, relays: locks)
                return pool
            }
            (newestMessage, repeatKey) = try pool.read { database in
                (
                    try Int64.fetchOne(database, sql: "SELECT MAX(id) FROM message").flatMap(MessageID.init(rawValue:)),
                    try RepeatKey(in: database)
                )
            }
        } catch {
            throw StoreError(error)
        }
        // The number is taken only now: a process does not migrate the database while a relay has a number.
        instanceLock = role == .relay ? try InstanceLock.acquire(in: locks) : nil
        lookUps = role == .relay ? try SQLiteStore.openForLookUps(path) : pool
        if role == .relay {
            do {
                try SQLiteStore.quickCheck(path)
                _ = try pool.writeWithoutTransaction { database in
                    try transaction(in: database) {
                        try SQLiteStore.reclaim([instance], in: $0, now: now)
                    }
                }
                try removeOrphans(beside: path)
                // The database, the log and the spool may be new. SQLite syncs their directory too, but ignores a
                // failure.
                try SQLiteStore.syncDirectory(SQLiteStore.directory(of: path))
            } catch {
                throw StoreError(error)
            }
        }
    }

    /// Opens the database at `path` for inspection only: nothing is created, migrated or written, whatever version it
    /// has.
    ///
    /// Blocks on files. Records can be read if ``schemaVersion()`` is ``knownSchemaVersion``.
    ///
    /// - Throws: `StoreError`.
    public init(examining path: String) throws {
        instanceLock = nil
        turn = nil
        locks = nil
        storagePolicy = Mutex(.unlimited)
        space = FreeSpace { FreeSpace.octets(at: path) }
        onSync = { _ in }
        newestMessage = nil
        repeatKey = nil
        spool = Spool(alreadyBeside: path)
        var configuration = SQLiteStore.readOnly(label: "hiveku-relay.examination")
        configuration.maximumReaderCount = 4
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
        } catch {
            throw StoreError(error)
        }
        lookUps = pool
    }

    static func directory(of path: String) -> String {
        let directory = (path as NSString).deletingLastPathComponent
        return directory.isEmpty ? "." : directory
    }

    /// Syncs the names in a directory to disk.
    static func syncDirectory(_ path: String) throws {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemError() }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw systemError() }
    }

    /// The page size of a new database, in bytes.
    static let pageSize = 16384

    /// A connection and a thread only for keys: authentication does not wait for readers that count the queue, and
    /// needs few steps.
    private static func openForLookUps(_ path: String) throws -> DatabaseQueue {
        do {
            return try DatabaseQueue(path: path, configuration: readOnly(label: "hiveku-relay.keys"))
        } catch {
            throw StoreError(error)
        }
    }

    /// How long a write waits for another process to finish its own write, in seconds.
    static let busyTimeout = 5.0

    private static func open(_ path: String) throws -> DatabasePool {
        var configuration = Configuration()
        // Rows are written in an order that keeps the references valid. Checking would cost a look-up per insert.
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(busyTimeout)
        configuration.maximumReaderCount = 4
        configuration.label = "hiveku-relay"
        // The statements contain mail addresses, but errors are shown to operators. So errors do not include the
        // arguments.
        configuration.publicStatementArguments = false
        // The page size applies only to a new database. With large pages, a message is on few pages and needs few write
        // calls; see PERFORMANCE.md.
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA page_size = \(pageSize)") }
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB lowers `synchronous` when it opens a pool, but a 250 promises that the message is on disk.
        let synchronous = try pool.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
            return try Int.fetchOne(database, sql: "PRAGMA synchronous")
        }
        guard synchronous == 2 else { throw StoreError.unavailable("SQLite does not accept synchronous=FULL") }
        return pool
    }

    /// Checks for damage for up to ``lookTime``, which is enough to check all of a database that is not very large.
    ///
    /// Damage in the rest is found by `doctor`, or when the damaged part is read.
    private static func quickCheck(_ path: String) throws {
        // The check has a separate connection, so that the interruption affects nothing else. The connection closes
        // with its last reference.
        let queue = try DatabaseQueue(path: path, configuration: readOnly(label: "hiveku-relay.look"))
        let end = DispatchWorkItem { [weak queue] in queue?.interrupt() }
        DispatchQueue.global().asyncAfter(deadline: .now() + lookTime, execute: end)
        defer { end.cancel() }
        do {
            let said = try queue.read { try String.fetchAll($0, sql: "PRAGMA quick_check(1)") }
            guard said == ["ok"] else { throw StoreError.corrupt(said.joined(separator: "; ")) }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_INTERRUPT {
            // The part that was checked is sound.
        }
    }

    /// The longest duration of the check, in seconds: a start must not take noticeably longer because of it.
    static let lookTime = 0.3

    private static func readOnly(label: String) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busyTimeout)
        configuration.label = label
        configuration.publicStatementArguments = false
        return configuration
    }

    /// Closes the database, after the work in progress has finished.
    public func close() throws {
        try closeConnections()
        locks?.letGo(SQLiteStore.copyLock)
    }

    /// Closes the database, but keeps the copy lock, so that no other copy to it can begin.
    func closeConnections() throws {
        do {
            let uncounted = uncountedBodies.exchange(0, ordering: .relaxed)
            // Octets that can't be counted now are forgotten. The limit is less exact by that much.
            if uncounted > 0 { _ = try? pool.writeWithoutTransaction { try SimulatedBodies.add(uncounted, in: $0) } }
            copyHold.withLock { $0 = nil }
            try lookUps.close()
            try pool.close()
        } catch {
            throw StoreError(error)
        }
    }

    /// Rewrites an existing value and syncs it. Throws a `StoreError` if the store can't be written at the moment.
    public func checkWritable() async throws {
        try await write { database in
            // The version differs if a newer program has migrated the database. The newer version must not be
            // overwritten.
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard version == Schema.version else {
                throw StoreError.newerSchema(found: version, known: Schema.version)
            }
            try database.execute(sql: "PRAGMA user_version = \(version)")
        }
    }

    // MARK: Access

    // GRDB's own async functions are cancelled with the task that calls them. But some data must be recorded even if
    // its task was cancelled. So continuations are used here.

    /// Runs `body` in an IMMEDIATE transaction, which is synced to disk when this returns.
    func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            write(body) { continuation.resume(with: $0) }
        }
    }

    /// Like the async `write(_:)`, but calls `completion` on the writing thread.
    func write<T: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        pool.asyncWriteWithoutTransaction { [self] database in
            completion(Result { try transaction(in: database, body) }.mapError { StoreError($0) as any Error })
        }
    }

    /// Runs `body` in a transaction. GRDB's own transactions are not used, because they parse their statements each
    /// time.
    private func transaction<T>(in database: Database, _ body: (Database) throws -> T) throws -> T {
        let begin = try database.cachedStatement(sql: "BEGIN IMMEDIATE TRANSACTION")
        if let turn { try turn.take { try begin.execute() } } else { try begin.execute() }
        do {
            let result = try body(database)
            // After some errors SQLite rolls back by itself. Statements that a body ran after that would not be in a
            // transaction.
            guard database.isInsideTransaction else {
                throw StoreError.unavailable("the transaction was rolled back")
            }
            let ended = SystemClock().monotonicNow()
            try database.cachedStatement(sql: "COMMIT TRANSACTION").execute()
            onSync(SystemClock().monotonicNow().seconds(since: ended))
            return result
        } catch {
            // The original error says more than the reason why this can't be rolled back.
            try? database.rollback()
            throw error
        }
    }

    /// Runs `body` on a snapshot of the database.
    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            pool.asyncRead { database in
                continuation.resume(
                    with: Result { try body(database.get()) }.mapError { StoreError($0) as any Error })
            }
        }
    }
}

extension StoreError {
    /// The meaning of an error of SQLite, GRDB or the file system for the relay.
    init(_ error: any Error) {
        switch error {
        case let error as StoreError:
            self = error
        case let error as DatabaseError:
            switch error.resultCode {
            case .SQLITE_FULL: self = .full
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt(error.message ?? "\(error.resultCode)")
            case .SQLITE_BUSY, .SQLITE_LOCKED: self = .unavailable("another process keeps it locked")
            case .SQLITE_READONLY: self = .unavailable("it is read-only; check the permissions and the file system")
            case .SQLITE_CANTOPEN: self = .unavailable("it can't be opened; check the path and the permissions")
            default:
                self = .unavailable(error.message ?? "SQLite's error \(error.resultCode)")
            }
        case let error as POSIXError where error.code == .ENOSPC || error.code == .EDQUOT: self = .full
        case let error as POSIXError:
            self = .unavailable(String(cString: strerror(error.code.rawValue)))
        default: self = .unavailable("\(error)")
        }
    }
}
