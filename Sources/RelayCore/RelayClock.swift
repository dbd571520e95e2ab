#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The only source of time. It is injected, so that tests of limits, retries and retention take no real time.
public protocol RelayClock: Sendable {
    /// The wall-clock time.
    func now() -> Timestamp

    /// A clock that never steps, for measuring rates and time-outs.
    func monotonicNow() -> MonotonicTime

    /// Returns when `now()` has reached `deadline`. Throws `CancellationError` if the task is cancelled.
    func sleep(until deadline: Timestamp) async throws
}

extension RelayClock {
    /// The default returns the wall-clock time in seconds. It is for the clocks of tests, which never step.
    public func monotonicNow() -> MonotonicTime { MonotonicTime(seconds: Double(now().milliseconds) / 1000) }
}

/// The machine's own clocks.
public struct SystemClock: RelayClock {
    public init() {}

    public func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    public func monotonicNow() -> MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(seconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9)
    }

    public func sleep(until deadline: Timestamp) async throws {
        let wait = deadline - now()
        if wait > .zero { try await Task.sleep(for: wait) } else { try Task.checkCancellation() }
    }
}
