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
}
