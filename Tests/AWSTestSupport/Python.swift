import Foundation

/// Runs scripts with the Python that has botocore and moto: `python3`, or what PYTHON names.
package final class Python: Sendable {
    struct Failed: Error, CustomStringConvertible { let description: String }

    private let process: Process
    private let input: FileHandle
    private let output: FileHandle

    package init(_ script: String) throws {
        process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["PYTHON"] ?? "python3", "-c", script]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
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
            python.process.waitUntilExit()
            guard python.process.terminationStatus == 0 else {
                throw Failed(description: "python3 ended with status \(python.process.terminationStatus)")
            }
            return output
        }
    }

    /// The next line that the script prints; nil when it has ended.
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

    /// The script sees the end of its input and ends; also when this process dies without saying so.
    package func end() async throws {
        try input.close()
        try await Python.onThread { [process] in process.waitUntilExit() }
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
