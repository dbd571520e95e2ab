import Dispatch
import Foundation
import Glibc

/// Debian's `openssl` command.
enum OpenSSLTool {
    struct Outcome {
        var status: Int32
        /// Standard output and standard error as they came.
        var output: String
    }

    struct Failure: Error {
        var arguments: [String]
        var outcome: Outcome
    }

    /// Runs it with `input` as its standard input, and ends it if it does not end by itself.
    static func run(_ arguments: [String], input: String = "", in directory: TemporaryDirectory? = nil) async throws
        -> Outcome
    {
        let files = try TemporaryDirectory()
        let output = try files.write([], to: "output")
        let process = try spawn(
            ["env", "-C", (directory ?? files).url.path, "openssl"] + arguments,
            input: files.write(Array(input.utf8), to: "input"), output: output)
        let bound = DispatchWorkItem { kill(process, SIGTERM) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 30, execute: bound)
        let status = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var status: CInt = 0
                while waitpid(process, &status, 0) < 0, errno == EINTR {}
                continuation.resume(returning: status & 0x7F == 0 ? status >> 8 & 0xFF : -1)
            }
        }
        bound.cancel()
        let text = String(decoding: try Data(contentsOf: URL(filePath: output)), as: UTF8.self)
        return Outcome(status: status, output: text)
    }

    /// Not with Foundation's Process, which has crashed in tests that start many at once.
    private static func spawn(
        _ command: [String], input: String, output: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] =
            ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + environment).forEach { free($0) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, command[0], &actions, nil, &words, &environment)
        guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .EIO) }
        return process
    }

    /// Runs it and throws what it said if it failed.
    static func succeed(_ arguments: [String], in directory: TemporaryDirectory) async throws {
        let outcome = try await Self.run(arguments, in: directory)
        guard outcome.status == 0 else { throw Failure(arguments: arguments, outcome: outcome) }
    }
}

/// A directory that goes when nobody needs it any more.
final class TemporaryDirectory: Sendable {
    let url: URL

    init() throws {
        self.url = FileManager.default.temporaryDirectory.appending(path: "NIOOpenSSLTests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: self.url, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(at: self.url) }

    func path(_ name: String) -> String { self.url.appending(path: name).path }

    /// - Returns: the path of the file.
    @discardableResult
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        try Data(bytes).write(to: URL(filePath: self.path(name)))
        return self.path(name)
    }

    func read(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: self.path(name)))) }
}
