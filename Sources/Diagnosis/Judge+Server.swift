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
    /// A relay whose clock differs by more than this does not start (`PostgreSQLStore.mostClockOffset`).
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
            // With two primaries, advice about the standbys of one primary could be followed on the wrong one.
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
            "promote the standby\(on(found)), as a superuser, in psql: ALTER SYSTEM RESET synchronous_standby_names; "
            + "SELECT pg_reload_conf(); SELECT pg_promote()"
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

    /// The server's name after a noun, or nothing if it is not known.
    static func called(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " \(found.server)"
    }

    /// The words that say where something happens, or nothing if the server's name is not known.
    static func at(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " on \(found.server)"
    }

    /// The words that say what the standbys are connected to, or nothing if the server's name is not known.
    static func to(_ found: ServerExamination) -> String {
        found.server.isEmpty ? "" : " to \(found.server)"
    }

    /// The words that say where an SQL statement is to be run, or nothing if the server's name is not known.
    static func on(_ found: ServerExamination) -> String {
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

    static func set(_ setting: String) -> String {
        "as a superuser, in psql: ALTER SYSTEM SET \(setting); SELECT pg_reload_conf()"
    }

    static func reset(_ setting: String) -> String { "ALTER SYSTEM RESET \(setting); SELECT pg_reload_conf()" }

    /// The text as an SQL literal.
    private static func sqlText(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}
