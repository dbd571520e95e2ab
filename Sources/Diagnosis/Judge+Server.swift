import RelayCore
import Settings

/// The result of asking a database server about itself.
public enum ServerObservation: Hashable, Sendable {
    case failed(StoreError)
    case answered(ServerExamination)
}

extension Judge {
    /// The oldest PostgreSQL that the relay works with.
    static let oldestServer = 150_000
    /// The connections of one relay, and one more for a command.
    static let connectionsNeeded = 9
    /// A relay whose clock differs by more does not start (`PostgreSQLStore.mostClockOffset`).
    static let clockDifferenceAllowed = Duration.seconds(3)
    static let clockDifferenceNoticed = Duration.seconds(1)
    /// A standby confirms a commit within milliseconds.
    static let standbyWaitAllowed = Duration.seconds(3)
    static let snapshotAgeAllowed = Duration.seconds(600)
    static let preparedAgeAllowed = Duration.seconds(300)
    static let slotSizeAllowed: Int64 = 10_000_000_000

    /// Judges a database server: whether it can be used, what its commits guarantee, and what makes it slow.
    public static func server(
        _ place: PostgreSQLPlace, _ observation: ServerObservation, replica: RelaySettings.DatabaseReplica
    ) -> [Finding] {
        switch observation {
        case .failed(let error):
            return [.problem(.database, "\(place): \(error)", remedy: serverRemedy(error))]
        case .answered(let found):
            let obstacles = version(found) + recovery(found)
            guard obstacles.isEmpty else { return obstacles }
            let schema = schema(place, found)
            // With two primaries, advice about the standbys of one of them could be obeyed on the wrong one.
            let commits = primaries(found) ?? standbys(found, replica)
            return [schema] + durability(found) + commits + vacuum(found) + slots(found)
                + clockOfServer(found) + connections(found)
        }
    }

    /// Replaces the disk check of an SQLite database.
    public static let serverDisk = Finding.skipped(
        .disk, "messages are on the database server, whose disk can't be seen from here",
        remedy: "watch the free space of the server: when its disk is full, mail is refused with 452")

    /// Judges a file with a secret for the connection. libpq does not use it if others can read it.
    ///
    /// - Parameter parameter: the parameter of the URI that names it: `passfile` or `sslkey`.
    public static func databaseSecret(_ parameter: String, _ file: FileStatus) -> Finding? {
        // For a key that root owns, the group may have access (libpq's manual, section "Client certificates").
        let closed: UInt32 = parameter == "sslkey" && file.owner == 0 ? 0o037 : 0o077
        guard file.permissions & closed != 0 else { return nil }
        return .problem(
            .database, "the \(parameter) \(file.path) is open to other users, so libpq does not use it",
            remedy: "chmod \(closed == 0o037 ? "g-wx,o-rwx" : "go-rwx") \(shellWord(file.path))")
    }

    private static func serverRemedy(_ error: StoreError) -> String {
        switch error {
        case .full: "free some space on the server's disk"
        case .corrupt: "stop the relays, and restore the database from a backup"
        case .newerSchema: "install the newer relay again"
        case .olderSchemaInUse: "run hiveku-relay status to list the relays, and upgrade all of them"
        default:
            "check that the server runs, and try to connect with psql as the relay's user: docs/postgresql.md, section \"When it does "
                + "not connect\""
        }
    }

    private static func version(_ found: ServerExamination) -> [Finding] {
        guard found.version < oldestServer else { return [] }
        return [
            .problem(
                .database,
                "the server is PostgreSQL \(spelled(version: found.version)), but the relay needs 15 or newer",
                remedy: "upgrade the server: pg_upgrade keeps the data")
        ]
    }

    private static func recovery(_ found: ServerExamination) -> [Finding] {
        guard found.isInRecovery else { return [] }
        let promotion =
            "promote the standby\(on(found)): ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf(); "
            + "SELECT pg_promote()"
        guard found.servers.count > 1 else {
            return [
                .problem(
                    .database, "the server\(called(found)) is a standby, which accepts no writes",
                    remedy:
                        "name all servers in the setting database, as in postgresql://relay@db1,db2/relay: the relay uses the one "
                        + "that accepts writes; or \(promotion)")
            ]
        }
        return [
            .problem(
                .database, "no server accepts writes: \(found.servers.summary)",
                remedy:
                    "start the primary; or, if it is gone and does not start again by itself, \(promotion)")
        ]
    }

    /// Nil unless several servers accept writes.
    private static func primaries(_ found: ServerExamination) -> [Finding]? {
        guard let conflict = PrimaryChoice(among: found.servers).conflict else { return nil }
        return [.problem(.database, conflict.explanation, remedy: conflict.remedy)]
    }

    /// The server's name after a noun, or nothing if it is not known.
    private static func called(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " \(found.server)"
    }

    /// Where something happens, or nothing if the name is not known.
    private static func at(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " on \(found.server)"
    }

    /// What the standbys are connected to, or nothing if the name is not known.
    private static func to(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " to \(found.server)"
    }

    /// Where an SQL statement is to be run, or nothing if the name is not known.
    private static func on(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : ", on \(found.server)"
    }

    private static func schema(_ place: PostgreSQLPlace, _ found: ServerExamination) -> Finding {
        let server =
            "\(place) answers\(found.server.isEmpty ? "" : " at \(found.server)"), PostgreSQL \(spelled(version: found.version))"
        guard let schema = found.schema else {
            return .warning(
                .database, "\(server); the relay's tables do not exist yet",
                remedy: "start the relay, which creates them (systemctl start hiveku-relay)")
        }
        if schema > found.knownSchema {
            return .problem(
                .database,
                "\(place) was written by a newer relay: its schema has version \(schema), this one supports up to "
                    + "\(found.knownSchema)", remedy: "install the newer relay here too")
        }
        if schema < found.knownSchema {
            return .warning(
                .database, "\(place) has the schema of an older relay, version \(schema) of \(found.knownSchema)",
                remedy:
                    "make a backup, stop all relays on it, and start them again with the new version: the first one migrates "
                    + "it")
        }
        return .ok(.database, "\(server); its schema has version \(schema)")
    }

    /// The version as people write it, such as 15.18 for 150018.
    private static func spelled(version: Int) -> String { "\(version / 10_000).\(version % 10_000)" }

    // MARK: What a commit promises

    private static func durability(_ found: ServerExamination) -> [Finding] {
        var findings: [Finding] = []
        if !found.fsync {
            findings.append(
                .problem(
                    .database, "fsync is off: a crash of the server can lose acknowledged mail and damage the database",
                    remedy: set("fsync = on")))
        }
        if !found.fullPageWrites {
            findings.append(
                .warning(
                    .database,
                    "full_page_writes is off: a power cut can damage the database, unless its file system excludes torn pages",
                    remedy: set("full_page_writes = on")))
        }
        switch found.synchronousCommit {
        case "off":
            findings.append(
                .problem(
                    .database, "synchronous_commit is off: a crash of the server loses acknowledged mail",
                    remedy: set("synchronous_commit = on")))
        case "local" where !found.synchronousStandbyNames.isEmpty:
            findings.append(
                .problem(
                    .database,
                    "synchronous_commit is local: no commit waits for a standby, although synchronous_standby_names is set",
                    remedy: set("synchronous_commit = on")))
        case "remote_write" where !found.synchronousStandbyNames.isEmpty:
            findings.append(
                .warning(
                    .database,
                    "synchronous_commit is remote_write: the standby has acknowledged mail in memory, but perhaps not on disk",
                    remedy: set("synchronous_commit = on")))
        default: break
        }
        return findings
    }

    private static func standbys(_ found: ServerExamination, _ replica: RelaySettings.DatabaseReplica) -> [Finding] {
        let synchronous = found.replicas.filter(\.isSynchronous)
        let isHidden = found.replicas.contains { $0.syncState.isEmpty }
        if found.synchronousStandbyNames.isEmpty {
            if replica == .required {
                return [
                    .problem(
                        .database,
                        "database_replica is required, but synchronous_standby_names is empty: no commit waits for a standby, and the "
                            + "relay acknowledges no mail",
                        remedy: found.replicas.isEmpty
                            ? "set up a standby (docs/postgresql.md), or set database_replica to none"
                            : set("synchronous_standby_names = '*'"))
                ]
            }
            guard !found.replicas.isEmpty else {
                guard found.servers.count > 1 else {
                    return [.ok(.database, "there is no standby: acknowledged mail is only on this server")]
                }
                // Several servers are named so that one can take over.
                return [
                    .warning(
                        .database,
                        "there is no standby: acknowledged mail is only on this server\(called(found)) (\(found.servers.summary))",
                        remedy: "make the other server its standby (docs/postgresql.md), then\(on(found)): "
                            + "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()")
                ]
            }
            return [
                .warning(
                    .database,
                    "no standby is synchronous (\(names(found.replicas))): if the primary is lost, the mail that was "
                        + "acknowledged last is lost too",
                    remedy: set("synchronous_standby_names = '*'"))
            ]
        }
        if let wait = found.longestWaitForStandby, wait > standbyWaitAllowed, !synchronous.isEmpty || isHidden {
            let standby = synchronous.isEmpty ? "a standby" : names(synchronous)
            return [
                .problem(
                    .database,
                    "a commit\(at(found)) has waited \(wait.spelled) for \(standby), which is connected and does not answer: no mail "
                        + "is acknowledged until it does",
                    remedy:
                        "check the standby and the network between the servers; or, if it is gone, was not promoted, and "
                        + "only this server is to hold the mail\(on(found)): " + reset("synchronous_standby_names"))
            ]
        }
        guard synchronous.isEmpty else {
            return [
                .ok(
                    .database,
                    "commits wait for \(synchronous.count == 1 ? "the standby" : "standbys") \(names(synchronous))")
            ]
        }
        guard !isHidden else {
            return [
                .skipped(
                    .database, "the relay's user is not allowed to see which standbys are synchronous",
                    remedy: "as a superuser: GRANT pg_monitor TO the relay's user")
            ]
        }
        return [
            .problem(
                .database,
                "synchronous_standby_names is set, but no such standby is connected\(to(found)): every commit waits, and no mail is "
                    + "acknowledged",
                remedy:
                    "start the standby; or, if it is gone, was not promoted, and only this server is to hold the mail\(on(found)): "
                    + reset("synchronous_standby_names"))
        ]
    }

    private static func names(_ replicas: [ServerExamination.Replica]) -> String {
        list(replicas.map { $0.name.isEmpty ? "without a name" : $0.name }.sorted())
    }

    // MARK: What keeps it fast

    private static func vacuum(_ found: ServerExamination) -> [Finding] {
        var findings: [Finding] = []
        if !found.autovacuum {
            findings.append(
                .warning(
                    .database, "autovacuum is off: the queue's tables grow and become slow",
                    remedy: set("autovacuum = on")))
        }
        if let age = found.oldestSnapshotAge, age > snapshotAgeAllowed {
            findings.append(
                .warning(
                    .database,
                    "a transaction has been open for \(age.spelled): vacuum removes nothing until it ends, and the queue becomes slow",
                    remedy:
                        "find it, and end it with SELECT pg_terminate_backend(PID): SELECT pid, usename, application_name, "
                        + "xact_start FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND wait_event IS DISTINCT FROM 'SyncRep' "
                        + "ORDER BY age(backend_xmin) DESC LIMIT 3"
                ))
        }
        for transaction in found.preparedTransactions where transaction.age > preparedAgeAllowed {
            findings.append(
                .warning(
                    .database,
                    "the prepared transaction \(transaction.gid) has been open for \(transaction.age.spelled): vacuum removes nothing "
                        + "until it ends",
                    remedy:
                        "if the program that prepared it no longer needs it: ROLLBACK PREPARED \(sqlText(transaction.gid))"
                ))
        }
        return findings
    }

    private static func slots(_ found: ServerExamination) -> [Finding] {
        found.inactiveSlots.map { slot in
            let what =
                "no standby reads the replication slot \(slot.name), for which the server keeps \(size(slot.retainedBytes)) of its log"
            let remedy =
                "start the standby that uses it; or, if that standby is gone: SELECT pg_drop_replication_slot(\(sqlText(slot.name)))"
            return slot.retainedBytes > slotSizeAllowed
                ? .problem(.database, what + ": its disk fills up", remedy: remedy)
                : .warning(.database, what, remedy: remedy)
        }
    }

    private static func clockOfServer(_ found: ServerExamination) -> [Finding] {
        let offset = found.clockOffset < .zero ? .zero - found.clockOffset : found.clockOffset
        guard offset > clockDifferenceNoticed else { return [] }
        let what =
            "the server's clock is \(offset.written) \(found.clockOffset < .zero ? "behind" : "ahead of") this machine's"
        let remedy = "check which of them is wrong, here and on the server: timedatectl"
        return offset > clockDifferenceAllowed
            ? [.problem(.database, what + ": the relay does not start", remedy: remedy)]
            : [.warning(.database, what, remedy: remedy)]
    }

    private static func connections(_ found: ServerExamination) -> [Finding] {
        guard found.freeConnections < connectionsNeeded else { return [] }
        return [
            .warning(
                .database,
                "\(found.freeConnections) of the server's \(found.maximumConnections) connections are free; a relay uses "
                    + "\(connectionsNeeded - 1), and each command 1",
                remedy: "raise max_connections, which needs a restart of the server, or put pgbouncer in front of it")
        ]
    }

    private static func set(_ setting: String) -> String {
        "as a superuser, in psql: ALTER SYSTEM SET \(setting); SELECT pg_reload_conf()"
    }

    private static func reset(_ setting: String) -> String { "ALTER SYSTEM RESET \(setting); SELECT pg_reload_conf()" }

    /// The text as an SQL literal.
    private static func sqlText(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}
