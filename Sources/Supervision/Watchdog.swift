import Logging
import NIOCore
import RelayCore
import Synchronization

/// Asks every part of the relay that must keep running for a heartbeat, and reports whether all of them answer.
///
/// If they do not, the service manager gets no watchdog notification and restarts the relay. Without a watchdog, a
/// relay that hangs would hang until an operator notices.
public final class Watchdog: Sendable {
    /// A part that must keep running, and the way in which it proves that.
    public struct Part: Sendable {
        var name: String
        var timeout: Duration
        /// Asks the part. It must not wait. `answer` must be called from where the part does its work.
        var ask: @Sendable (_ answer: @escaping @Sendable () -> Void) -> Void

        public init(
            _ name: String, timeout: Duration,
            ask: @escaping @Sendable (_ answer: @escaping @Sendable () -> Void) -> Void
        ) {
            self.name = name
            self.timeout = timeout
            self.ask = ask
        }

        /// An event loop. It answers by running a task.
        public static func eventLoop(_ loop: any EventLoop, _ name: String, timeout: Duration) -> Part {
            Part(name, timeout: timeout) { answer in loop.execute { answer() } }
        }
    }

    private struct State {
        var heartbeats: Heartbeats
        /// The parts that the log has already named.
        var silent: Set<String> = []
    }

    private let parts: [Part]
    private let clock: any RelayClock
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - parts: the parts that must answer.
    ///   - clock: measures how long answers take.
    ///   - logger: gets a line when a part does not answer in time.
    public init(_ parts: [Part], clock: any RelayClock, logger: Logger) {
        self.parts = parts
        self.clock = clock
        self.logger = logger
        let heartbeats = Heartbeats(
            parts.map { Heartbeats.Part($0.name, timeout: $0.timeout.inSeconds) })
        state = Mutex(State(heartbeats: heartbeats))
    }

    /// Returns whether all parts have answered in time, and asks them again. Call it regularly.
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
                "part of the relay does not respond; the service manager gets no watchdog notification until it does",
                metadata: ["part": "\(silence.name)", "seconds": "\(Int(silence.seconds))"])
        }
        for name in known.subtracting(silences.map(\.name)).sorted() {
            logger.notice("part of the relay responds again", metadata: ["part": "\(name)"])
        }
        for number in due {
            parts[number].ask { [self] in state.withLock { $0.heartbeats.answered(number) } }
        }
        return silences.isEmpty
    }
}
