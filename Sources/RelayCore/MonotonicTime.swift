/// A moment of the clock that only goes forwards: what rates and time-outs are measured with. Of one process alone, and never on
/// record; what is compared across processes is a ``Timestamp``.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Since some fixed moment.
    public var seconds: Double

    @inlinable
    public init(seconds: Double) { self.seconds = seconds }

    /// Before every moment of the clock.
    public static let distantPast = MonotonicTime(seconds: -.infinity)

    @inlinable
    public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.seconds < b.seconds }

    @inlinable
    public static func + (a: MonotonicTime, b: Duration) -> MonotonicTime { a.advanced(bySeconds: b.inSeconds) }

    /// Limited to 10^18 s either way: so far away is ``distantPast``.
    @inlinable
    public static func - (a: MonotonicTime, b: MonotonicTime) -> Duration {
        // Duration traps at what it can't hold, and infinity minus infinity is not a number.
        guard a.seconds != b.seconds else { return .zero }
        return .seconds(min(max(a.seconds(since: b), -1e18), 1e18))
    }

    /// The difference in seconds, where arithmetic goes on with it: not rounded, and infinite since ``distantPast``.
    @inlinable
    public func seconds(since earlier: MonotonicTime) -> Double { seconds - earlier.seconds }

    /// As `+`, for a time that comes as seconds: not rounded, and any number is valid.
    @inlinable
    public func advanced(bySeconds seconds: Double) -> MonotonicTime { MonotonicTime(seconds: self.seconds + seconds) }
}
