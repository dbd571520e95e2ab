import RelayCore

/// Decides when repeated work is due: regularly while it is fast, and less often when it takes long.
struct PacedWork {
    private let interval: Duration
    private let longest: Duration
    private var due = MonotonicTime.distantPast

    /// In seconds. Work that takes no longer than this is always due again after the interval.
    static let fast = 0.1
    /// The largest part of the time that slow work may take. It takes more only when its pause has reached the longest
    /// one.
    static let part = 0.02

    /// - Parameters:
    ///   - interval: the pause after fast work.
    ///   - longest: the longest pause; at least the interval.
    init(interval: Duration, longest: Duration) {
        self.interval = interval
        self.longest = longest
    }

    func isDue(at now: MonotonicTime) -> Bool { now >= due }

    /// The work was done, between `start` and `end`.
    mutating func ran(from start: MonotonicTime, to end: MonotonicTime) {
        let took = end.seconds(since: start)
        let pause = took <= PacedWork.fast ? .zero : Duration.seconds(took / PacedWork.part)
        due = end + min(max(pause, interval), longest)
    }
}
