import Dispatch
import Foundation
import Workloads

/// `once --list` prints the workloads and how many repetitions make a measurement. `once NAME COUNT` prepares the named
/// workload and runs it COUNT times.
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
        // `main` is not asynchronous, because an asynchronous `main` leaves its thread to Dispatch. The thread then
        // waits for signals with a mask in read-only memory, and valgrind (3.19) crashes when it writes to this mask.
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

    /// When this function returns, what the workload prepared has been released.
    private static func run(_ workload: Workload, _ count: Int) async throws {
        let repeated = try await workload.prepare()
        try await repeated(count)
    }

    private static func end(_ message: String, _ status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}
