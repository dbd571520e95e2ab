import PostgreSQLStore
import PostgreSQLTestSupport
import RelayCore
import TestSupport

/// Calls `body` with the URL of an empty database, and drops the database afterwards.
func withDatabase<T: Sendable>(_ body: (String) async throws -> T) async throws -> T {
    let url = try await PostgreSQLTestServer.shared.emptyDatabase()
    do {
        let result = try await body(url)
        try await PostgreSQLTestServer.shared.drop(url)
        return result
    } catch {
        try? await PostgreSQLTestServer.shared.drop(url)
        throw error
    }
}

/// A relay that renews its place only when a test calls `renewPlace()`.
func relay(_ url: String, name: String = "relay") throws -> PostgreSQLStore {
    try PostgreSQLStore(url, role: .relay(name: name, version: "1"), renewalInterval: .seconds(86_400))
}

/// Calls `body` with the stores of `count` relays on one new database.
func withRelays<T: Sendable>(_ count: Int, _ body: ([PostgreSQLStore]) async throws -> T) async throws -> T {
    try await withDatabase { url in
        let stores = try (0..<count).map { try relay(url, name: "relay\($0)") }
        defer { for store in stores { try? store.close() } }
        return try await body(stores)
    }
}
