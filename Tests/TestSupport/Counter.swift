import Synchronization

/// Counts 1, 2, 3 and so on, for any number of callers.
public final class Counter: Sendable {
    private let last = Atomic<Int64>(0)

    public init() {}

    public func next() -> Int64 { last.add(1, ordering: .relaxed).newValue }
}
