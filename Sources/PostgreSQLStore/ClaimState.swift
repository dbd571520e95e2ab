import RelayCore
import Synchronization

/// What a relay remembers between its claims: the keys that have deliveries, and where the search for each key's
/// deliveries begins.
///
/// A claimed delivery leaves a dead entry in the index, which stays for as long as any transaction is open. A search
/// that began at the first entry would go through all of them each time. So it begins at a mark for each key. No
/// delivery below the mark was queued at the last search. From time to time everything is searched again.
struct QueuedKeys {
    private struct Entry {
        /// In milliseconds: the first delivery is due at this time or later, as far as is known.
        var mark: Int64
        /// When a delivery was last found.
        var seenAt: MonotonicTime
    }

    private var entries: [String: Entry] = [:]
    /// The keys in order.
    private(set) var keys: [String] = []
    /// The key that was served last. The next claim continues after it if there are more keys than one claim can serve.
    private var served = ""
    private(set) var lookedForKeysAt = MonotonicTime.distantPast
    /// When ``rewind(at:)`` is due.
    private var rewindsAt = MonotonicTime.distantPast

    /// The most keys that are remembered. Others are found again each time.
    static let most = 10_000
    /// In milliseconds. A message that is being accepted has already been due for a moment when it appears, at most for
    /// this long. If it was longer, it is found when the marks are next reset.
    static let margin: Int64 = 1000
    /// How often the marks are reset.
    static let rewindInterval = Duration.seconds(10)
    /// After how many seconds a key without deliveries is forgotten.
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

    /// This process has queued a delivery of the key that is due at this time. The next search must find it.
    mutating func queued(_ key: String, due: Timestamp?, at now: MonotonicTime) {
        if entries[key] == nil { add([key], at: now) }
        let first = due?.milliseconds ?? .min
        if let entry = entries[key], entry.mark > first { entries[key]?.mark = first }
    }

    mutating func lookedForKeys(at now: MonotonicTime) { lookedForKeysAt = now }

    /// Where the search for a key's deliveries begins.
    func mark(of key: String) -> Int64 { entries[key]?.mark ?? .min }

    /// Stores the result of a search from the marks: when each key's first delivery is due, or nil if it has none.
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

    /// Starts to search everything again if that is due.
    mutating func rewind(at now: MonotonicTime) {
        guard now >= rewindsAt else { return }
        rewindsAt = now + QueuedKeys.rewindInterval
        for key in keys { entries[key]?.mark = .min }
    }

    /// All keys in the order of their turns.
    var inTurn: [String] {
        let next = keys.firstIndex { $0 > served } ?? 0
        return Array(keys[next...] + keys[..<next])
    }

    mutating func served(_ key: String) { served = key }

    /// The gaps between the known keys, in which other keys may be: after the lower end and before the upper one. No
    /// key is before the first end or after the last one: keys consist of letters and digits.
    var gaps: (lower: [String], upper: [String]) { ([""] + keys, keys + ["~"]) }
}

/// The state that a process's claims share.
final class ClaimState: Sendable {
    private let lanes = Mutex<[Lane: QueuedKeys]>([:])
    private let lost = Mutex<[(claim: Int64, until: MonotonicTime)]>([])

    func with<T>(_ lane: Lane, _ body: (inout QueuedKeys) -> T) -> T {
        lanes.withLock { body(&$0[lane, default: QueuedKeys()]) }
    }

    /// Claims whose answers were lost. They may have been committed, but nothing of them was sent: their deliveries are
    /// returned.
    func lostClaims(at now: MonotonicTime) -> [Int64] {
        lost.withLock { lost in
            lost.removeAll { $0.until < now }
            return lost.map(\.claim)
        }
    }

    func lose(_ claim: Int64, until: MonotonicTime) { lost.withLock { $0.append((claim, until)) } }
}
