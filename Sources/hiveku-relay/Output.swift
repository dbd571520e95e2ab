import Foundation
import Glibc

/// What commands print. Foundation's file handles end the process where their file can't be written.
enum Output {
    /// Writes to standard output, behind what was printed. Throws a `CommandError` when that fails.
    static func write(_ bytes: some ContiguousBytes) throws {
        try finish()
        guard all(bytes, to: STDOUT_FILENO) else { throw failure() }
    }

    /// What was printed is written. Throws a `CommandError` when that fails: who reads a key that is shown once must hear of it.
    static func finish() throws {
        guard fflush(nil) == 0 else { throw failure() }
    }

    /// Where errors can't be written, nobody can be told.
    static func writeError(_ text: String) { _ = all(Data(text.utf8), to: STDERR_FILENO) }

    private static func failure() -> CommandError {
        CommandError(
            "what the command did is done, but its output can't be written: \(String(cString: strerror(errno)))")
    }

    private static func all(_ bytes: some ContiguousBytes, to descriptor: CInt) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }
}
