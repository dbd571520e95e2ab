import Dispatch
import Foundation
import Glibc
import ProcessSupport

/// A program that answers each line with a line. It ends when its standard input ends, even if this process is killed.
///
/// Questions are sent one after the other on a separate thread, because reads and writes block.
final class Conversation: Sendable {
    private let queue = DispatchQueue(label: "PostgreSQLTestServer")
    private let process: ChildProcess
    private let channel: FileHandle
    private let errors: FileHandle

    /// - Throws: `PostgreSQLTestServer.Failed` if the program can't be started.
    init(_ command: [String]) throws {
        errors = try Self.fileWithoutName()
        let (channel, itsEnd) = try Self.channel()
        self.channel = channel
        // A write to a program that has ended must not end this process with a signal.
        signal(SIGPIPE, SIG_IGN)
        // The program's end of the channel is closed after the start, and not before: nothing else keeps it open.
        defer { try? itsEnd.close() }
        do {
            process = try ChildProcess(command, input: itsEnd, output: itsEnd, errors: errors)
        } catch let error as ChildProcess.NotStarted {
            throw PostgreSQLTestServer.Failed(description: error.description)
        }
        // The first line of the program says that it is ready. It is read before the first answer.
        queue.async { [self] in _ = try? line() }
    }

    /// - Throws: `PostgreSQLTestServer.Failed` with what the program wrote to standard error, if it has ended.
    func ask(_ question: String) async throws -> String {
        try await onQueue { [self] in
            try write(question + "\n")
            return try line()
        }
    }

    /// Returns when the program has ended.
    func end() async throws {
        try await onQueue { [self] in
            try channel.close()
            _ = process.wait()
        }
    }

    private func onQueue<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    private func write(_ text: String) throws {
        do { try channel.write(contentsOf: Data(text.utf8)) } catch { throw ended() }
    }

    private func line() throws -> String {
        var line = Data()
        // An error of the channel counts as its end too. It occurs if the program ended before it had read everything.
        while let byte = try? channel.read(upToCount: 1), let value = byte.first {
            if value == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(value)
        }
        throw ended()
    }

    private func ended() -> PostgreSQLTestServer.Failed {
        try? errors.seek(toOffset: 0)
        let text = (try? errors.readToEnd()).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) } ?? ""
        return .init(
            description: "the server for tests has ended: \(text.trimmingCharacters(in: .whitespacesAndNewlines))")
    }

    /// Other programs that this process starts never inherit the channel. A program that held it open would keep the
    /// server alive.
    private static func channel() throws -> (FileHandle, FileHandle) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw failure("socketpair", errno)
        }
        return (
            FileHandle(fileDescriptor: ends[0], closeOnDealloc: true),
            FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
        )
    }

    /// A file for standard error. It is not a pipe, because nothing would read from the pipe while the program runs.
    private static func fileWithoutName() throws -> FileHandle {
        guard let file = tmpfile() else { throw failure("tmpfile", errno) }
        defer { fclose(file) }
        let descriptor = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else { throw failure("fcntl", errno) }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    private static func failure(_ what: String, _ number: Int32) -> PostgreSQLTestServer.Failed {
        .init(description: "\(what): \(String(cString: strerror(number)))")
    }
}
