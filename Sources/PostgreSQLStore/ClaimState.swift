import RelayCore
import Synchronization

/// What a relay remembers between its claims: the keys that have deliveries, and from where on to look for each one's.
///
/// A delivery that was claimed leaves a dead entry in the index, which stays for as long as somebody's transaction is open. A look that
/// began at the first entry would go through all of them each time. So it begins at a mark for each key, below which nothing was queued
/// when it was last looked at; now and then the whole is looked at again.
struct QueuedKeys {
    private struct Entry {
        /// In milliseconds: the first delivery is due at this time or later, as far as is known.
        var mark: Int64
        /// When something was last found.
        var seenAt: MonotonicTime
    }

    private var entries: [String: Entry] = [:]
    /// In order.
    private(set) var keys: [String] = []
    /// The key that was served last: the next claim goes on behind it, when there are more keys than it can serve.
    private var served = ""
    private(set) var lookedForKeysAt = MonotonicTime.distantPast
    /// When ``rewind(at:)`` is due.
    private var rewindsAt = MonotonicTime.distantPast

    /// Keys that are remembered at most; more are found again each time.
    static let most = 10_000
    /// A message that is being accepted has been due for a moment when it appears; so long at most, else it is found when the marks are next
    /// put back, in milliseconds.
    static let margin: Int64 = 1000
    /// Marks are put back so often.
    static let rewindInterval = Duration.seconds(10)
    /// A key without deliveries is forgotten after so long, in seconds.
    static let memory = 600.0

    mutating func add(_ found: [String], at now: MonotonicTime) {
        let new = found.filter { entries[$0] == nil }
        guard !new.isEmpty else { return }
        for key in new { entries[key] = Entry(mark: .min, seenAt: now) }
        if entries.count > QueuedKeys.most {
            let oldest = entries.sorted { $0.value.seenAt < $1.value.seenAt }
            for (key, _) in oldest.prefix(entries.count - QueuedKeys.most) { entries[key] = nil }
        }
        keys = entries.keys.sorted()
    }

    /// A delivery of the key was put into the queue by this process, due at a time: it is not to be overlooked.
    mutating func queued(_ key: String, due: Timestamp?, at now: MonotonicTime) {
        if entries[key] == nil { add([key], at: now) }
        let first = due?.milliseconds ?? .min
        if let entry = entries[key], entry.mark > first { entries[key]?.mark = first }
    }

    mutating func lookedForKeys(at now: MonotonicTime) { lookedForKeysAt = now }

    /// Where the look for a key's deliveries begins.
    func mark(of key: String) -> Int64 { entries[key]?.mark ?? .min }

    /// What a look from the marks on has found: for each key when its first delivery is due; nil: it has none.
    mutating func saw(_ dues: [(key: String, first: Int64?)], now: Timestamp, at moment: MonotonicTime) {
        var hasForgotten = false
        for (key, first) in dues {
            guard var entry = entries[key] else { continue }
            if let first {
                entry.seenAt = moment
                entry.mark = max(entry.mark, min(first, now.milliseconds - QueuedKeys.margin))
                entries[key] = entry
            } else if moment.seconds(since: entry.seenAt) > QueuedKeys.memory {
                entries[key] = nil
                hasForgotten = true
            }
        }
        if hasForgotten { keys = entries.keys.sorted() }
    }

    /// Begins to look at everything again where that is due.
    mutating func rewind(at now: MonotonicTime) {
        guard now >= rewindsAt else { return }
        rewindsAt = now + QueuedKeys.rewindInterval
        for key in keys { entries[key]?.mark = .min }
    }

    /// All keys in the order in which they have their turn.
    var inTurn: [String] {
        let next = keys.firstIndex { $0 > served } ?? 0
        return Array(keys[next...] + keys[..<next])
    }

    mutating func served(_ key: String) { served = key }

    /// The gaps between the keys that are known, in which others may be: behind the lower end, before the upper one. No key is before the
    /// first end or behind the last: keys are of letters and digits.
    var gaps: (lower: [String], upper: [String]) { ([""] + keys, keys + ["~"]) }
}

/// What claims of a process remember.
final class ClaimState: Sendable {
    private let lanes = Mutex<[Lane: QueuedKeys]>([:])
    private let lost = Mutex<[(claim: Int64, until: MonotonicTime)]>([])

    func with<T>(_ lane: Lane, _ body: (inout QueuedKeys) -> T) -> T {
        lanes.withLock { body(&$0[lane, default: QueuedKeys()]) }
    }

    /// Claims whose answers were lost. They may be committed, and nothing of theirs was sent: they are given back.
    func lostClaims(at now: MonotonicTime) -> [Int64] {
        lost.withLock { lost in
            lost.removeAll { $0.until < now }
            return lost.map(\.claim)
        }
    }

    func lose(_ claim: Int64, until: MonotonicTime) { lost.withLock { $0.append((claim, until)) } }
}
