import Benchmark
import Workloads

/// How long each workload takes. Instructions are counted by `instructions.py`.
let benchmarks: @Sendable () -> Void = {
    for workload in Workload.all {
        Benchmark(
            workload.name,
            configuration: .init(
                metrics: [.wallClock], scalingFactor: workload.repetitions == 1000 ? .kilo : .one,
                maxDuration: .seconds(2))
        ) { (benchmark: Benchmark, run: Workload.Repeat) in
            try await run(benchmark.scaledIterations.count)
        } setup: {
            try await workload.prepare()
        }
    }
}
