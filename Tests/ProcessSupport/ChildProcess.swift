import Foundation
import Glibc

/// A program that a test starts. Only standard input, output and error are open in it.
///
/// Foundation's Process is not used, because it has crashed in tests that start many programs at once. Besides,
/// programs that it starts later inherit its sockets, which keeps the earlier programs from ending.
package final class ChildProcess: Sendable {
    package struct NotStarted: Error, CustomStringConvertible {
        package let description: String
    }

    package let id: pid_t

    /// - Parameters:
    ///   - command: the program, which is looked for in PATH, and its arguments.
    ///   - input: standard input; nil for an empty one. `output` and `errors` are standard output and standard error;
    ///     nil if they are not kept.
    ///   - directory: the program's working directory; nil for that of this process.
    /// - Throws: ``NotStarted``.
    package init(
        _ command: [String], input: FileHandle? = nil, output: FileHandle? = nil, errors: FileHandle? = nil,
        in directory: URL? = nil
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, handle) in [input, output, errors].enumerated() {
            if let handle {
                posix_spawn_file_actions_adddup2(&actions, handle.fileDescriptor, CInt(number))
            } else {
                posix_spawn_file_actions_addopen(&actions, CInt(number), "/dev/null", O_RDWR, 0)
            }
        }
        for descriptor in 3...ChildProcess.greatestDescriptor {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        let command = directory.map { ["env", "-C", $0.path] + command } ?? command
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] =
            ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + environment).forEach { free($0) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, command[0], &actions, nil, &words, &environment)
        guard error == 0 else {
            throw NotStarted(description: "can't start \(command[0]): \(String(cString: strerror(error)))")
        }
        id = process
    }

    /// The greatest descriptor that is open, or that another thread may open in the meantime. It does no harm to close
    /// a descriptor that is not open.
    private static var greatestDescriptor: CInt {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return min(CInt(clamping: limit.rlim_cur) - 1, (open.compactMap { CInt($0) }.max() ?? 3) + 256)
    }

    /// Waits until the program has ended. Call this exactly once. It blocks the thread.
    ///
    /// - Returns: the program's exit status, or the signal that ended it as a negative number.
    package func wait() -> Int32 {
        var status: CInt = 0
        while waitpid(id, &status, 0) < 0 {
            // Nothing else waits for the program, so there is no other error.
            precondition(errno == EINTR, "waitpid: \(String(cString: strerror(errno)))")
        }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }
}
