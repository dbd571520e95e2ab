import Dispatch
import Foundation
import Glibc
import ProcessSupport

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

    /// Runs the command with `input` as its standard input. Ends it if it does not end by itself within 30 seconds.
    static func run(_ arguments: [String], input: String = "", in directory: TemporaryDirectory? = nil) async throws
        -> Outcome
    {
        let files = try TemporaryDirectory()
        let output = URL(filePath: try files.write([], to: "output"))
        let handle = try FileHandle(forWritingTo: output)
        let process = try ChildProcess(
            ["openssl"] + arguments,
            input: FileHandle(forReadingFrom: URL(filePath: files.write(Array(input.utf8), to: "input"))),
            output: handle, errors: handle, in: (directory ?? files).url)
        let bound = DispatchWorkItem { kill(process.id, SIGTERM) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 30, execute: bound)
        let status = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: process.wait()) }
        }
        bound.cancel()
        return Outcome(status: status, output: String(decoding: try Data(contentsOf: output), as: UTF8.self))
    }

    /// Runs the command. Throws its output if it fails.
    static func succeed(_ arguments: [String], in directory: TemporaryDirectory) async throws {
        let outcome = try await Self.run(arguments, in: directory)
        guard outcome.status == 0 else { throw Failure(arguments: arguments, outcome: outcome) }
    }
}

/// A directory that is removed when it is no longer used.
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
