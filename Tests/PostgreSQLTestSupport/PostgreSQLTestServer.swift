import Foundation

/// A PostgreSQL server for tests, in a process of its own: `Tests/Integration/postgresql.py --serve`, which ends with this process.
package actor PostgreSQLTestServer {
    package enum Pooling: String, Sendable, CaseIterable {
        /// pgbouncer in front, which gives each client a session of the server for as long as it is connected.
        case session
        /// pgbouncer in front, which gives each client another session for each transaction.
        case transaction
    }

    /// Why there is no server, or no database: what the program wrote.
    package struct Failed: Error, CustomStringConvertible {
        package let description: String
    }

    /// The server that the tests of this process share, started at the first use. POSTGRESQL_TEST_POOLING=session or transaction puts
    /// pgbouncer in front.
    package static let shared = PostgreSQLTestServer(
        mode: ProcessInfo.processInfo.environment["POSTGRESQL_TEST_POOLING"])

    private static let program = [
        "python3",
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Integration/postgresql.py").path,
    ]

    private let mode: String?
    private let program: [String]
    private var conversation: Conversation?

    package init(pooling: Pooling? = nil) {
        self.init(mode: pooling?.rawValue)
    }

    /// - Parameters:
    ///   - mode: pgbouncer's, which the program checks.
    ///   - program: what is run in the place of the real one, with its arguments.
    init(mode: String?, program: [String] = PostgreSQLTestServer.program) {
        self.mode = mode
        self.program = program
    }

    /// The URL of a new, empty database that the URL's role owns. It goes with the server, if not by `drop(_:)`.
    package func emptyDatabase() async throws -> String {
        try await ask("database")
    }

    /// Drops a database that `emptyDatabase()` has made, and ends the connections to it.
    package func drop(_ url: String) async throws {
        _ = try await ask("drop " + url)
    }

    /// Ends the server. The next use starts another one.
    package func stop() async throws {
        guard let conversation else { return }
        self.conversation = nil
        try await conversation.end()
    }

    private func ask(_ question: String) async throws -> String {
        // Without an await between the look and the start: two callers must not start two servers.
        let conversation: Conversation
        if let existing = self.conversation {
            conversation = existing
        } else {
            conversation = try Conversation(
                program + ["--serve"] + (mode.map { ["--pgbouncer", $0] } ?? []))
            self.conversation = conversation
        }
        do {
            return try await conversation.ask(question)
        } catch {
            // The next use starts another one, rather than to speak with one that has ended.
            if self.conversation === conversation { self.conversation = nil }
            throw error
        }
    }
}
