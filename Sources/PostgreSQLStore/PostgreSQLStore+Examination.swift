import RelayCore

extension PostgreSQLStore {
    /// Like ``init(_:role:storage:requiresReplica:renewalInterval:onSync:onDoubt:onConflict:)``, with the URI of the
    /// place.
    public convenience init(
        _ place: PostgreSQLPlace, role: Role, storage: StoragePolicy, requiresReplica: Bool,
        onSync: @escaping @Sendable (Double) -> Void, onDoubt: @escaping @Sendable (CommitDoubt) -> Void,
        onConflict: @escaping @Sendable (PrimaryConflict?) -> Void
    ) throws {
        try self.init(
            place.uri, role: role, storage: storage, requiresReplica: requiresReplica, renewalInterval: .seconds(2),
            onSync: onSync, onDoubt: onDoubt, onConflict: onConflict)
    }

    /// Examines the server that accepts writes, which the relay would use; if there is none, a standby. Creates and
    /// changes nothing. Blocks on a connection.
    ///
    /// - Throws: `StoreError`.
    public static func examine(_ place: PostgreSQLPlace) throws -> ServerExamination {
        let connector = try Connector(place.uri)
        let servers = connector.survey()
        let choice = PrimaryChoice(among: servers)
        func first(_ matches: (DatabaseServer.Role) -> Bool) -> Int? { servers.firstIndex { matches($0.role) } }
        // If servers contradict each other, what one of them says about itself is worth knowing all the same.
        let host = choice.chosen ?? first { if case .primary = $0 { true } else { false } } ?? first { $0 == .standby }
        guard let host else { throw StoreError.unavailable("no server answers: \(servers.summary)") }
        do {
            let connection = try connector.connect(to: host, takesStandbys: true)
            connection.begin(until: SystemClock().monotonicNow() + .seconds(4))
            var examination = try examine(connection)
            examination.server = connection.name
            examination.servers = servers
            examination.longestWaitForStandby = try longestWaitForStandby(connection)
            return examination
        } catch {
            throw StoreError(error)
        }
    }

    private static func examine(_ connection: Connection) throws -> ServerExamination {
        let clock = SystemClock()
        let before = clock.now()
        let general = try connection.first(
            """
            SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'),
                current_setting('synchronous_commit'), current_setting('autovacuum') = 'on',
                current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
                current_setting('max_connections')::bigint, current_setting('superuser_reserved_connections')::bigint,
                (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \(NodeRow.now),
                (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user),
                (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)
            """
        ) { row in
            (
                isInRecovery: row.boolean(0) ?? false, names: row.text(1) ?? "", commit: row.text(2) ?? "",
                autovacuum: row.boolean(3) ?? true, fsync: row.boolean(4) ?? true, pages: row.boolean(5) ?? true,
                maximum: Int(row.integer(6) ?? 0), reserved: Int(row.integer(7) ?? 0), used: Int(row.integer(8) ?? 0),
                time: row.timestamp(9) ?? before, limit: Int(row.integer(10) ?? -1), own: Int(row.integer(11) ?? 0)
            )
        }
        guard let general else { throw StoreError.unavailable("PostgreSQL returns nothing about itself") }
        let after = clock.now()
        let free = general.maximum - general.reserved - general.used
        let middle = before + .milliseconds((after.milliseconds - before.milliseconds) / 2)
        return ServerExamination(
            version: connection.serverVersion, isInRecovery: general.isInRecovery,
            replicas: try connection.rows(
                "SELECT application_name, coalesce(sync_state, '') FROM pg_stat_replication ORDER BY application_name"
            ) { .init(name: $0.text(0) ?? "", syncState: $0.text(1) ?? "") },
            synchronousStandbyNames: general.names, synchronousCommit: general.commit,
            oldestSnapshotAge: try oldestSnapshotAge(connection),
            inactiveSlots: general.isInRecovery ? [] : try inactiveSlots(connection),
            preparedTransactions: try connection.rows(
                """
                SELECT gid, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint FROM pg_prepared_xacts
                ORDER BY prepared LIMIT 100
                """
            ) { .init(gid: $0.text(0) ?? "", age: .milliseconds($0.integer(1) ?? 0)) },
            clockOffset: general.time - middle, autovacuum: general.autovacuum, fsync: general.fsync,
            fullPageWrites: general.pages, maximumConnections: general.maximum,
            freeConnections: max(0, general.limit < 0 ? free : min(free, general.limit - general.own)),
            schema: try schema(connection), knownSchema: Schema.version)
    }

    /// The age of the oldest open transaction that keeps vacuum from removing rows, on this server or on standbys that
    /// report theirs; nil if there is none. A transaction whose commit waits for a standby is left out: it ends with
    /// the wait, and must not be ended earlier.
    private static func oldestSnapshotAge(_ connection: Connection) throws -> Duration? {
        try connection.integer(
            """
            SELECT (extract(epoch FROM max(clock_timestamp() - xact_start)) * 1000)::bigint FROM pg_stat_activity
            WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
                AND wait_event IS DISTINCT FROM 'SyncRep'
            """
        ).map { .milliseconds($0) }
    }

    /// For how long the oldest commit has waited for a standby; nil if none is waiting.
    private static func longestWaitForStandby(_ connection: Connection) throws -> Duration? {
        try connection.integer(
            """
            SELECT (extract(epoch FROM max(clock_timestamp() - query_start)) * 1000)::bigint FROM pg_stat_activity
            WHERE wait_event = 'SyncRep'
            """
        ).map { .milliseconds($0) }
    }

    private static func inactiveSlots(_ connection: Connection) throws -> [ServerExamination.Slot] {
        try connection.rows(
            """
            SELECT slot_name::text, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint
            FROM pg_replication_slots WHERE NOT active ORDER BY slot_name LIMIT 100
            """
        ) { .init(name: $0.text(0) ?? "", retainedBytes: $0.integer(1) ?? 0) }
    }

    private static func schema(_ connection: Connection) throws -> Int? {
        do {
            let found = try Schema.found(in: connection)
            return found == 0 ? nil : found
        } catch StoreError.newerSchema(let found, _) {
            return found
        }
    }
}
