import RelayCore
import Synchronization

/// The server's clock as far as it is known: the last time that the server reported, plus the monotonic time since
/// then. So all relays on one server use one clock, and none uses its own.
///
/// Before the server has reported a time, it is the machine's clock.
final class ServerClock: RelayClock {
    private let machine = SystemClock()
    /// The time of the server's clock when the monotonic clock was zero, in seconds.
    private let origin = Mutex<Double?>(nil)

    /// Stores the time that the server reported between two moments. The server is assumed to have read its clock in
    /// the middle between them. The error is at most half of their distance.
    func take(_ serverTime: Timestamp, askedAt: MonotonicTime, answeredAt: MonotonicTime) {
        // An answer that took long says little.
        let distance = answeredAt.seconds(since: askedAt)
        guard distance < 0.5 else { return }
        let middle = askedAt.seconds + distance / 2
        origin.withLock { $0 = Double(serverTime.milliseconds) / 1000 - middle }
    }

    /// How far the machine's clock is ahead of the server's; nil before the server has reported a time.
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
