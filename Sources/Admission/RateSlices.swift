import RelayCore

/// The slices of key rates that this relay holds, and the requests that wait for the store's answer. Used for keys
/// whose rate all relays on the store share.
///
/// A value without I/O and clock. At most one query for each key is in progress. Later requests are served in their
/// order, from the slice that an answer brought, or by another query.
struct RateSlices<Waiter: Sendable>: Sendable {
    /// A query that the store answers.
    struct StoreQuery: Hashable, Sendable {
        var key: KeyID
        var emails: Int
        /// The largest number of emails to take if the rate allows them now.
        var most: Int
        var limits: SendingLimits
        /// How long the request can wait, in seconds.
        var maximumWait: Double
        /// When the query was sent. The store takes the emails after this moment.
        var askedAt: MonotonicTime
    }

    /// The result of a request that waited.
    struct Outcome: Sendable {
        var waiter: Waiter
        var result: Result<TokenBucket.Answer, any Error>
    }

    enum Step: Hashable, Sendable {
        /// The slice has enough emails after all.
        case now
        case ask(StoreQuery)
        /// The result will come with an answer of the store.
        case wait
        /// Too many requests wait.
        case full
    }

    /// Emails of a slice that were not used.
    struct Unused: Hashable, Sendable {
        var key: KeyID
        var emails: Int
        /// When the slice expires or has expired.
        var until: MonotonicTime
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
        /// The number of emails left in the slice.
        var left = 0
        /// When the slice expires.
        var until = MonotonicTime.distantPast
        /// The requests that wait, in order. The store is being asked about the first. If the list is empty, no
        /// query is in progress.
        var waiting: [Request] = []
    }

    private var entries: [KeyID: Entry] = [:]

    /// The size of a slice, in seconds: it holds as many emails as flow into the key's bucket in this time.
    static var sliceTime: Double { 0.1 }
    /// The largest number of keys with a slice or a query. For any other key, the store is asked about each message.
    static var maximumKeys: Int { 10_000 }
    /// The largest number of messages of one key that wait for the store.
    static var maximumWaiting: Int { 1000 }

    /// Takes the emails from the slice if it has enough, and returns whether it had. Takes nothing while requests wait,
    /// so that none of them is overtaken.
    mutating func take(_ emails: Int, key: KeyID, limits: SendingLimits, at now: MonotonicTime) -> Bool {
        guard var entry = entries[key], entry.waiting.isEmpty, entry.limits == limits, entry.left >= emails,
            now < entry.until
        else { return false }
        entry.left -= emails
        entries[key] = entry.left > 0 ? entry : nil
        return true
    }

    /// Adds a request for emails of a key's rate to the waiting requests, unless the slice has the emails by now.
    mutating func enlist(
        _ waiter: Waiter, for emails: Int, maximumWait: Double, key: KeyID, limits: SendingLimits, at now: MonotonicTime
    ) -> Step {
        if take(emails, key: key, limits: limits, at: now) { return .now }
        var entry = entries[key] ?? Entry(limits: limits)
        guard entry.waiting.count < Self.maximumWaiting else { return .full }
        entry.waiting.append(Request(emails: emails, limits: limits, maximumWait: maximumWait, waiter: waiter))
        defer { entries[key] = entry }
        return entry.waiting.count == 1 ? .ask(firstQuery(key, &entry, at: now)) : .wait
    }

    /// Handles the store's answer to the query in progress about a key. Returns the results of the requests that it
    /// served, in their order, and the next query.
    mutating func answered(
        _ query: StoreQuery, _ result: Result<SharedRateAnswer, any Error>, at now: MonotonicTime
    ) -> (outcomes: [Outcome], next: StoreQuery?) {
        let key = query.key
        guard var entry = entries[key], let first = entry.waiting.first else { return ([], nil) }
        var outcomes: [Outcome] = []
        switch result {
        case .failure(let error):
            // The queries for the other requests would fail too, one after another.
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
                // The slice's time counts from when the query was sent, because the store's answer takes no account
                // of the time after that.
                entry.until = query.askedAt + .seconds(given.aheadLasts)
                for request in entry.waiting.dropFirst() {
                    // The answer may have come so late that the slice has expired.
                    guard now < entry.until, request.limits == entry.limits, request.emails <= entry.left
                    else { break }
                    entry.left -= request.emails
                    outcomes.append(Outcome(waiter: request.waiter, result: .success(.go)))
                    served += 1
                }
                entry.waiting.removeFirst(served)
            case .wait: entry.waiting.removeFirst()
            case .refuse(let seconds):
                // A request that can wait no longer than the refused one gets the same answer without a query.
                entry.waiting.removeFirst()
                entry.waiting.removeAll { request in
                    guard request.limits == first.limits, request.maximumWait < seconds else { return false }
                    outcomes.append(Outcome(waiter: request.waiter, result: .success(answer)))
                    return true
                }
            }
        }
        let next = entry.waiting.isEmpty ? nil : firstQuery(key, &entry, at: now)
        entries[key] = entry.waiting.isEmpty && entry.left == 0 ? nil : entry
        return (outcomes, next)
    }

    /// The query for the first request that waits. If the limits have changed, a slice under the former limits is
    /// not used any more.
    private func firstQuery(_ key: KeyID, _ entry: inout Entry, at now: MonotonicTime) -> StoreQuery {
        let request = entry.waiting[0]
        if entry.limits != request.limits {
            entry.limits = request.limits
            entry.left = 0
        }
        let limits = request.limits
        let slice = min(limits.perSecond * Self.sliceTime, limits.capacity, 1e6).rounded(.down)
        let isKept = entries.count < Self.maximumKeys || entries[key] != nil
        return StoreQuery(
            key: key, emails: request.emails, most: isKept ? max(request.emails, Int(slice)) : request.emails,
            limits: limits, maximumWait: request.maximumWait, askedAt: now)
    }

    /// The number of emails in the key's slice.
    func left(_ key: KeyID, limits: SendingLimits, at now: MonotonicTime) -> Int {
        guard let entry = entries[key], entry.limits == limits, now < entry.until
        else { return 0 }
        return entry.left
    }

    /// Removes and returns the rest of a key's slice, if the slice has expired.
    mutating func removeUnused(of key: KeyID, at now: MonotonicTime) -> Unused? {
        guard let entry = entries[key], now >= entry.until else { return nil }
        return remove(key, entry)
    }

    /// Removes and returns the rest of the slices that expire before `moment`; nil: the rest of all slices.
    mutating func removeUnused(expiringBefore moment: MonotonicTime?) -> [Unused] {
        let over = entries.filter { entry in moment.map { entry.value.until < $0 } ?? true }
        return over.compactMap { remove($0.key, $0.value) }
    }

    private mutating func remove(_ key: KeyID, _ entry: Entry) -> Unused? {
        guard entry.left > 0 else { return nil }
        if entry.waiting.isEmpty { entries[key] = nil } else { entries[key]?.left = 0 }
        return Unused(key: key, emails: entry.left, until: entry.until, limits: entry.limits)
    }

    /// The number of keys with a slice or a query.
    var count: Int { entries.count }
}
