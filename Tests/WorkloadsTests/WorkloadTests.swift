import Testing
import Workloads

@Suite("The workloads of the benchmarks") struct WorkloadTests {
    @Test("Each workload can run, even twice", arguments: Workload.all.map(\.name))
    func runs(name: String) async throws {
        let workload = try #require(Workload.all.first { $0.name == name })
        let repeated = try await workload.prepare()
        try await repeated(2)
    }
}
