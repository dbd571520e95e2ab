import RelayCore

/// What this relay has in hand of the rates of keys that all relays on the store share, and who waits for the store's answer.
///
/// A value without I/O and clock. For each key at most one question is under way, and those who ask later are served in their order,
/// from the slice that an answer brought or by a question of their own.
struct RateSlices<Waiter: Sendable>: Sendable {
    /// What the store is to be asked.
    struct Question: Hashable, Sendable {
        var key: KeyID
        var emails: Int
        /// How many to take if the rate allows them now.
        var most: Int
        var limits: SendingLimits
        /// Seconds.
        var maximumWait: Double
    }

    /// What one hears who has waited.
    struct Outcome: Sendable {
        var waiter: Waiter
        var result: Result<TokenBucket.Answer, any Error>
    }

    enum Step: Hashable, Sendable {
        /// The slice had enough after all.
        case now
        case ask(Question)
        /// An answer of the store will bring the outcome.
        case wait
        /// Too many wait.
        case full
    }

    /// Emails of a slice that nobody has used.
    struct Unused: Hashable, Sendable {
        var key: KeyID
        var emails: Int
        var limits: SendingLimits
    }

    private struct Request: Sendable {
        var emails: Int
        var limits: SendingLimits
        var maximumWait: Double
        var waiter: Waiter
    }

    private struct Entry: Sendable {
        var limits: SendingLimits
        /// Emails in the slice.
        var left = 0
        /// Until when they may be spent.
        var until = MonotonicTime.distantPast
        /// When the question that is under way was asked.
        var askedAt = MonotonicTime.distantPast
        /// In their order; the first is the one that the store is being asked for. Empty: no question is under way.
        var waiting: [Request] = []
    }

    private var entries: [KeyID: Entry] = [:]

    /// Of a key's rate, how much a slice is: what flows into the bucket in so many seconds.
    static var sliceTime: Double { 0.1 }
    /// Keys with a slice or a question; a key beyond them is asked for each message.
    static var maximumKeys: Int { 10_000 }
    /// Messages of one key that wait for the store.
    static var maximumWaiting: Int { 1000 }

    /// Whether the slice has the emails, which are taken then. No one passes those who wait.
    mutating func take(_ emails: Int, key: KeyID, limits: SendingLimits, at now: MonotonicTime) -> Bool {
        guard var entry = entries[key], entry.waiting.isEmpty, entry.limits == limits, entry.left >= emails,
            now < entry.until
        else { return false }
        entry.left -= emails
        entries[key] = entry.left > 0 ? entry : nil
        return true
    }

    /// Has somebody wait for emails of a key's rate, unless the slice has them by now.
    mutating func enlist(
        _ waiter: Waiter, for emails: Int, maximumWait: Double, key: KeyID, limits: SendingLimits, at now: MonotonicTime
    ) -> Step {
        if take(emails, key: key, limits: limits, at: now) { return .now }
        var entry = entries[key] ?? Entry(limits: limits)
        guard entry.waiting.count < Self.maximumWaiting else { return .full }
        entry.waiting.append(Request(emails: emails, limits: limits, maximumWait: maximumWait, waiter: waiter))
        defer { entries[key] = entry }
        return entry.waiting.count == 1 ? .ask(question(key, &entry, at: now)) : .wait
    }

    /// The store has answered the question about a key. Returns who is served by that, in their order, and the next question.
    mutating func answered(
        _ key: KeyID, _ result: Result<SharedRateAnswer, any Error>, at now: MonotonicTime
    ) -> (outcomes: [Outcome], next: Question?) {
        guard var entry = entries[key], let first = entry.waiting.first else { return ([], nil) }
        var outcomes: [Outcome] = []
        switch result {
        case .failure(let error):
            // The store would fail the others too, one after the other.
            outcomes = entry.waiting.map { Outcome(waiter: $0.waiter, result: .failure(error)) }
            entry.waiting = []
        case .success(let given):
            let (answer, taken) = (given.answer, given.taken)
            outcomes.append(Outcome(waiter: first.waiter, result: .success(answer)))
            var served = 1
            switch answer {
            case .go:
                if now >= entry.until { entry.left = 0 }
                entry.left += max(0, taken - first.emails)
                // Of the time in which the question was under way the store's answer knows nothing.
                entry.until = entry.askedAt + .seconds(given.aheadLasts)
                for request in entry.waiting.dropFirst() {
                    guard request.limits == entry.limits, request.emails <= entry.left else { break }
                    entry.left -= request.emails
                    outcomes.append(Outcome(waiter: request.waiter, result: .success(.go)))
                    served += 1
                }
                entry.waiting.removeFirst(served)
            case .wait: entry.waiting.removeFirst()
            case .refuse(let seconds):
                // Who would wait no longer than the one who was refused need not ask.
                entry.waiting.removeFirst()
                entry.waiting.removeAll { request in
                    guard request.limits == first.limits, request.maximumWait < seconds else { return false }
                    outcomes.append(Outcome(waiter: request.waiter, result: .success(answer)))
                    return true
                }
            }
        }
        let next = entry.waiting.isEmpty ? nil : question(key, &entry, at: now)
        entries[key] = entry.waiting.isEmpty && entry.left == 0 ? nil : entry
        return (outcomes, next)
    }

    /// The question for the first who waits. Limits that have changed make a slice of the former ones worthless.
    private func question(_ key: KeyID, _ entry: inout Entry, at now: MonotonicTime) -> Question {
        entry.askedAt = now
        let request = entry.waiting[0]
        if entry.limits != request.limits {
            entry.limits = request.limits
            entry.left = 0
        }
        let limits = request.limits
        let slice = min(limits.perSecond * Self.sliceTime, limits.capacity, 1e6).rounded(.down)
        let isKept = entries.count < Self.maximumKeys || entries[key] != nil
        return Question(
            key: key, emails: request.emails, most: isKept ? max(request.emails, Int(slice)) : request.emails,
            limits: limits, maximumWait: request.maximumWait)
    }

    /// Emails in the key's slice.
    func left(_ key: KeyID, limits: SendingLimits, at now: MonotonicTime) -> Int {
        guard let entry = entries[key], entry.limits == limits, now < entry.until
        else { return 0 }
        return entry.left
    }

    /// Takes out what is left of a key's slice, if its time is over.
    mutating func removeUnused(of key: KeyID, at now: MonotonicTime) -> Unused? {
        guard let entry = entries[key], now >= entry.until else { return nil }
        return remove(key, entry)
    }

    /// Takes out what is left of slices whose time is over, or of all.
    mutating func removeUnused(at now: MonotonicTime, all: Bool = false) -> [Unused] {
        let over = entries.filter { all || now >= $0.value.until }
        return over.compactMap { remove($0.key, $0.value) }
    }

    private mutating func remove(_ key: KeyID, _ entry: Entry) -> Unused? {
        guard entry.left > 0 else { return nil }
        if entry.waiting.isEmpty { entries[key] = nil } else { entries[key]?.left = 0 }
        return Unused(key: key, emails: entry.left, limits: entry.limits)
    }

    /// Keys with a slice or a question.
    var count: Int { entries.count }
}
