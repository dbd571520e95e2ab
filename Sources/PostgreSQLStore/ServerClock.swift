import RelayCore
import Synchronization

/// The server's clock, as far as it is known: what it said last, and the monotonic time since then. So all relays on one server go by
/// one clock, and none by its own.
///
/// Before the server has said anything it is the machine's clock.
final class ServerClock: RelayClock {
    private let machine = SystemClock()
    /// What the server's clock showed when the monotonic one was zero, in seconds.
    private let origin = Mutex<Double?>(nil)

    /// Takes over what the server said between two moments: it was in the middle, or off by half their distance at most.
    func take(_ serverTime: Timestamp, askedAt: MonotonicTime, answeredAt: MonotonicTime) {
        // An answer that was long on its way says little.
        let distance = answeredAt.seconds(since: askedAt)
        guard distance < 0.5 else { return }
        let middle = askedAt.seconds + distance / 2
        origin.withLock { $0 = Double(serverTime.milliseconds) / 1000 - middle }
    }

    /// How far the machine's clock is ahead of the server's; nil before the server has said anything.
    var machineOffset: Duration? {
        origin.withLock { $0 }.map { origin in
            .seconds(Double(machine.now().milliseconds) / 1000 - (origin + machine.monotonicNow().seconds))
        }
    }

    func now() -> Timestamp {
        guard let origin = origin.withLock({ $0 }) else { return machine.now() }
        return Timestamp(milliseconds: Int64(((origin + machine.monotonicNow().seconds) * 1000).rounded(.down)))
    }

    func monotonicNow() -> MonotonicTime { machine.monotonicNow() }

    func sleep(until deadline: Timestamp) async throws {
        let wait = deadline - now()
        if wait > .zero { try await Task.sleep(for: wait) } else { try Task.checkCancellation() }
    }
}
