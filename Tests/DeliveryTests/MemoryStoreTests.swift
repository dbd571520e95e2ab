import StoreContract
import TestSupport
import Testing

/// The store that other tests stand on holds to what every store has to: ``MemoryQueue`` is made of its tables.
@Suite struct MemoryStoreTests {
    @Test(arguments: StoreContract.all) func holds(_ contract: StoreContract) async throws {
        try await contract.hold(MemoryStore())
    }
}
