import Logging
import NIOCore
import RelayCore
import Synchronization

/// Asks everything that must turn for a sign of life, and tells whether all of it does.
///
/// The service manager restarts the relay when the answer stays away: what hangs would otherwise hang until somebody looks.
public final class Watchdog: Sendable {
    /// Something that must turn, and how it proves that.
    public struct Part: Sendable {
        var name: String
        var patience: Duration
        /// Calls back from where the part does its work; does not wait for it.
        var ask: @Sendable (_ answer: @escaping @Sendable () -> Void) -> Void

        public init(
            _ name: String, patience: Duration,
            ask: @escaping @Sendable (_ answer: @escaping @Sendable () -> Void) -> Void
        ) {
            self.name = name
            self.patience = patience
            self.ask = ask
        }

        /// An event loop answers by running a task.
        public static func eventLoop(_ loop: any EventLoop, _ name: String, patience: Duration) -> Part {
            Part(name, patience: patience) { answer in loop.execute { answer() } }
        }
    }

    private struct State {
        var heartbeats: Heartbeats
        /// Those that the log knows of.
        var silent: Set<String> = []
    }

    private let parts: [Part]
    private let clock: any RelayClock
    private let logger: Logger
    private let state: Mutex<State>

    public init(_ parts: [Part], clock: any RelayClock, logger: Logger) {
        self.parts = parts
        self.clock = clock
        self.logger = logger
        let heartbeats = Heartbeats(
            parts.map { Heartbeats.Part($0.name, patience: $0.patience.inSeconds) })
        state = Mutex(State(heartbeats: heartbeats))
    }

    /// Whether all have answered in time what they were asked, and asks again. To be called now and then.
    public func check() -> Bool {
        let now = clock.monotonicNow()
        let (silences, known, due) = state.withLock { state in
            let silences = state.heartbeats.silences(at: now)
            let known = state.silent
            state.silent = Set(silences.map(\.name))
            return (silences, known, state.heartbeats.ask(at: now))
        }
        for silence in silences where !known.contains(silence.name) {
            logger.critical(
                "hangs, and no sign of life is given until it turns again",
                metadata: ["part": "\(silence.name)", "seconds": "\(Int(silence.seconds))"])
        }
        for name in known.subtracting(silences.map(\.name)).sorted() {
            logger.notice("turns again", metadata: ["part": "\(name)"])
        }
        for number in due {
            parts[number].ask { [self] in state.withLock { $0.heartbeats.answered(number) } }
        }
        return silences.isEmpty
    }
}
