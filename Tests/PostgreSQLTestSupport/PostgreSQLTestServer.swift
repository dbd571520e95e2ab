import Foundation

/// A PostgreSQL server for tests. It runs in a separate process, `Tests/Integration/postgresql.py --serve`, which ends
/// with this process.
package actor PostgreSQLTestServer {
    package enum Pooling: String, Sendable, CaseIterable {
        /// pgbouncer is in front. It gives each client a session of the server for as long as the client is connected.
        case session
        /// pgbouncer is in front. It gives each client another session for each transaction.
        case transaction
    }

    /// The reason why there is no server or no database, as the program wrote it.
    package struct Failed: Error, CustomStringConvertible {
        package let description: String
    }

    /// The server that the tests of this process share. It is started at the first use. If POSTGRESQL_TEST_POOLING is
    /// `session` or `transaction`, pgbouncer is in front of it.
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
    ///   - mode: the pooling mode of pgbouncer, which the program checks; nil for no pgbouncer.
    ///   - program: the program to run, with its arguments.
    init(mode: String?, program: [String] = PostgreSQLTestServer.program) {
        self.mode = mode
        self.program = program
    }

    /// The URL of a new, empty database that the URL's role owns. It is deleted with the server, unless `drop(_:)`
    /// deletes it earlier.
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
        // There is no `await` between the check and the start, because two callers must not start two servers.
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
            // The next use then starts another server, and does not use one that has ended.
            if self.conversation === conversation { self.conversation = nil }
            throw error
        }
    }
}
