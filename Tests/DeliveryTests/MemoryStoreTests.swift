import StoreContract
import TestSupport
import Testing

/// Other tests rely on the store in memory, and ``MemoryQueue`` uses its tables. So this store must keep the rules of
/// every store too.
@Suite struct MemoryStoreTests {
    @Test(arguments: StoreContract.all) func holds(_ contract: StoreContract) async throws {
        try await contract.hold(MemoryStore())
    }
}
