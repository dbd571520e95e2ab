import Foundation
import Glibc

/// Writes the output of commands. It does not use Foundation's file handles, because they end the process if their file
/// can't be written.
enum Output {
    /// Writes to standard output, after everything that was printed. Throws a `CommandError` if that fails.
    static func write(_ bytes: some ContiguousBytes) throws {
        try finish()
        guard all(bytes, to: STDOUT_FILENO) else { throw failure() }
    }

    /// Flushes everything that was printed. Throws a `CommandError` if that fails: a user who did not get a key that is
    /// shown once must learn that.
    static func finish() throws {
        guard fflush(nil) == 0 else { throw failure() }
    }

    /// Writes to standard error. If that fails, there is no other place to report it.
    static func writeError(_ text: String) { _ = all(Data(text.utf8), to: STDERR_FILENO) }

    private static func failure() -> CommandError {
        CommandError(
            "the command's changes are done, but its output can't be written: \(String(cString: strerror(errno)))")
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
