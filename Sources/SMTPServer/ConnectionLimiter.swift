import RelayCore
import Synchronization

/// Counts connections, in total and by client, and refuses those above the limits.
final class ConnectionLimiter: Sendable {
    enum Verdict: Sendable {
        case admitted
        /// Which limit was reached.
        case refused(limit: Int, perClient: Bool)
    }

    private struct State: Sendable {
        var maximum: Int
        var maximumPerClient: Int
        var total = 0
        var byClient: [IPAddress: Int] = [:]
    }

    private let state: Mutex<State>

    init(maximum: Int, maximumPerClient: Int) {
        state = Mutex(State(maximum: maximum, maximumPerClient: maximumPerClient))
    }

    /// Other limits from now on. Connections above them that are there already stay.
    func change(maximum: Int, maximumPerClient: Int) {
        state.withLock { state in
            state.maximum = maximum
            state.maximumPerClient = maximumPerClient
        }
    }

    /// Each admitted connection must be ``released(_:)`` once.
    func admit(_ client: IPAddress) -> Verdict {
        state.withLock { state in
            guard state.total < state.maximum else { return .refused(limit: state.maximum, perClient: false) }
            let client = client.host
            let count = state.byClient[client, default: 0]
            guard count < state.maximumPerClient else {
                return .refused(limit: state.maximumPerClient, perClient: true)
            }
            state.byClient[client] = count + 1
            state.total += 1
            return .admitted
        }
    }

    /// Connections admitted and not released.
    var count: Int { state.withLock { $0.total } }

    /// Whether over 80 % of all places are taken: who has not shown a key yet must then be quick about it.
    var isUnderStress: Bool { state.withLock { $0.total * 5 > $0.maximum * 4 } }

    func released(_ client: IPAddress) {
        state.withLock { state in
            state.total -= 1
            let client = client.host
            if let count = state.byClient[client] { state.byClient[client] = count > 1 ? count - 1 : nil }
        }
    }
}
