import RelayCore
import Synchronization

/// Counts connections, in total and by client address, and refuses those above the limits.
final class ConnectionLimiter: Sendable {
    enum Verdict: Sendable {
        case admitted
        /// Which limit was reached.
        case refused(limit: Int, perClient: Bool)
    }

    private struct State: Sendable {
        var total = 0
        var byClient: [IPAddress: Int] = [:]
    }

    private let maximum: Int
    private let maximumPerClient: Int
    private let state = Mutex(State())

    init(maximum: Int, maximumPerClient: Int) {
        self.maximum = maximum
        self.maximumPerClient = maximumPerClient
    }

    /// Each admitted connection must be ``released(_:)`` once.
    func admit(_ client: IPAddress) -> Verdict {
        state.withLock { state in
            guard state.total < maximum else { return .refused(limit: maximum, perClient: false) }
            let count = state.byClient[client, default: 0]
            guard count < maximumPerClient else { return .refused(limit: maximumPerClient, perClient: true) }
            state.byClient[client] = count + 1
            state.total += 1
            return .admitted
        }
    }

    /// Connections admitted and not released.
    var count: Int { state.withLock { $0.total } }

    /// Whether over 80 % of all places are taken: who has not shown a key yet must then be quick about it.
    var isUnderStress: Bool { state.withLock { $0.total * 5 > maximum * 4 } }

    func released(_ client: IPAddress) {
        state.withLock { state in
            state.total -= 1
            if let count = state.byClient[client] { state.byClient[client] = count > 1 ? count - 1 : nil }
        }
    }
}
