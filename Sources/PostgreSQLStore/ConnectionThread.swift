import CPostgreSQL
import Dispatch
import Foundation
import RelayCore
import Synchronization

/// How connections are made: the parameters, and what was learnt about the hosts.
final class Connector: Sendable {
    /// libpq's parameters as they were given, by keyword.
    private let given: [(keyword: String, value: String)]
    /// The number of hosts that are given, at least 1.
    private let hosts: Int
    private let takesStandbys: Bool
    private let state = Mutex(State())

    private struct State {
        /// The host that all threads use: the last one that served, or the next one if that is suspected to have
        /// failed.
        var host = 0
        var namesStatements = true
    }

    /// - Parameters:
    ///   - conninfo: a URI (`postgresql://…`) or keywords and values, as libpq takes them.
    ///   - takesStandbys: whether a server that accepts no writes is sufficient.
    /// - Throws: `StoreError.unavailable` if libpq is missing or does not understand the text. The message contains no
    ///   password.
    init(_ conninfo: String, takesStandbys: Bool = false) throws {
        self.takesStandbys = takesStandbys
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
        hosts =
            found.first { $0.keyword == "host" }?.value.split(separator: ",", omittingEmptySubsequences: false).count
            ?? 1
    }

    var namesStatements: Bool { state.withLock { $0.namesStatements } }

    /// From now on statements are parsed each time, because the connections go through a pooler in transaction mode.
    func foundPooler() { state.withLock { $0.namesStatements = false } }

    /// The position, in the given list, of the host that all threads use now.
    ///
    /// A server that was cut off still accepts connections and answers reads. So all connections of a relay follow the
    /// first one that switches to another server.
    var host: Int { state.withLock { $0.host } }

    /// The host does not answer, or does not commit: the next connection starts with the host after it.
    func suspect(_ host: Int) {
        state.withLock { state in
            // If several threads notice this, only the first one switches.
            if state.host == host { state.host = (host + 1) % hosts }
        }
    }

    /// Connects to the first host that accepts writes, beginning with the one that did so last.
    func connect() throws -> Connection {
        let (first, names) = state.withLock { ($0.host, $0.namesStatements) }
        var failure: any Error = ServerError.lost("no host is named")
        for offset in 0..<hosts {
            let host = (first + offset) % hosts
            do {
                let connection = try Connection(parameters(host, of: hosts), host: host, namesStatements: names)
                // Another thread may have switched in the meantime. Then this connection is not kept for long.
                state.withLock { if $0.host == first { $0.host = host } }
                return connection
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// The parameters with one of the hosts, and with defaults for missing ones: short time-outs, because the system's
    /// own time-outs detect a dead server far too late.
    private func parameters(_ host: Int, of hosts: Int) -> [(keyword: String, value: String)] {
        var parameters = given.map { parameter in
            if takesStandbys, parameter.keyword == "target_session_attrs" { return (parameter.keyword, "any") }
            guard hosts > 1, ["host", "hostaddr", "port"].contains(parameter.keyword) else { return parameter }
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

/// A thread with its own connection. The connection is made when it is first needed, and again after it was lost.
final class ConnectionThread: Sendable {
    private let connector: Connector
    fileprivate let queue: DispatchQueue
    private let held = Held()

    /// The connection of a thread.
    ///
    /// Unchecked: only ``runNow(within:_:)`` and ``close()`` read and write `connection`. They run only on the serial
    /// queue, so no two threads ever use it at the same time.
    private final class Held: @unchecked Sendable {
        var connection: Connection?
    }

    init(_ label: String, _ connector: Connector) {
        self.connector = connector
        queue = DispatchQueue(label: "hiveku-relay.postgresql.\(label)")
    }

    /// How often a transaction is tried again after a deadlock.
    private static let tries = 10

    /// Runs `body`, a whole transaction or a single statement, on the thread. `completion` is called there too.
    ///
    /// If the server has ended between two calls, `body` is run again on a new connection: nothing had been sent to the
    /// old server.
    func run<T: Sendable>(
        within limit: Duration = .seconds(20), _ body: @escaping @Sendable (Connection) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        queue.async { [self] in
            completion(Result { try runNow(within: limit, body) })
        }
    }

    func run<T: Sendable>(
        within limit: Duration = .seconds(20), _ body: @escaping @Sendable (Connection) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            run(within: limit, body) { result in
                continuation.resume(with: result.mapError { StoreError($0) as any Error })
            }
        }
    }

    /// For callers that are neither on an event loop nor in a task: blocks.
    func runBlocking<T: Sendable>(
        within limit: Duration = .seconds(20), _ body: @escaping @Sendable (Connection) throws -> T
    ) throws -> T {
        try queue.sync { try runNow(within: limit, body) }
    }

    private func runNow<T: Sendable>(within limit: Duration, _ body: (Connection) throws -> T) throws -> T {
        let deadline = SystemClock().monotonicNow() + limit
        var tries = 0
        while true {
            tries += 1
            let (connection, isNew) = try current()
            connection.begin(until: deadline)
            do {
                return try body(connection)
            } catch let error as ServerError {
                // A commit that waits in vain for a standby may hold a lock, while another server has taken over.
                let tellsOfHost = error.isEndOfServer || error.isOccupied
                if tellsOfHost || error.tellsOfPooler { drop() }
                if tellsOfHost { connector.suspect(connection.host) }
                if error.tellsOfPooler { connector.foundPooler() }
                // An error of a connection that was made for this call is reliable.
                let mayTryAgain =
                    error.tellsOfPooler || error.isTransient || error.isEndOfServer && !isNew && !connection.hasAnswered
                guard mayTryAgain, tries < ConnectionThread.tries, SystemClock().monotonicNow() < deadline else {
                    throw error
                }
            } catch {
                if connection.isLost {
                    drop()
                    connector.suspect(connection.host)
                }
                throw error
            }
        }
    }

    private func current() throws -> (Connection, isNew: Bool) {
        if let existing = held.connection, existing.host == connector.host { return (existing, false) }
        let made = try connector.connect()
        held.connection = made
        return (made, true)
    }

    private func drop() { held.connection = nil }

    /// Closes the connection after the work in progress has finished.
    func close() { queue.sync { drop() } }
}

extension ConnectionThread {
    /// Returns when the thread has had a turn.
    func turn() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }
}
