import CPostgreSQL
import Dispatch
import RelayCore
import Synchronization

/// How connections are made: the parameters, and what was learnt about the servers.
///
/// A setting may name several servers. Then all of them are looked at before the first connection, again after a
/// connection was lost, and every few seconds by ``look()``, so that an old primary that has started again is not used
/// (``PrimaryChoice``). All connections of a relay follow this choice: a server that was cut off still accepts
/// connections and answers reads.
final class Connector: Sendable {
    /// libpq's parameters as they were given, by keyword.
    private let given: [(keyword: String, value: String)]
    /// The servers that are given, by host and port; at least one.
    let names: [String]
    private let onConflict: @Sendable (PrimaryConflict?) -> Void
    private let state: Mutex<State>
    /// Held while the servers are looked at for a connection: other threads wait for that and use the result.
    private let choosing = Mutex(())

    private struct State {
        /// The server that all threads use.
        var host = 0
        /// False before the servers were looked at for the first time, and when the server that is used is suspected to
        /// have failed.
        var isChosen: Bool
        /// The highest timeline of a server that was used.
        var timeline: Int64 = 0
        /// Why there is no server to use, and until when that answer is sufficient.
        var refusal: (why: String, until: MonotonicTime)?
        /// What was reported last.
        var conflict: PrimaryConflict?
        var namesStatements = true
    }

    /// How long threads are told that there is no server to use before the servers are looked at again.
    private static let refusalTime = Duration.milliseconds(200)
    /// The time that a connected server has to answer whether it is a primary or a standby. Connecting has its own time
    /// limit, `connect_timeout`.
    private static let answerTime = Duration.seconds(2)

    /// - Parameters:
    ///   - conninfo: a URI (`postgresql://…`) or keywords and values, as libpq accepts them.
    ///   - onConflict: called when several servers accept writes, and with nil when that is over; must return quickly.
    /// - Throws: `StoreError.unavailable` if libpq is missing or does not understand the text. The message contains no
    ///   password.
    init(_ conninfo: String, onConflict: @escaping @Sendable (PrimaryConflict?) -> Void = { _ in }) throws {
        self.onConflict = onConflict
        if let why = pq_load() {
            throw StoreError.unavailable(
                "PostgreSQL's client library can't be loaded (\(String(cString: why))); install the package libpq5")
        }
        var problem: UnsafeMutablePointer<CChar>?
        guard let options = pq_conninfo_parse(conninfo, &problem) else {
            // libpq's message may repeat a part of the text, which contains the password.
            pq_free(problem)
            throw StoreError.unavailable(
                "the setting database is not a connection URI of PostgreSQL; write postgresql://user@host:5432/name")
        }
        defer { pq_conninfo_free(options) }
        var found: [(keyword: String, value: String)] = []
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found.append((String(cString: keyword), String(cString: value))) }
            option = option.advanced(by: 1)
        }
        given = found
        names = Connector.names(found)
        state = Mutex(State(isChosen: names.count == 1))
    }

    private static func names(_ given: [(keyword: String, value: String)]) -> [String] {
        func parts(_ keyword: String) -> [Substring] {
            given.first { $0.keyword == keyword }?.value.split(separator: ",", omittingEmptySubsequences: false) ?? []
        }
        let hosts = parts("host").isEmpty ? parts("hostaddr") : parts("host")
        let ports = parts("port")
        guard !hosts.isEmpty else { return ["the local server"] }
        return hosts.enumerated().map { index, host in
            let port = ports.isEmpty ? "" : ports.count > 1 ? ports[min(index, ports.count - 1)] : ports[0]
            let name = host.isEmpty ? "localhost" : host.contains(":") ? "[\(host)]" : String(host)
            return "\(name):\(port.isEmpty ? "5432" : port)"
        }
    }

    var namesStatements: Bool { state.withLock { $0.namesStatements } }

    /// From now on statements are parsed each time, because the connections go through a pooler in transaction mode.
    func foundPooler() { state.withLock { $0.namesStatements = false } }

    // MARK: Which server

    /// The position, in the given list, of the server that all threads use now. Looks at the servers if that is not
    /// known, which blocks for a few seconds at most.
    ///
    /// - Throws: ``ServerError/lost(_:)`` if there is no server to use.
    func primary() throws -> Int {
        if let known = try known() { return known }
        return try choosing.withLock { _ in
            // Another thread may have looked in the meantime.
            if let known = try known() { return known }
            let servers = survey(known: knownTimeline)
            use(servers)
            guard let known = try known() else { throw ServerError.lost(Connector.noPrimary(servers)) }
            return known
        }
    }

    private func known() throws -> Int? {
        let now = SystemClock().monotonicNow()
        return try state.withLock { state in
            if let refusal = state.refusal, now < refusal.until { throw ServerError.lost(refusal.why) }
            return state.isChosen ? state.host : nil
        }
    }

    static func noPrimary(_ servers: [DatabaseServer]) -> String { "no server accepts writes: \(servers.summary)" }

    /// The server does not answer, or does not commit: before the next connection, all servers are looked at.
    func suspect(_ host: Int) {
        guard names.count > 1 else { return }
        state.withLock { state in
            // If several threads notice this, only the first one counts.
            if state.host == host { state.isChosen = false }
        }
    }

    /// Checks, while one server is in use, whether another server was promoted or an old primary has started again.
    /// Blocks for a few seconds at most.
    func look() {
        guard names.count > 1 else { return }
        choosing.withLock { _ in use(survey(known: knownTimeline), isInUse: true) }
    }

    private var knownTimeline: Int64? { state.withLock { $0.timeline > 0 ? $0.timeline : nil } }

    /// Applies the result of a survey.
    ///
    /// - Parameter isInUse: whether connections may be in use. A server that did not answer the survey may serve them
    ///   all the same.
    private func use(_ servers: [DatabaseServer], isInUse: Bool = false) {
        let now = SystemClock().monotonicNow()
        let (conflict, isNew) = state.withLock { state in
            let choice = PrimaryChoice(among: servers, preferred: state.host, known: state.timeline)
            if let chosen = choice.chosen {
                state.host = chosen
                state.isChosen = true
                state.timeline = choice.timeline ?? state.timeline
                state.refusal = nil
            } else if case .equal? = choice.conflict {
                state.isChosen = false
                state.refusal = (choice.conflict?.explanation ?? "", now + Connector.refusalTime)
            } else if !isInUse || !state.isChosen {
                let why = choice.conflict?.explanation ?? Connector.noPrimary(servers)
                state.refusal = (why, now + Connector.refusalTime)
            }
            defer { state.conflict = choice.conflict }
            return (choice.conflict, choice.conflict != state.conflict)
        }
        if isNew { onConflict(conflict) }
    }

    /// Asks all servers at the same time what they are. Blocks until each has answered, or its time is over.
    ///
    /// - Parameter known: the timeline that is in use; nil if it is not known. A server with a higher timeline was
    ///   promoted since. Once such a server has answered, the others have only a moment left to answer, so that mail is
    ///   accepted again sooner after a power cut.
    func survey(known: Int64? = nil) -> [DatabaseServer] {
        let shared = Answers()
        for host in names.indices {
            // A queue for each, because a server that does not answer blocks its thread.
            DispatchQueue(label: "hiveku-relay.postgresql.survey").async { [self] in
                let role = role(of: host)
                shared.roles.withLock { $0[host] = role }
                shared.answered.signal()
            }
        }
        var end = DispatchTime.distantFuture
        for _ in names where shared.answered.wait(timeout: end) == .success {
            guard let known, end == .distantFuture else { continue }
            let isPromoted = shared.roles.withLock { roles in
                roles.values.contains { if case .primary(let timeline, _) = $0 { timeline > known } else { false } }
            }
            if isPromoted { end = .now() + .milliseconds(200) }
        }
        let roles = shared.roles.withLock { $0 }
        return names.enumerated().map { DatabaseServer(name: $1, role: roles[$0] ?? .away("no answer yet")) }
    }

    /// What the servers have answered.
    private final class Answers: Sendable {
        let roles = Mutex<[Int: DatabaseServer.Role]>([:])
        let answered = DispatchSemaphore(value: 0)
    }

    private func role(of host: Int) -> DatabaseServer.Role {
        do {
            let connection = try connect(to: host, takesStandbys: true, namesStatements: false)
            connection.begin(until: SystemClock().monotonicNow() + Connector.answerTime)
            let role = try connection.first(
                """
                SELECT CASE WHEN pg_is_in_recovery() THEN NULL
                    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END,
                    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
                """
            ) { row -> DatabaseServer.Role in
                row.integer(0).map { .primary(timeline: $0, instance: row.integer(1) ?? 0) } ?? .standby
            }
            return role ?? .away("it says nothing about itself")
        } catch ServerError.lost(let why) {
            return .away(Connector.short(why))
        } catch ServerError.refused(_, let message) {
            return .away(message)
        } catch {
            return .away("\(error)")
        }
    }

    /// libpq's reason without the address and without advice. The server's name is shown before the reason.
    private static func short(_ why: String) -> String {
        let last = why.split(separator: "connection to server at").last.map(String.init) ?? why
        let reason = last.split(separator: " failed: ", maxSplits: 1).last.map(String.init) ?? last
        return reason.split(separator: ";").first.map(String.init) ?? reason
    }

    // MARK: Connections

    /// Connects to the server that all threads use. If that fails and there are others, looks at all of them and tries
    /// once more.
    func connect() throws -> Connection {
        let host = try primary()
        do {
            return try connect(to: host)
        } catch {
            guard names.count > 1 else { throw error }
            suspect(host)
            return try connect(to: try primary())
        }
    }

    /// - Parameter takesStandbys: whether a server that accepts no writes is sufficient.
    func connect(to host: Int, takesStandbys: Bool = false, namesStatements: Bool? = nil) throws -> Connection {
        try Connection(
            parameters(host, takesStandbys), host: host, name: names[host],
            namesStatements: namesStatements ?? self.namesStatements)
    }

    /// The parameters with one of the hosts, and with defaults for missing ones: short time-outs, because the system's
    /// own time-outs detect a dead server far too late.
    private func parameters(_ host: Int, _ takesStandbys: Bool) -> [(keyword: String, value: String)] {
        var parameters = given.map { parameter in
            if takesStandbys, parameter.keyword == "target_session_attrs" { return (parameter.keyword, "any") }
            guard names.count > 1, ["host", "hostaddr", "port"].contains(parameter.keyword) else { return parameter }
            let parts = parameter.value.split(separator: ",", omittingEmptySubsequences: false)
            return (parameter.keyword, String(parts.count > 1 ? parts[min(host, parts.count - 1)] : parts[0]))
        }
        for (keyword, value) in Connector.defaults where !given.contains(where: { $0.keyword == keyword }) {
            parameters.append((keyword, takesStandbys && keyword == "target_session_attrs" ? "any" : value))
        }
        return parameters
    }

    private static let defaults = [
        ("fallback_application_name", "hiveku-relay"), ("client_encoding", "UTF8"), ("connect_timeout", "2"),
        ("target_session_attrs", "read-write"), ("tcp_user_timeout", "10000"), ("keepalives_idle", "5"),
        ("keepalives_interval", "2"), ("keepalives_count", "3"),
    ]
}
