import Dispatch
import Foundation
import RelayCore
import Synchronization

/// The store in a PostgreSQL database, which any number of relays share. It also contains large bodies: there are no
/// files on the relay's machine.
///
/// Nothing here blocks the caller's thread, except opening and closing. Each connection has its own thread, and is made
/// when it is first needed.
public final class PostgreSQLStore: Sendable {
    /// What the process uses the store for.
    public enum Role: Sendable {
        /// Accepts messages and delivers them. `name` is shown to operators; `version` is the program's version.
        case relay(name: String, version: String)
        /// Reads and changes records, then ends.
        case tool
        /// Copies the database, or copies to it, even if an earlier copy to it is unfinished.
        case copy
    }

    /// For accepting mail.
    let submissions: ConnectionThread
    /// For looking up keys, so that authentication waits for nothing else.
    let lookUps: ConnectionThread
    /// For claiming and settling deliveries.
    let deliveries: ConnectionThread
    /// For renewing the relay's place, which nothing may delay.
    let renewals: ConnectionThread
    /// For taking from the rates of keys.
    let keyRates: ConnectionThread
    /// For writing and reading large bodies.
    let bodies: ConnectionThread
    /// For everything else.
    let records: [ConnectionThread]
    private let nextRecords = Atomic(0)

    let connector: Connector
    let serverClock: ServerClock
    /// Nil for tools.
    let membership: Membership?
    private let renewer: Mutex<Task<Void, Never>?>
    /// Looks at the servers every few seconds. Nil if there is only one, and for tools.
    private let watcher: Mutex<Task<Void, Never>?>
    private let storagePolicy: Mutex<StoragePolicy>
    let senderReportPolicy = Mutex(SenderReports.off)
    let claimState = ClaimState()
    let uncapped = UncappedKeys()
    let slots = SharedCountSlots()
    let waitingCursor = WaitingCursor()
    /// Octets of test messages' bodies that were accepted but not counted yet.
    let uncountedBodies = Atomic(0)
    /// The state of the task that deletes simulated bodies, a ``SimulatedDropper``.
    let simulatedDropper = Atomic(SimulatedDropper.idle.rawValue)
    /// Up to where messages' words may be added to the index, as of the last call.
    let wordsEnd = Mutex<WordsRow.End?>(nil)
    /// The fingerprint that was examined last in the search for fingerprints that may be forgotten; empty if none was
    /// examined.
    let forgetPosition = Mutex<[UInt8]>([])
    /// Distinguishes a copy to the database from other copies.
    let copyNumber = Int64.random(in: 1...Int64.max)
    let onSync: @Sendable (Double) -> Void
    let onDoubt: @Sendable (CommitDoubt) -> Void
    public let newestMessage: MessageID?
    public let repeatKey: RepeatKey?
    public let requiresReplica: Bool

    public var storage: StoragePolicy {
        get { storagePolicy.withLock { $0 } }
        set { storagePolicy.withLock { $0 = newValue } }
    }

    /// How far a relay's clock may differ from the server's: SES refuses signatures with a wrong time, and operators
    /// read times from both.
    static let mostClockOffset = Duration.seconds(3)

    /// Opens the database. Creates the tables if there are none, and migrates older ones. Blocks.
    ///
    /// - Parameters:
    ///   - conninfo: where the database is, in a form that libpq accepts: a URI, or keywords and values.
    ///   - requiresReplica: whether the store refuses to open, and later to accept mail, while no standby confirms
    ///     commits.
    ///   - renewalInterval: how often the relay tells the others that it is alive.
    ///   - onSync: called with the seconds that the commit of each acceptance took; must return quickly.
    ///   - onDoubt: called with the outcome of each batch whose commit was in doubt; must return quickly.
    ///   - onConflict: called when several of the servers accept writes, and with nil when that is over; must return
    ///     quickly.
    /// - Throws: `StoreError`.
    public init(
        _ conninfo: String, role: Role, storage: StoragePolicy = .unlimited, requiresReplica: Bool = false,
        renewalInterval: Duration = .seconds(2), onSync: @escaping @Sendable (Double) -> Void = { _ in },
        onDoubt: @escaping @Sendable (CommitDoubt) -> Void = { _ in },
        onConflict: @escaping @Sendable (PrimaryConflict?) -> Void = { _ in }
    ) throws {
        let connector = try Connector(conninfo, onConflict: onConflict)
        self.connector = connector
        self.onSync = onSync
        self.onDoubt = onDoubt
        self.requiresReplica = requiresReplica
        storagePolicy = Mutex(storage)
        serverClock = ServerClock()
        renewer = Mutex(nil)
        watcher = Mutex(nil)
        let records = ConnectionThread("records", connector)
        switch role {
        case .relay(let name, let version):
            membership = Membership(name: name, version: version, clock: serverClock)
            submissions = ConnectionThread("submissions", connector)
            lookUps = ConnectionThread("keys", connector)
            deliveries = ConnectionThread("deliveries", connector)
            renewals = ConnectionThread("renewals", connector)
            keyRates = ConnectionThread("rates", connector)
            bodies = ConnectionThread("bodies", connector)
            self.records = [records, ConnectionThread("records-2", connector)]
        case .tool, .copy:
            membership = nil
            submissions = records
            lookUps = records
            deliveries = records
            renewals = records
            keyRates = records
            bodies = records
            self.records = [records]
        }
        let isCopy = if case .copy = role { true } else { false }
        do {
            (newestMessage, repeatKey) = try records.runBlocking { [serverClock, membership] connection in
                try PostgreSQLStore.check(connection)
                try Schema.prepare(in: connection)
                try PostgreSQLStore.read(serverClock, in: connection)
                if membership != nil, requiresReplica, try !ReplicaRow.isThere(in: connection) {
                    throw StoreError.unavailable(ReplicaRow.missing)
                }
                let newest = try connection.integer("SELECT max(id) FROM message")
                let key = try connection.first("SELECT bytes, former_until FROM repeat_key") { row in
                    row.bytes(0).flatMap(ContentHash.Key.init).map { RepeatKey($0, formerUntil: row.timestamp(1)) }
                }
                if !isCopy, try connection.isTrue(UnfinishedCopy.isThere) {
                    throw StoreError.unavailable(UnfinishedCopy.explanation)
                }
                return (newest.flatMap(MessageID.init(rawValue:)), key ?? nil)
            }
            guard let membership else { return }
            let offset = serverClock.machineOffset ?? .zero
            guard offset.magnitude <= PostgreSQLStore.mostClockOffset else {
                throw StoreError.unavailable(
                    "this machine's clock is \(Int(offset.inSeconds.rounded())) s ahead of PostgreSQL's; synchronise both with NTP and start the relay again"
                )
            }
            try renewals.runBlocking { try membership.renew(in: $0) }
        } catch {
            throw StoreError(error)
        }
        renewer.withLock { $0 = Task { [weak self] in await self?.keepPlace(renewalInterval) } }
        guard connector.names.count > 1 else { return }
        watcher.withLock { $0 = Task { await PostgreSQLStore.watch(connector) } }
    }

    /// How often the servers are looked at.
    private static let lookInterval = Duration.seconds(5)

    /// Looks at the servers until the store is closed, on a thread of its own: a server that does not answer must not
    /// delay the renewals.
    private static func watch(_ connector: Connector) async {
        let queue = DispatchQueue(label: "hiveku-relay.postgresql.watch")
        while (try? await Task.sleep(for: lookInterval)) != nil {
            await withCheckedContinuation { continuation in
                queue.async {
                    connector.look()
                    continuation.resume()
                }
            }
        }
    }

    /// Checks the requirements of every relay on a server.
    private static func check(_ connection: Connection) throws {
        guard connection.serverVersion >= 150_000 else {
            throw StoreError.unavailable(
                "PostgreSQL \(connection.serverVersion / 10000) is too old; the relay needs version 15 or newer")
        }
        let setting = try connection.first("SELECT current_setting('synchronous_commit')") { $0.text(0) } ?? nil
        guard setting != "off" else {
            throw StoreError.unavailable(
                "synchronous_commit is off, so accepted mail could be lost; run ALTER ROLE … SET synchronous_commit = on for the relay's role"
            )
        }
    }

    private static func read(_ clock: ServerClock, in connection: Connection) throws {
        let began = clock.monotonicNow()
        guard let time = try connection.first("SELECT \(NodeRow.now)", [], { $0.timestamp(0) }) ?? nil else { return }
        clock.take(time, askedAt: began, answeredAt: clock.monotonicNow())
    }

    /// Renews the relay's place until the store is closed.
    private func keepPlace(_ interval: Duration) async {
        var pause = interval
        while !Task.isCancelled {
            // If the sleep was cancelled, the relay is ending. It leaves its place, and must not join again.
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            do {
                try await renewPlace()
                pause = interval
            } catch {
                // The renewal is tried again soon. In the meantime this relay counts as alive for a while, and then
                // stops sending by itself. A relay that has lost its place accepts nothing until it has another one.
                pause = min(interval, .milliseconds(250))
            }
        }
    }

    func renewPlace() async throws {
        guard let membership else { return }
        // This limit is shorter than the time for which the relay relies on its claims.
        try await renewals.run(within: .seconds(4)) { try membership.renew(in: $0) }
    }

    /// Closes the connections, after the work in progress has finished.
    public func close() throws {
        renewer.withLock { $0?.cancel() }
        watcher.withLock { $0?.cancel() }
        if let membership { try? renewals.runBlocking(within: .seconds(10)) { try membership.leave(in: $0) } }
        for thread in [submissions, lookUps, deliveries, renewals, keyRates, bodies] + records { thread.close() }
    }

    // MARK: Access

    private var someRecords: ConnectionThread {
        records[nextRecords.wrappingAdd(1, ordering: .relaxed).oldValue & 0xFFFF % records.count]
    }

    /// Runs `body` in a transaction, which is durable when this returns.
    func write<T: Sendable>(
        on thread: ConnectionThread? = nil, _ body: @escaping @Sendable (Connection) throws -> T
    ) async throws -> T {
        try await (thread ?? someRecords).run { connection in try connection.transaction { try body(connection) } }
    }

    /// Runs `body` on a snapshot of the database, for reads with more than one statement.
    func read<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
        try await someRecords.run { connection in try connection.snapshot { try body(connection) } }
    }

    /// Runs `body`, which reads with one statement, or with several that need not be consistent.
    func look<T: Sendable>(
        on thread: ConnectionThread? = nil, _ body: @escaping @Sendable (Connection) throws -> T
    ) async throws -> T {
        try await (thread ?? someRecords).run(body)
    }

    /// Checks whether the tables can be written and, if a replica is required, whether it is connected.
    public func checkWritable() async throws {
        let requiresReplica = requiresReplica && membership != nil
        try await write { connection in
            let found = try Schema.found(in: connection)
            guard found == Schema.version else { throw StoreError.newerSchema(found: found, known: Schema.version) }
            if requiresReplica, try !ReplicaRow.isThere(in: connection) {
                throw StoreError.unavailable(ReplicaRow.missing)
            }
            try connection.execute("UPDATE schema_version SET version = version")
        }
    }

    /// Returns when the threads have had a turn. Whether the database can be used is a different question.
    public func turn() async {
        for thread in [deliveries, submissions] { await thread.turn() }
    }

    public static var knownSchemaVersion: Int { Schema.version }

    public func schemaVersion() async throws -> Int { try await look { try Schema.found(in: $0) } }

    public func recentSenders(of key: KeyID, amongLast limit: Int) async throws -> [String] {
        let senders = try await look { connection in
            try connection.rows(
                """
                SELECT reverse_path FROM (SELECT reverse_path FROM message WHERE key = $1 ORDER BY id DESC LIMIT $2) AS last
                WHERE reverse_path IS NOT NULL
                """, [key.text, limit]
            ) { $0.text(0) }
        }
        var seen: Set<String> = []
        return senders.compactMap { $0 }.filter { seen.insert($0).inserted }
    }
}

/// Standbys that confirm commits (PostgreSQL documentation, "Synchronous Replication").
enum ReplicaRow {
    static let missing =
        "database_replica is required, and no synchronous standby confirms commits; set synchronous_standby_names and start the standby"

    /// Whether commits wait for a standby, whether it is connected or not.
    static let commitsWait = """
        current_setting('synchronous_standby_names') <> ''
            AND current_setting('synchronous_commit') IN ('on', 'remote_apply', 'remote_write')
        """

    /// Whether commits wait for a standby and one is connected. `pg_stat_replication` shows its columns only to members
    /// of `pg_monitor`; for other users the setting must suffice.
    static func isThere(in connection: Connection) throws -> Bool {
        try connection.isTrue(
            """
            SELECT \(commitsWait)
                AND (NOT pg_has_role(current_user, 'pg_monitor', 'USAGE')
                    OR EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')))
            """)
    }
}

extension Duration {
    var magnitude: Duration { self < .zero ? .zero - self : self }
}
