/// A moment of a clock that never goes back. Rates and time-outs are measured with it. Such a moment is valid only
/// within one process and is never stored. Moments that processes compare with each other are ``Timestamp``s.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Seconds since some fixed moment.
    public var seconds: Double

    @inlinable
    public init(seconds: Double) { self.seconds = seconds }

    /// Earlier than every moment of the clock.
    public static let distantPast = MonotonicTime(seconds: -.infinity)

    @inlinable
    public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.seconds < b.seconds }

    /// The moment `b` later. Calculated in seconds, so it never traps.
    @inlinable
    public static func + (a: MonotonicTime, b: Duration) -> MonotonicTime { a.advanced(bySeconds: b.inSeconds) }

    /// The time from `b` to `a`, limited to 10^18 s in either direction. Only ``distantPast`` is so far away.
    @inlinable
    public static func - (a: MonotonicTime, b: MonotonicTime) -> Duration {
        // Duration traps on values that it can't hold, and infinity minus infinity is not a number.
        guard a.seconds != b.seconds else { return .zero }
        return .seconds(min(max(a.seconds(since: b), -1e18), 1e18))
    }

    /// The seconds from `earlier` to this moment, for further calculation: not rounded, and infinite if `earlier` is
    /// ``distantPast``.
    @inlinable
    public func seconds(since earlier: MonotonicTime) -> Double { seconds - earlier.seconds }

    /// The same as `+` for a time in seconds: not rounded, and any number is valid.
    @inlinable
    public func advanced(bySeconds seconds: Double) -> MonotonicTime { MonotonicTime(seconds: self.seconds + seconds) }
}
