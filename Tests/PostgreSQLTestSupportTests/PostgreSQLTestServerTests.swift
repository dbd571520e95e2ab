import Foundation
import Testing

@testable import PostgreSQLTestSupport

@Suite("PostgreSQL for tests") struct PostgreSQLTestServerTests {
    typealias Pooling = PostgreSQLTestServer.Pooling

    @Test("each caller gets an empty database of its own, in each mode of pooling", arguments: [nil] + Pooling.allCases)
    func eachDatabaseIsEmpty(pooling: Pooling?) async throws {
        let server = PostgreSQLTestServer(pooling: pooling)
        let urls = [try await server.emptyDatabase(), try await server.emptyDatabase()]
        for url in urls {
            let client = try psql(url)
            let answer = try await client.ask(
                """
                CREATE TABLE message (id bigint); INSERT INTO message VALUES (1); \
                SELECT count(*), current_user FROM message;
                """)
            #expect(answer == "1|relay")
            try await client.end()
        }
        try await server.drop(urls[0])
        let client = try psql(urls[1])
        #expect(
            try await client.ask("SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'test%';")
                == "test2")
        try await client.end()
        try await server.stop()
    }

    @Test("tests that run side by side share one server and no database")
    func databasesSideBySide() async throws {
        let urls = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 {
                group.addTask { try await PostgreSQLTestServer.shared.emptyDatabase() }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(urls.count == 20)
        #expect(Set(urls.compactMap { URL(string: $0)?.port }).count == 1)
    }

    @Test("a server that was stopped is gone, and the next use starts another one")
    func stoppedServerIsGone() async throws {
        let server = PostgreSQLTestServer()
        let first = try await server.emptyDatabase()
        try await server.stop()
        let client = try psql(first)
        let error = await #expect(throws: PostgreSQLTestServer.Failed.self) { try await client.ask("SELECT 1;") }
        #expect(error?.description.contains("Connection refused") == true)
        let client2 = try psql(try await server.emptyDatabase())
        #expect(try await client2.ask("SELECT 2;") == "2")
        try await client2.end()
        try await server.stop()
    }

    @Test("if there is no server, the error contains what the program wrote")
    func noServer() async throws {
        let server = PostgreSQLTestServer(
            mode: nil, program: ["sh", "-c", "echo 'not installed: run make deps-test' >&2; exit 1"])
        let error = await #expect(throws: PostgreSQLTestServer.Failed.self) { try await server.emptyDatabase() }
        #expect(error?.description.contains("run make deps-test") == true)
    }

    @Test("a program that can't be started is named")
    func noProgram() async throws {
        let server = PostgreSQLTestServer(mode: nil, program: ["no-such-program"])
        let error = await #expect(throws: PostgreSQLTestServer.Failed.self) { try await server.emptyDatabase() }
        #expect(error?.description == "can't start no-such-program: No such file or directory")
    }

    @Test("an unknown mode of pooling is an error")
    func unknownPooling() async throws {
        let server = PostgreSQLTestServer(mode: "statement")
        let error = await #expect(throws: PostgreSQLTestServer.Failed.self) { try await server.emptyDatabase() }
        #expect(error?.description.contains("invalid choice: 'statement'") == true)
    }

    /// Starts psql. It answers each line of SQL whose result has one row with one line.
    private func psql(_ url: String) throws -> Conversation {
        let script = """
            import os, sys
            sys.path.insert(0, sys.argv[1])
            from postgresql_server import programs
            os.execv(programs() / "psql", ["psql", "-XAtq", "-d", sys.argv[2], "-c", "SELECT 'ready'", "-f", "-"])
            """
        let modules = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Integration").path
        return try Conversation(["python3", "-c", script, modules, url])
    }
}
