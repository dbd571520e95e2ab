import PostgreSQLStore
import StoreContract
import TestSupport
import Testing

@Suite struct ContractTests {
    @Test(arguments: StoreContract.all) func holds(_ contract: StoreContract) async throws {
        try await withRelays(1) { try await contract.hold($0[0]) }
    }

    @Test(arguments: SharedStoreContract.all) func contractHoldsForThreeRelaysTogether(_ contract: SharedStoreContract)
        async throws
    {
        try await withRelays(3) { try await contract.hold($0) }
    }

    @Test func relaysStartingTogetherCreateTheTablesOnce() async throws {
        try await withDatabase { url in
            let stores = try await withThrowingTaskGroup(of: PostgreSQLStore.self) { group in
                for _ in 0..<5 { group.addTask { try relay(url) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(stores.map(\.instance)).count == 5)
            for store in stores { try store.close() }
        }
    }
}
