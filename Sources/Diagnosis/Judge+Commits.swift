import RelayCore
import Settings

/// What a commit on a database server promises.
extension Judge {
    /// The problem that several servers accept writes; nil if they do not.
    static func primaries(_ found: ServerExamination) -> [Finding]? {
        guard let conflict = PrimaryChoice(among: found.servers).conflict else { return nil }
        return [.problem(.database, conflict.explanation, remedy: conflict.remedy)]
    }

    static func durability(_ found: ServerExamination) -> [Finding] {
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

    static func standbys(_ found: ServerExamination, _ replica: RelaySettings.DatabaseReplica) -> [Finding] {
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
                        remedy: "make the other server its standby (docs/postgresql.md), then\(on(found)), "
                            + "as a superuser, in psql: ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()"
                    )
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
                        "check the standby and the network between the servers. If the standby is gone and was not "
                        + "promoted, this server can continue without it. To do so, as a superuser, in psql\(on(found)): "
                        + reset("synchronous_standby_names"))
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
                    "start the standby. If it is gone and was not promoted, this server can continue without it. "
                    + "To do so, as a superuser, in psql\(on(found)): "
                    + reset("synchronous_standby_names"))
        ]
    }

    private static func names(_ replicas: [ServerExamination.Replica]) -> String {
        list(replicas.map { $0.name.isEmpty ? "without a name" : $0.name }.sorted())
    }
}
