import Foundation
import ProcessSupport

/// Runs scripts with the Python that has botocore and moto: the program that the environment variable PYTHON names, or
/// `python3`.
package final class Python: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    private let process: ChildProcess
    private let input: FileHandle
    private let output: FileHandle

    package init(_ script: String) throws {
        let input = Pipe()
        let output = Pipe()
        process = try ChildProcess(
            [ProcessInfo.processInfo.environment["PYTHON"] ?? "python3", "-c", script],
            input: input.fileHandleForReading, output: output.fileHandleForWriting)
        // The output ends when the last handle for writing to it is closed.
        try output.fileHandleForWriting.close()
        self.input = input.fileHandleForWriting
        self.output = output.fileHandleForReading
    }

    /// Gives the script its input and returns all that it prints.
    package static func run(_ script: String, input: Data) async throws -> Data {
        let python = try Python(script)
        return try await onThread {
            try python.input.write(contentsOf: input)
            try python.input.close()
            let output = try python.output.readToEnd() ?? Data()
            let status = python.process.wait()
            guard status == 0 else { throw Failed(description: "python3 ended with status \(status)") }
            return output
        }
    }

    /// The next line that the script prints; nil when its output has ended.
    package func line() async throws -> String? {
        try await Python.onThread { [output] in
            var line = Data()
            while let byte = try output.read(upToCount: 1), !byte.isEmpty {
                if byte.first == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
                line += byte
            }
            return nil
        }
    }

    /// Closes the script's input, so that the script ends, and waits for its end. If this process dies, the input ends
    /// as well.
    package func end() async throws {
        try input.close()
        try await Python.onThread { [process] in _ = process.wait() }
    }

    /// Blocking calls must not hold up the threads that tasks run on.
    private static func onThread<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Swift.Result(catching: body)) }.start()
        }
    }
}
