import RelayCore

/// An outage of the store. Its beginning and its end are each reported once, and the store is asked less and less
/// often.
///
/// The outage lasts until each kind of operation that failed has worked again. For example, a full disk can be read but
/// not written.
struct StoreOutage {
    enum Operation { case claim, look, settle, upkeep }

    private var failing: Set<Operation> = []
    private var since = MonotonicTime.distantPast
    private var pause = StoreOutage.firstPause
    private var failedAt = MonotonicTime.distantPast
    /// The store is not asked before this time.
    private(set) var retryAt = MonotonicTime.distantPast

    static let firstPause = Duration.seconds(1)
    static let maximumPause = Duration.seconds(30)

    var isFailing: Bool { !failing.isEmpty }

    /// Records a failure. Returns whether an outage begins. Failures of operations that ran at the same time count
    /// once.
    mutating func failed(_ operation: Operation, at now: MonotonicTime) -> Bool {
        let begins = failing.isEmpty
        failing.insert(operation)
        failedAt = now
        if begins {
            since = now
            pause = StoreOutage.firstPause
        } else if now < retryAt {
            return false
        } else {
            pause = min(pause * 2, StoreOutage.maximumPause)
        }
        retryAt = now + pause
        return begins
    }

    /// Records a success. If it ends an outage, returns the outage's length in seconds. Otherwise returns nil.
    mutating func worked(_ operation: Operation, at now: MonotonicTime) -> Double? {
        guard !failing.isEmpty else { return nil }
        failing.remove(operation)
        // When claims work, looking works too.
        if operation == .claim { failing.remove(.look) }
        guard failing.isEmpty else { return nil }
        retryAt = MonotonicTime.distantPast
        return now.seconds(since: since)
    }

    /// Whether the store may be asked now. If `inHurry` is true, the growing pauses do not apply.
    func mayAsk(at now: MonotonicTime, inHurry: Bool = false) -> Bool {
        now >= (inHurry ? min(retryAt, failedAt + StoreOutage.firstPause) : retryAt)
    }
}
