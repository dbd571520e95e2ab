import RelayCore
import Settings
import Testing

@testable import Diagnosis

/// What doctor finds about the database server.
@Suite struct ServerTests {
    private static let place = try? PostgreSQLPlace("postgresql://relay:SECRET@db1,db2/relay")

    /// The findings about a single server. It has no faults except those that `change` makes.
    private func judge(
        replica: RelaySettings.DatabaseReplica = .none, _ change: (inout ServerExamination) -> Void = { _ in }
    ) throws -> [Finding] {
        var found = ServerExamination(
            version: 150_018, isInRecovery: false, replicas: [], synchronousStandbyNames: "", synchronousCommit: "on",
            oldestSnapshotAge: .seconds(600), inactiveSlots: [], preparedTransactions: [],
            clockOffset: .milliseconds(-1000),
            autovacuum: true, fsync: true, fullPageWrites: true, maximumConnections: 100, freeConnections: 9, schema: 3,
            knownSchema: 3)
        change(&found)
        return Judge.server(try #require(Self.place), .answered(found), replica: replica)
    }

    private func findings(_ findings: [Finding], _ outcome: Finding.Outcome) -> [Finding] {
        findings.filter { $0.outcome == outcome }
    }

    @Test func `A server with nothing wrong`() throws {
        let found = try judge()
        #expect(found.map(\.outcome) == [.ok, .ok])
        expect([found[0]], .ok, "postgresql://relay@db1,db2/relay", "15.18", "version 3")
        #expect(found[1].found.contains("no standby"))
    }

    @Test func `A server that does not answer`() throws {
        let place = try #require(Self.place)
        func judge(_ error: StoreError) -> [Finding] { Judge.server(place, .failed(error), replica: .none) }
        expect(
            judge(.unavailable("connection refused")), .problem, "postgresql://relay@db1,db2/relay", "refused", "psql")
        expect(judge(.full), .problem, "server", "disk")
        expect(judge(.corrupt("x")), .problem, "damaged", "backup")
        expect(judge(.newerSchema(found: 4, known: 3)), .problem, "version 4", " 3", "newer relay")
        expect(judge(.olderSchemaInUse(found: 2, known: 3)), .problem, "hiveku-relay status")
    }

    @Test func `A server that can't be used tells that alone`() throws {
        expect(try judge { $0.version = 140_012 }, .problem, "PostgreSQL 14.12", " 15 ")
        expect(try judge { $0.version = 150_000 }.prefix(1).map { $0 }, .ok, "15.0")
        expect(
            try judge { $0.isInRecovery = true }, .problem, "standby", "postgresql://relay@db1,db2/relay", "pg_promote")
    }

    @Test func `The server that answered is named`() throws {
        let found = try judge {
            $0.server = "db2:5432"
            $0.synchronousStandbyNames = "*"
        }
        #expect(found[0].found.contains("db2:5432") && found[0].found.contains("15.18"))
        expect(Array(found.dropFirst()), .problem, "ALTER SYSTEM RESET")
        #expect(found.last?.found.contains("db2:5432") == true)
        #expect(found.last?.remedy?.contains("db2:5432") == true)
    }

    @Test func `Without a primary it says what each server is, and how a standby is promoted`() throws {
        let found = try judge {
            $0.isInRecovery = true
            $0.server = "db2:5432"
            $0.servers = [
                .init(name: "db1:5432", role: .away("timeout expired")), .init(name: "db2:5432", role: .standby),
            ]
        }
        expect(
            found, .problem, "db1:5432: timeout expired", "db2:5432: standby",
            "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf(); SELECT pg_promote()")
        #expect(found.first?.remedy?.contains("db2:5432") == true)
        // The setting names all servers, so the finding does not explain how to write it.
        #expect(!found.contains { ($0.remedy ?? "").contains("postgresql://") })
    }

    @Test func `Two primaries are a problem, and nothing is said about their standbys`() throws {
        func judge(_ first: Int64, _ second: Int64) throws -> [Finding] {
            try self.judge {
                $0.synchronousStandbyNames = "*"
                $0.server = "db2:5432"
                $0.servers = [
                    .init(name: "db1:5432", role: .primary(timeline: first, instance: 1)),
                    .init(name: "db2:5432", role: .primary(timeline: second, instance: 2)),
                ]
            }
        }
        for (found, isOneOlder) in [(try judge(1, 2), true), (try judge(2, 2), false)] {
            let problems = findings(found, .problem)
            expect(problems, .problem, "primaries", "db1:5432", "db2:5432")
            #expect(problems.first?.found.contains("timeline 2") == !isOneOlder)
            // The remedy names the server to stop only if the timelines show which one is older.
            #expect(problems.first?.remedy?.contains("db1:5432") == isOneOlder)
            #expect(problems.first?.remedy?.contains("synchronous_standby_names") == true)
            #expect(!found.contains { ($0.remedy ?? "").contains("ALTER SYSTEM RESET") })
        }
    }

    @Test func schemas() throws {
        func first(_ schema: Int?) throws -> [Finding] { [try #require(try judge { $0.schema = schema }.first)] }
        expect(try first(nil), .warning, "tables", "systemctl start")
        expect(try first(4), .problem, "newer relay", "version 4", " 3")
        expect(try first(2), .warning, "version 2", " 3", "backup", "all relays")
    }

    @Test(arguments: [
        ("fsync", "ALTER SYSTEM SET fsync = on", Finding.Outcome.problem),
        ("full_page_writes", "ALTER SYSTEM SET full_page_writes = on", .warning),
        ("autovacuum", "ALTER SYSTEM SET autovacuum = on", .warning),
    ])
    func `What is off is named with the line that switches it on`(
        name: String, remedy: String, outcome: Finding.Outcome
    ) throws {
        let found = try judge {
            switch name {
            case "fsync": $0.fsync = false
            case "autovacuum": $0.autovacuum = false
            default: $0.fullPageWrites = false
            }
        }
        expect(findings(found, outcome), outcome, name, "off", remedy)
        #expect(found.count == 3)
    }

    @Test func `What a commit waits for`() throws {
        let standby = [ServerExamination.Replica(name: "db2", syncState: "sync")]
        func judge(_ commit: String, _ names: String) throws -> [Finding] {
            try self.judge {
                $0.synchronousCommit = commit
                $0.synchronousStandbyNames = names
                $0.replicas = standby
            }.filter { $0.found.contains("synchronous_commit") }
        }
        expect(try judge("off", ""), .problem, " off", "ALTER SYSTEM SET synchronous_commit = on")
        expect(
            try judge("local", "*"), .problem, " local", "synchronous_standby_names",
            "ALTER SYSTEM SET synchronous_commit = on")
        #expect(try judge("local", "").isEmpty)
        expect(try judge("remote_write", "*"), .warning, "remote_write", "memory")
        #expect(try judge("remote_write", "").isEmpty)
        for commit in ["on", "remote_apply"] { #expect(try judge(commit, "*").isEmpty) }
    }

    @Test(
        arguments: [
            ("", [], false, .ok, ["no standby"]), ("", [], true, .problem, ["database_replica", "docs/postgresql.md"]),
            ("", ["async"], false, .warning, ["db1", "SET synchronous_standby_names = '*'"]),
            ("", ["async"], true, .problem, ["database_replica", "SET synchronous_standby_names = '*'"]),
            ("*", ["sync"], true, .ok, ["db1"]), ("ANY 1 (*)", ["quorum", "quorum"], true, .ok, ["db1", "db2"]),
            ("*", ["sync", "potential"], false, .ok, ["db1"]),
            ("*", [], false, .problem, ["ALTER SYSTEM RESET synchronous_standby_names"]),
            ("x", ["async"], true, .problem, ["ALTER SYSTEM RESET synchronous_standby_names"]),
            ("*", [""], true, .skipped, ["GRANT pg_monitor"]),
        ] as [(String, [String], Bool, Finding.Outcome, [String])])
    func standbys(names: String, states: [String], required: Bool, outcome: Finding.Outcome, words: [String]) throws {
        let found = try judge(replica: required ? .required : .none) {
            $0.synchronousStandbyNames = names
            $0.replicas = states.enumerated().map { .init(name: "db\($0 + 1)", syncState: $1) }
        }
        #expect(found.count == 2)
        expect(Array(found.dropFirst()), outcome, words: words)
        // The finding names only the standbys that commits wait for.
        if outcome == .ok { #expect(found.last?.found.contains("db2") == words.contains("db2")) }
    }

    @Test func `Commits that wait for a silent standby are a problem`() throws {
        func judge(_ wait: Duration?, state: String = "sync") throws -> [Finding] {
            Array(
                try self.judge {
                    $0.server = "db1:5432"
                    $0.synchronousStandbyNames = "*"
                    $0.replicas = [.init(name: "db2", syncState: state)]
                    $0.longestWaitForStandby = wait
                }.dropFirst())
        }
        expect(try judge(.seconds(3)), .ok, "standby", "db2")
        expect(try judge(nil), .ok, "db2")
        let silent = try judge(.seconds(40))
        expect(silent, .problem, "db1:5432", "40 seconds", "db2", "promoted", "ALTER SYSTEM RESET")
        #expect(silent.first?.remedy?.contains("db1:5432") == true)
        let unknown = try judge(.seconds(40), state: "")
        expect(unknown, .problem, "db1:5432", "40 seconds", "standby")
        #expect(!unknown.contains { $0.found.contains("db2") })
    }

    @Test func `Several servers without a standby are a warning`() throws {
        let found = try judge {
            $0.server = "db2:5432"
            $0.servers = [
                .init(name: "db1:5432", role: .away("timeout expired")),
                .init(name: "db2:5432", role: .primary(timeline: 2, instance: 1)),
            ]
        }
        expect(
            Array(found.dropFirst()), .warning, "no standby", "db2:5432", "db1:5432: timeout expired",
            "synchronous_standby_names = '*'")
    }

    @Test func `What keeps vacuum from its work`() throws {
        expect(
            findings(try judge { $0.oldestSnapshotAge = .seconds(601) }, .warning), .warning, "10 minutes",
            "pg_terminate_backend", "wait_event IS DISTINCT FROM 'SyncRep'")
        #expect(try judge { $0.oldestSnapshotAge = nil }.count == 2)
        let prepared = try judge {
            $0.preparedTransactions = [
                .init(gid: "it's", age: .seconds(301)), .init(gid: "young", age: .seconds(300)),
            ]
        }
        expect(findings(prepared, .warning), .warning, "5 minutes", "ROLLBACK PREPARED 'it''s'")
    }

    @Test func slots() throws {
        func judge(_ bytes: Int64) throws -> [Finding] {
            try self.judge { $0.inactiveSlots = [.init(name: "db2", retainedBytes: bytes)] }.filter {
                $0.outcome != .ok
            }
        }
        expect(try judge(10_000_000_000), .warning, "slot db2", "10 GB", "pg_drop_replication_slot('db2')")
        expect(try judge(10_000_000_001), .problem, "db2", "10 GB", "pg_drop_replication_slot('db2')")
    }

    @Test func clocks() throws {
        func judge(_ offset: Duration) throws -> [Finding] {
            try self.judge { $0.clockOffset = offset }.filter { $0.outcome != .ok }
        }
        #expect(try judge(.seconds(1)).isEmpty)
        expect(try judge(.milliseconds(1001)), .warning, "1001ms ahead", "timedatectl")
        expect(try judge(.seconds(-3)), .warning, "3s behind")
        expect(try judge(.milliseconds(-3001)), .problem, "3001ms behind", "timedatectl")
    }

    @Test func connections() throws {
        let found = findings(try judge { $0.freeConnections = 8 }, .warning)
        expect(found, .warning, "max_connections")
        #expect(found.first?.found.matches(of: /[0-9]+/).prefix(2).map { String($0.output) } == ["8", "100"])
    }

    @Test func `The disk of the server is not seen from here`() {
        expect([Judge.serverDisk], .skipped, "server", "452")
    }

    @Test(
        arguments: [
            ("passfile", 100, 0o600, nil), ("passfile", 100, 0o640, "chmod go-rwx '/etc/pg pass'"),
            ("passfile", 0, 0o640, "chmod go-rwx '/etc/pg pass'"), ("sslkey", 0, 0o640, nil),
            ("sslkey", 100, 0o640, "chmod go-rwx '/etc/pg pass'"),
            ("sslkey", 0, 0o644, "chmod g-wx,o-rwx '/etc/pg pass'"),
        ] as [(String, UInt32, UInt32, String?)])
    func `Libpq's rules for files with secrets`(
        parameter: String, owner: UInt32, permissions: UInt32, remedy: String?
    ) {
        let finding = Judge.databaseSecret(
            parameter, FileStatus(path: "/etc/pg pass", owner: owner, group: 100, permissions: permissions))
        #expect(finding?.remedy == remedy)
        #expect(finding.map { $0.outcome == .problem } ?? true)
    }

    @Test func `No finding repeats the password`() throws {
        let all =
            try judge { $0.isInRecovery = true } + judge { $0.schema = nil } + judge { $0.schema = 9 }
            + judge { $0.schema = 1 } + judge()
            + Judge.server(try #require(Self.place), .failed(.unavailable("x")), replica: .none)
        #expect(!all.contains { $0.found.contains("SECRET") || ($0.remedy ?? "").contains("SECRET") })
    }
}
