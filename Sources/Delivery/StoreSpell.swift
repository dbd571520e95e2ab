/// A time in which the store fails: told once at its beginning and once at its end, and asked ever less often.
///
/// It lasts until each kind of operation that failed has worked again: a full disk can still be read.
struct StoreSpell {
    enum Operation { case claim, look, settle, upkeep }

    private var failing: Set<Operation> = []
    private var since = 0.0
    private var pause = StoreSpell.firstPause
    private var failedAt = -Double.infinity
    /// Nothing is asked of the store before.
    private(set) var retryAt = -Double.infinity

    static let firstPause = 1.0
    static let maximumPause = 30.0

    var isFailing: Bool { !failing.isEmpty }

    /// Returns whether a spell begins. Failures of what was asked at the same time count once.
    mutating func failed(_ operation: Operation, at seconds: Double) -> Bool {
        let begins = failing.isEmpty
        failing.insert(operation)
        failedAt = seconds
        if begins {
            since = seconds
            pause = StoreSpell.firstPause
        } else if seconds < retryAt {
            return false
        } else {
            pause = min(2 * pause, StoreSpell.maximumPause)
        }
        retryAt = seconds + pause
        return begins
    }

    /// Returns how many seconds the spell lasted that ends now; nil when there was none, or it goes on.
    mutating func worked(_ operation: Operation, at seconds: Double) -> Double? {
        guard !failing.isEmpty else { return nil }
        failing.remove(operation)
        // Who can claim need not look.
        if operation == .claim { failing.remove(.look) }
        guard failing.isEmpty else { return nil }
        retryAt = -Double.infinity
        return seconds - since
    }

    /// In a hurry, the pauses don't grow.
    func mayAsk(at seconds: Double, inHurry: Bool = false) -> Bool {
        seconds >= (inHurry ? min(retryAt, failedAt + StoreSpell.firstPause) : retryAt)
    }
}
