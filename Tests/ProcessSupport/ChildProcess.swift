import Foundation
import Glibc

/// A program that a test starts. It has the three descriptors that it is given, and no other.
///
/// Not with Foundation's Process, which has crashed in tests that start many programs at once, and which keeps programs from ending: those
/// that are started later inherit its sockets.
package final class ChildProcess: Sendable {
    package struct NotStarted: Error, CustomStringConvertible {
        package let description: String
    }

    package let id: pid_t

    /// - Parameters:
    ///   - command: the program, which is looked for in PATH, and its arguments.
    ///   - input: standard input; nil for an empty one. So for `output` and `errors`: nil where what is written is not kept.
    ///   - directory: where it runs; nil for this process's.
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

    /// That of an open file, or of one that another thread opens meanwhile. To close one that is not open does no harm.
    private static var greatestDescriptor: CInt {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return min(CInt(clamping: limit.rlim_cur) - 1, (open.compactMap { CInt($0) }.max() ?? 3) + 256)
    }

    /// Waits until it has ended, which is to be done once. Blocks the thread.
    ///
    /// - Returns: its exit status; the signal that ended it, as a negative number.
    package func wait() -> Int32 {
        var status: CInt = 0
        while waitpid(id, &status, 0) < 0 {
            // Nobody else waits for it, so there is no other error.
            precondition(errno == EINTR, "waitpid: \(String(cString: strerror(errno)))")
        }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }
}
