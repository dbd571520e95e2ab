/// A moment of the clock that only goes forwards: what rates and time-outs are measured with. Of one process alone, and never on
/// record; what is compared across processes is a ``Timestamp``.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Since some fixed moment.
    public var seconds: Double

    public init(seconds: Double) { self.seconds = seconds }

    /// Before every moment of the clock.
    public static let distantPast = MonotonicTime(seconds: -.infinity)

    public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.seconds < b.seconds }

    public static func + (a: MonotonicTime, b: Duration) -> MonotonicTime {
        MonotonicTime(seconds: a.seconds + b.inSeconds)
    }

    /// In seconds.
    public func seconds(since earlier: MonotonicTime) -> Double { seconds - earlier.seconds }
}

extension RelayClock {
    public func monotonicNow() -> MonotonicTime { MonotonicTime(seconds: monotonicSeconds()) }
}
