import Synchronization

/// Shows which checks are still running.
final class Progress: Sendable {
    private let line = ProgressLine()
    private let waiting: Mutex<[String]>

    init(_ names: [String]) {
        waiting = Mutex(names)
        show { _ in }
    }

    func ended(_ name: String) { show { $0.removeAll { $0 == name } } }

    func clear() { show { $0 = [] } }

    private func show(_ change: (inout [String]) -> Void) {
        waiting.withLock { waiting in
            change(&waiting)
            line.show(waiting.isEmpty ? "" : "checking: " + waiting.joined(separator: ", "))
        }
    }
}
