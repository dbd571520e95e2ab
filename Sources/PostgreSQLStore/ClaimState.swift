import RelayCore
import Synchronization

/// What a relay remembers between its claims: the keys that have deliveries, and where the search for each key's
/// deliveries begins.
///
/// A claimed delivery leaves a dead entry in the index, which stays for as long as any transaction is open. A search
/// that began at the first entry would go through all dead entries each time. So each key has a mark, at which the
/// search for its deliveries begins. At the last search, none of the key's queued deliveries was due before the mark.
/// From time to time everything is searched again, and less often if such a search takes long.
struct QueuedKeys {
    private struct Entry {
        /// The key's first delivery is due at this time or later, as far as is known. In milliseconds since 1970.
        var mark: Int64
        /// When a delivery was last found.
        var seenAt: MonotonicTime
        /// When the mark was last lowered. A search that began before that may not have seen the delivery for which the
        /// mark was lowered.
        var loweredAt = MonotonicTime.distantPast
    }

    private var entries: [String: Entry] = [:]
    /// The keys in order.
    private(set) var keys: [String] = []
    /// The key that was served last. The next claim continues after it if there are more keys than one claim can serve.
    private var served = ""
    private(set) var lookedForKeysAt = MonotonicTime.distantPast
    private var rewinds = PacedWork(
        interval: QueuedKeys.rewindInterval, longest: QueuedKeys.longestRewindInterval)
    /// Whether the next search begins at the first entry, because the marks have just been reset.
    private var isRewound = false

    /// The most keys that are remembered. Other keys are found again at each search.
    static let most = 10_000
    /// How long before the current time a mark stays, in milliseconds. When a message that another relay accepts
    /// becomes visible, it has already been due for a moment, which is rarely longer than this margin. If it is longer,
    /// the other relay finds the message, or this relay finds it when the marks are next reset. Each search passes the
    /// dead entries of this period.
    static let margin: Int64 = 250
    /// How often the marks are reset.
    static let rewindInterval = Duration.seconds(10)
    /// The longest time between two resets of the marks, if the searches that begin at the first entry take long.
    static let longestRewindInterval = Duration.seconds(120)
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

    /// This process has queued a delivery of the key that is due at `due`; nil if that time is not known. The next
    /// search must find it.
    mutating func queued(_ key: String, due: Timestamp?, at now: MonotonicTime) {
        if entries[key] == nil { add([key], at: now) }
        let first = due?.milliseconds ?? .min
        guard let entry = entries[key] else { return }
        entries[key]?.mark = min(entry.mark, first)
        entries[key]?.loweredAt = now
    }

    mutating func lookedForKeys(at now: MonotonicTime) { lookedForKeysAt = now }

    /// Where the search for a key's deliveries begins.
    func mark(of key: String) -> Int64 { entries[key]?.mark ?? .min }

    /// Stores the result of a search from the marks: when each key's first delivery is due, or nil if it has none.
    ///
    /// - Parameters:
    ///   - start: when the search began.
    ///   - moment: when it had ended.
    mutating func saw(
        _ dues: [(key: String, first: Int64?)], now: Timestamp, from start: MonotonicTime, at moment: MonotonicTime
    ) {
        var hasForgotten = false
        for (key, first) in dues {
            guard var entry = entries[key] else { continue }
            if entry.loweredAt < start {
                entry.mark = max(entry.mark, min(first ?? .max, now.milliseconds - QueuedKeys.margin))
            }
            if first != nil { entry.seenAt = moment }
            entries[key] = entry
            if first == nil, moment.seconds(since: entry.seenAt) > QueuedKeys.memory {
                entries[key] = nil
                hasForgotten = true
            }
        }
        if hasForgotten { keys = entries.keys.sorted() }
    }

    /// Resets the marks if that is due, so that everything is searched again.
    mutating func rewind(at now: MonotonicTime) {
        guard rewinds.isDue(at: now) else { return }
        isRewound = true
        for key in keys { entries[key]?.mark = .min }
    }

    /// The database was searched from the marks, between `start` and `end`.
    mutating func searched(from start: MonotonicTime, to end: MonotonicTime) {
        guard isRewound else { return }
        isRewound = false
        rewinds.ran(from: start, to: end)
    }

    /// All keys in the order of their turns.
    var inTurn: [String] {
        let next = keys.firstIndex { $0 > served } ?? 0
        return Array(keys[next...] + keys[..<next])
    }

    mutating func served(_ key: String) { served = key }

    /// The gaps between the known keys, in which unknown keys may be. Each gap is after its lower end and before its
    /// upper end. No key is outside the gaps' first and last ends, because keys consist of letters and digits.
    var gaps: (lower: [String], upper: [String]) { ([""] + keys, keys + ["~"]) }
}

/// The state that a process's claims share.
final class ClaimState: Sendable {
    private let lanes = Mutex<[Lane: QueuedKeys]>([:])
    /// When the next search for each lane's abandoned deliveries is due. Such a search passes the dead entries of all
    /// deliveries that were claimed.
    private let reclaims = Mutex<[Lane: PacedWork]>([:])
    private let lost = Mutex<[(claim: Int64, until: MonotonicTime)]>([])

    func with<T>(_ lane: Lane, _ body: (inout QueuedKeys) -> T) -> T {
        lanes.withLock { body(&$0[lane, default: QueuedKeys()]) }
    }

    /// Whether the search for a lane's abandoned deliveries is due.
    func mayReclaim(_ lane: Lane, at now: MonotonicTime) -> Bool {
        reclaims.withLock { $0[lane]?.isDue(at: now) ?? true }
    }

    /// The lane's abandoned deliveries were searched for, between `start` and `end`.
    func searchedAbandoned(_ lane: Lane, from start: MonotonicTime, to end: MonotonicTime) {
        reclaims.withLock {
            $0[lane, default: PacedWork(interval: .zero, longest: ClaimState.longestReclaimInterval)]
                .ran(from: start, to: end)
        }
    }

    /// The deliveries of a dead relay must be with another relay within 20 s, so this interval must be short.
    static let longestReclaimInterval = Duration.seconds(5)

    /// Claims whose answers were lost. They may have been committed, but none of their deliveries was sent, so these
    /// are returned to the queue.
    func lostClaims(at now: MonotonicTime) -> [Int64] {
        lost.withLock { lost in
            lost.removeAll { $0.until < now }
            return lost.map(\.claim)
        }
    }

    func lose(_ claim: Int64, until: MonotonicTime) { lost.withLock { $0.append((claim, until)) } }
}
