import SQLiteStore
import StoreContract
import TestSupport
import Testing

@Suite struct ContractTests {
    @Test(arguments: StoreContract.all) func holds(_ contract: StoreContract) async throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(path: directory.file("relay.db"), role: .relay, now: Sample.now)
        try await contract.hold(store)
        try store.close()
    }

    @Test(arguments: SharedStoreContract.all) func holds(_ contract: SharedStoreContract) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let stores = try (0..<3).map { _ in try SQLiteStore(path: path, role: .relay, now: Sample.now) }
        try await contract.hold(stores)
        for store in stores { try store.close() }
    }
}
