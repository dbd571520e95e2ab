import RelayCore
import Testing

@Suite struct StoragePolicyTests {
    private static let policy = StoragePolicy(reserve: 256 << 20, reserveTest: 1 << 30)

    @Test(
        arguments: [
            (.test, 0, 1 << 30, true), (.test, 0, (1 << 30) - 1, false), (.test, 1, 1 << 30, false),
            (.test, 28 << 20, 1 << 40, true), (.test, 0, 0, false),
            (.live, 28 << 20, 1 << 30, true), (.live, 28 << 20, 284 << 20, true),
            (.live, 28 << 20, (284 << 20) - 1, false), (.live, (128 << 10) + 1, 256 << 20, false),
            // Small live messages are accepted until the disk is full.
            (.live, 128 << 10, 256 << 20, true), (.live, 128 << 10, 1, true), (.live, 0, 0, true),
            // Very large and negative numbers are allowed.
            (.test, .max, 0, false), (.live, .max, .min, false), (.test, -1, .max, true),
        ] as [(Environment, Int, Int, Bool)])
    func takes(environment: Environment, size: Int, free: Int, isTaken: Bool) {
        let refusal = StoragePolicyTests.policy.refusal(of: environment, size: size, free: free)
        #expect((refusal == nil) == isTaken)
        #expect(refusal == nil || refusal?.reason == .storage)
    }

    @Test func unknownFreeSpaceRefusesNothing() {
        for environment in Environment.allCases {
            #expect(StoragePolicyTests.policy.refusal(of: environment, size: 28 << 20, free: nil) == nil)
            #expect(StoragePolicy.unlimited.refusal(of: environment, size: 28 << 20, free: 0) == nil)
        }
    }
}
