import CPostgreSQL
import Dispatch
import Foundation
import RelayCore
import Synchronization

/// How connections are made: where to, and what was learnt about the way there.
final class Connector: Sendable {
    /// libpq's parameters as they were given, by keyword.
    private let given: [(keyword: String, value: String)]
    /// How many hosts are given, at least 1.
    private let hosts: Int
    private let takesStandbys: Bool
    private let state = Mutex(State())

    private struct State {
        /// The host that all threads use: the last one that served, or the one behind it where that is in doubt.
        var host = 0
        var namesStatements = true
    }

    /// - Parameters:
    ///   - conninfo: a URI (`postgresql://…`) or keywords and values, as libpq takes them.
    ///   - takesStandbys: whether a server that takes no writes will do.
    /// - Throws: `StoreError.unavailable`: libpq is not there, or does not understand the text. The message holds no password.
    init(_ conninfo: String, takesStandbys: Bool = false) throws {
        self.takesStandbys = takesStandbys
        if let why = pq_load() {
            throw StoreError.unavailable(
                "PostgreSQL's client library can't be loaded (\(String(cString: why))); install the package libpq5")
        }
        var problem: UnsafeMutablePointer<CChar>?
        guard let options = pq_conninfo_parse(conninfo, &problem) else {
            // libpq's message may repeat a part of the text, which holds the password.
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

    /// Statements are to be parsed each time from now on: the connections go through a pooler in transaction mode.
    func foundPooler() { state.withLock { $0.namesStatements = false } }

    /// The place of the host that all threads use now among those that were given.
    ///
    /// A server that was cut off still takes connections and answers what is read. So all of a relay's connections follow the first one that
    /// goes over to another server.
    var host: Int { state.withLock { $0.host } }

    /// The host does not answer, or does not commit: the next connection begins with the one behind it.
    func suspect(_ host: Int) {
        state.withLock { state in
            // Of several threads that notice, one goes on.
            if state.host == host { state.host = (host + 1) % hosts }
        }
    }

    /// Connects to the first host that takes writes, beginning with the one that did so last.
    func connect() throws -> Connection {
        let (first, names) = state.withLock { ($0.host, $0.namesStatements) }
        var failure: any Error = ServerError.lost("no host is named")
        for offset in 0..<hosts {
            let host = (first + offset) % hosts
            do {
                let connection = try Connection(parameters(host, of: hosts), host: host, namesStatements: names)
                // Unless another thread has gone on meanwhile: then this connection is not kept for long.
                state.withLock { if $0.host == first { $0.host = host } }
                return connection
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// The parameters with one of the hosts, and with what is not given: short time-outs, since the system's own notice a dead server far
    /// too late.
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

/// A thread with a connection of its own, which is made when it is first needed, and again when it was lost.
final class ConnectionThread: Sendable {
    private let connector: Connector
    fileprivate let queue: DispatchQueue
    private let held = Held()

    /// The connection of a thread.
    ///
    /// Unchecked: `connection` is read and written by ``runNow(within:_:)`` and ``close()`` alone, which run on the serial queue only, so no two
    /// threads are ever in it at a time.
    private final class Held: @unchecked Sendable {
        var connection: Connection?
    }

    init(_ label: String, _ connector: Connector) {
        self.connector = connector
        queue = DispatchQueue(label: "hiveku-relay.postgresql.\(label)")
    }

    /// How often a transaction is tried that met with a deadlock.
    private static let tries = 10

    /// Runs `body`, a whole transaction or a single statement, on the thread; `completion` is called there too.
    ///
    /// Where the server has ended between two calls, `body` is tried once more on a new connection: nothing of it was sent to anybody.
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

    /// For who is on no event loop and in no task: blocks.
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
                // A lock may be held by a commit that waits for a standby in vain, while another server has taken over.
                let tellsOfHost = error.isEndOfServer || error.isOccupied
                if tellsOfHost || error.tellsOfPooler { drop() }
                if tellsOfHost { connector.suspect(connection.host) }
                if error.tellsOfPooler { connector.foundPooler() }
                // A connection that was made for this call tells the truth.
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

    /// Closes the connection when what is under way is finished.
    func close() { queue.sync { drop() } }
}

extension ConnectionThread {
    /// Returns once the thread has come around.
    func turn() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }
}
