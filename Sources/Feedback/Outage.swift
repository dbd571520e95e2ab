import RelayCore

/// An outage of something that the relay depends on. It is reported once, and the retries become less frequent. It is a
/// pure value over a monotonic clock.
///
/// The outage lasts until each operation that failed has worked again.
struct Outage<Operation: Hashable & Sendable>: Sendable {
    private var failing: Set<Operation> = []
    private var since = MonotonicTime.distantPast
    private var pause = Duration.zero
    /// Nothing is tried before this time.
    private(set) var retryAt = MonotonicTime.distantPast

    private let firstPause: Duration
    private let longestPause: Duration

    init(firstPause: Duration, longestPause: Duration) {
        self.firstPause = firstPause
        self.longestPause = longestPause
    }

    var isOn: Bool { !failing.isEmpty }

    func mayAsk(at now: MonotonicTime) -> Bool { now >= retryAt }

    /// Records a failure. Returns whether an outage begins. Failures of operations that ran at the same time count
    /// once.
    mutating func failed(_ operation: Operation, at now: MonotonicTime) -> Bool {
        let begins = failing.isEmpty
        failing.insert(operation)
        if begins {
            since = now
            pause = firstPause
        } else if now < retryAt {
            return false
        } else {
            pause = min(pause * 2, longestPause)
        }
        retryAt = now + pause
        return begins
    }

    /// Records a success. If it ends an outage, returns the outage's length in seconds. Otherwise returns nil.
    mutating func worked(_ operation: Operation, at now: MonotonicTime) -> Double? {
        guard failing.remove(operation) != nil, failing.isEmpty else { return nil }
        retryAt = MonotonicTime.distantPast
        return now.seconds(since: since)
    }
}
