import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Says in one line of the terminal what is still being looked at; nothing where standard error is no terminal.
final class Progress: Sendable {
    private let isShown = isatty(STDERR_FILENO) == 1
    private let state: Mutex<(waiting: [String], shown: Int)>

    init(_ names: [String]) {
        state = Mutex((names, 0))
        show { _ in }
    }

    func ended(_ name: String) { show { $0.removeAll { $0 == name } } }

    func clear() { show { $0 = [] } }

    private func show(_ change: (inout [String]) -> Void) {
        guard isShown else { return }
        state.withLock { state in
            change(&state.waiting)
            let text = state.waiting.isEmpty ? "" : "looking at: " + state.waiting.joined(separator: ", ")
            // Blanks over what was longer before, and back to the beginning of the line.
            let rest = String(repeating: " ", count: max(0, state.shown - text.count))
            FileHandle.standardError.write(Data("\r\(text)\(rest)\r".utf8))
            state.shown = text.count
        }
    }
}
