import Dispatch
import RelayCore

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
    /// If the server has ended between two calls, `body` is run again on a new connection: the old server has run
    /// nothing of it.
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

    /// Runs `body` on the thread, and blocks until it has ended. Only for callers that are neither on an event loop nor
    /// in a task.
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
                // If a lock can't be obtained, a commit that waits in vain for a standby may hold it. Another server
                // may have taken over in the meantime.
                let tellsOfHost = error.isEndOfServer || error.isOccupied
                if tellsOfHost || error.tellsOfPooler { drop() }
                if tellsOfHost { connector.suspect(connection.host) }
                if error.tellsOfPooler { connector.foundPooler() }
                // If the connection was made for this call, its loss is not left over from earlier. In that case the
                // call is not tried again.
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
        if let existing = held.connection, existing.host == (try connector.primary()) { return (existing, false) }
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
