import RelayCore

/// A time in which the store fails: told once at its beginning and once at its end, and asked ever less often.
///
/// It lasts until each kind of operation that failed has worked again: a full disk can still be read.
struct StoreSpell {
    enum Operation { case claim, look, settle, upkeep }

    private var failing: Set<Operation> = []
    private var since = MonotonicTime.distantPast
    private var pause = StoreSpell.firstPause
    private var failedAt = MonotonicTime.distantPast
    /// Nothing is asked of the store before.
    private(set) var retryAt = MonotonicTime.distantPast

    static let firstPause = Duration.seconds(1)
    static let maximumPause = Duration.seconds(30)

    var isFailing: Bool { !failing.isEmpty }

    /// Returns whether a spell begins. Failures of what was asked at the same time count once.
    mutating func failed(_ operation: Operation, at now: MonotonicTime) -> Bool {
        let begins = failing.isEmpty
        failing.insert(operation)
        failedAt = now
        if begins {
            since = now
            pause = StoreSpell.firstPause
        } else if now < retryAt {
            return false
        } else {
            pause = min(pause * 2, StoreSpell.maximumPause)
        }
        retryAt = now + pause
        return begins
    }

    /// Returns how many seconds the spell lasted that ends now; nil when there was none, or it goes on.
    mutating func worked(_ operation: Operation, at now: MonotonicTime) -> Double? {
        guard !failing.isEmpty else { return nil }
        failing.remove(operation)
        // Who can claim need not look.
        if operation == .claim { failing.remove(.look) }
        guard failing.isEmpty else { return nil }
        retryAt = MonotonicTime.distantPast
        return now.seconds(since: since)
    }

    /// In a hurry, the pauses don't grow.
    func mayAsk(at now: MonotonicTime, inHurry: Bool = false) -> Bool {
        now >= (inHurry ? min(retryAt, failedAt + StoreSpell.firstPause) : retryAt)
    }
}
