import Dispatch
import Foundation
import Workloads

/// `once --list`: the workloads, with the repetitions that make a measurement. `once NAME COUNT`: prepares that one and does it
/// so many times.
@main
enum Once {
    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        if words == ["--list"] {
            for workload in Workload.all { print(workload.repetitions, workload.name) }
            return
        }
        guard words.count == 2, let workload = Workload.all.first(where: { $0.name == words[0] }),
            let count = Int(words[1]), count >= 0
        else { end("usage: once --list | once NAME COUNT", 64) }
        // Not an asynchronous main: its thread, when it is left to Dispatch, waits for signals with a mask in memory that can't be
        // written, and valgrind (3.19) dies when it writes there.
        Task.detached {
            do {
                try await run(workload, count)
            } catch {
                end("\(error)", 1)
            }
            exit(0)
        }
        DispatchSemaphore(value: 0).wait()
    }

    /// What was prepared has gone when it returns.
    private static func run(_ workload: Workload, _ count: Int) async throws {
        let repeated = try await workload.prepare()
        try await repeated(count)
    }

    private static func end(_ message: String, _ status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}
