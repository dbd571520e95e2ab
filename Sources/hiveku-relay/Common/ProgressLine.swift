import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One line of the terminal that shows a command's progress. Prints nothing if standard error is not a terminal.
final class ProgressLine: Sendable {
    private let isShown = isatty(STDERR_FILENO) == 1
    private let shown = Mutex(0)

    func show(_ text: String) {
        guard isShown else { return }
        shown.withLock { shown in
            // Spaces overwrite a longer text from before, and the cursor returns to the start of the line.
            let rest = String(repeating: " ", count: max(0, shown - text.count))
            Output.writeError("\r\(text)\(rest)\r")
            shown = text.count
        }
    }

    func clear() { show("") }
}
