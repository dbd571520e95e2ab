import Metrics
import Synchronization

// The values behind the handles. Each counter and each gauge is an atomic. A histogram is a lock around a few numbers.
// The lock is held for nanoseconds and keeps the sum, the count and the buckets consistent.

/// A whole number that only grows.
final class CounterSeries: CounterHandler {
    private let value = Atomic<UInt64>(0)

    func increment(by amount: Int64) {
        // A counter must never decrease, because Prometheus would take that for a restart.
        guard amount > 0 else { return }
        value.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    func reset() { value.store(0, ordering: .relaxed) }

    var current: UInt64 { value.load(ordering: .relaxed) }
}

/// A number that can rise and fall. For a meter, or a recorder that does not aggregate.
final class GaugeSeries: MeterHandler, RecorderHandler {
    private let bits = Atomic<UInt64>(0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }
    func decrement(by amount: Double) { increment(by: -amount) }

    func increment(by amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How many values were up to each bound. Timers count in seconds.
final class HistogramSeries: RecorderHandler, TimerHandler {
    struct Counts: Sendable {
        /// The count of each bucket by itself. The last bucket has the values above all bounds.
        var buckets: [UInt64]
        var sum = 0.0

        var count: UInt64 { buckets.reduce(0, +) }
    }

    let bounds: [Double]
    private let counts: Mutex<Counts>

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = Mutex(Counts(buckets: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard !value.isNaN else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts.withLock {
            $0.buckets[bucket] += 1
            $0.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    var current: Counts { counts.withLock { $0 } }
}
