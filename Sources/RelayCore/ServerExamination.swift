/// What can be observed about a store's database server and its replicas.
public struct ServerExamination: Hashable, Sendable {
    /// A standby that receives the server's log.
    public struct Replica: Hashable, Sendable {
        /// The standby's `application_name`.
        public var name: String
        /// `sync`, `quorum`, `potential` or `async`; empty if the user is not allowed to see it.
        public var syncState: String

        public init(name: String, syncState: String) {
            self.name = name
            self.syncState = syncState
        }

        /// Whether commits wait for this standby.
        public var isSynchronous: Bool { syncState == "sync" || syncState == "quorum" }
    }

    /// A replication slot that no client reads.
    public struct Slot: Hashable, Sendable {
        /// The name of the slot (`slot_name` in `pg_replication_slots`).
        public var name: String
        /// The octets of the write-ahead log that the server keeps for the slot.
        public var retainedBytes: Int64

        public init(name: String, retainedBytes: Int64) {
            self.name = name
            self.retainedBytes = retainedBytes
        }
    }

    /// A transaction that was prepared for a two-phase commit and is still open.
    public struct PreparedTransaction: Hashable, Sendable {
        /// The name under which it was prepared.
        public var gid: String
        /// How long it has been open.
        public var age: Duration

        public init(gid: String, age: Duration) {
            self.gid = gid
            self.age = age
        }
    }

    /// Host and port of the server that was examined; empty if they are not known.
    public var server = ""
    /// All servers that the setting `database` names, and the states in which they were found.
    public var servers: [DatabaseServer] = []
    /// The value of `server_version_num`: 150018 for 15.18.
    public var version: Int
    /// Whether the server is a standby, which accepts no writes.
    public var isInRecovery: Bool
    /// The standbys in `pg_stat_replication`, by name.
    public var replicas: [Replica]
    /// The value of `synchronous_standby_names`; empty if commits wait for no standby.
    public var synchronousStandbyNames: String
    /// The value of `synchronous_commit` in a new session of the relay's user.
    public var synchronousCommit: String
    /// The age of the oldest snapshot that keeps vacuum from removing rows; nil if there is none.
    public var oldestSnapshotAge: Duration?
    /// For how long the oldest commit has waited for a standby; nil if none waits.
    public var longestWaitForStandby: Duration?
    /// The slots without a reader, at most 100, by name. Empty if the server is a standby.
    public var inactiveSlots: [Slot]
    /// The open prepared transactions (`pg_prepared_xacts`), at most 100, the oldest first.
    public var preparedTransactions: [PreparedTransaction]
    /// How far the server's clock is ahead of this machine's; negative if it is behind.
    public var clockOffset: Duration
    /// Whether the setting `autovacuum` is on. Without it the queue's tables grow and become slow.
    public var autovacuum: Bool
    /// Whether the setting `fsync` is on. Without it a crash of the server can lose acknowledged mail.
    public var fsync: Bool
    /// Whether the setting `full_page_writes` is on. Without it a power cut can damage the database.
    public var fullPageWrites: Bool
    /// The value of `max_connections`.
    public var maximumConnections: Int
    /// The number of connections that the relay's user can still open.
    public var freeConnections: Int
    /// The version of the relay's tables; nil if there are none.
    public var schema: Int?
    /// The version of the tables that this relay uses.
    public var knownSchema: Int

    public init(
        version: Int, isInRecovery: Bool, replicas: [Replica], synchronousStandbyNames: String,
        synchronousCommit: String,
        oldestSnapshotAge: Duration?, inactiveSlots: [Slot], preparedTransactions: [PreparedTransaction],
        clockOffset: Duration, autovacuum: Bool, fsync: Bool, fullPageWrites: Bool, maximumConnections: Int,
        freeConnections: Int, schema: Int?, knownSchema: Int
    ) {
        self.version = version
        self.isInRecovery = isInRecovery
        self.replicas = replicas
        self.synchronousStandbyNames = synchronousStandbyNames
        self.synchronousCommit = synchronousCommit
        self.oldestSnapshotAge = oldestSnapshotAge
        self.inactiveSlots = inactiveSlots
        self.preparedTransactions = preparedTransactions
        self.clockOffset = clockOffset
        self.autovacuum = autovacuum
        self.fsync = fsync
        self.fullPageWrites = fullPageWrites
        self.maximumConnections = maximumConnections
        self.freeConnections = freeConnections
        self.schema = schema
        self.knownSchema = knownSchema
    }
}
