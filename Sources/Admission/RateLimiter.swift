import RelayCore

/// The token buckets of the keys in use.
///
/// The buckets are kept in the process. Where several relays share the rates, the store has the buckets, and the
/// process has copies made from the store's last answers. The daily cap is kept in the store.
struct RateLimiter: Sendable {
    private struct Entry: Sendable {
        var bucket: TokenBucket
        var limits: SendingLimits
    }

    private var entries: [KeyID: Entry] = [:]
    private var additionsUntilSweep = 1024

    mutating func take(_ count: Int, key: Key, now: MonotonicTime, maximumWait: Double) -> TokenBucket.Answer {
        let limits = key.limits
        var entry = entries[key.id] ?? Entry(bucket: TokenBucket(limits: limits, at: now), limits: limits)
        let isNew = entries[key.id] == nil
        entry.limits = limits
        let answer = entry.bucket.take(count, limits: limits, at: now, maximumWait: maximumWait)
        entries[key.id] = entry
        if isNew { sweepIfDue(now) }
        return answer
    }

    /// The emails that the key may send at once. The number is negative while the key is in debt.
    func available(key: Key, now: MonotonicTime) -> Double {
        entries[key.id]?.bucket.available(limits: key.limits, at: now) ?? key.limits.capacity
    }

    mutating func giveBack(_ count: Int, takenAt: MonotonicTime, key: Key, now: MonotonicTime) {
        entries[key.id]?.bucket.giveBack(count, takenAt: takenAt, limits: key.limits, at: now)
    }

    /// Records the store's answer, which is about all relays, and how many emails were taken. These two show only a
    /// part of the state of the store's bucket.
    mutating func learn(
        _ answer: TokenBucket.Answer, taken: Int, key: KeyID, limits: SendingLimits, now: MonotonicTime
    ) {
        change(key, limits, now) { bucket in
            let before =
                switch answer {
                case .go: max(1, bucket.available(limits: limits, at: now))
                case .wait(let seconds), .refuse(let seconds): 1 - seconds * limits.perSecond
                }
            bucket.learn(before - Double(taken), limits: limits, at: now)
        }
    }

    /// Records that this number of emails went back to the store. The emails that have flowed into the bucket since
    /// `since` are subtracted.
    mutating func learn(
        givenBack emails: Int, since: MonotonicTime, key: KeyID, limits: SendingLimits, now: MonotonicTime
    ) {
        change(key, limits, now) { $0.giveBack(emails, takenAt: since, limits: limits, at: now) }
    }

    private mutating func change(
        _ key: KeyID, _ limits: SendingLimits, _ now: MonotonicTime, _ body: (inout TokenBucket) -> Void
    ) {
        let isNew = entries[key] == nil
        var entry = entries[key] ?? Entry(bucket: TokenBucket(limits: limits, at: now), limits: limits)
        entry.limits = limits
        body(&entry.bucket)
        entries[key] = entry
        if isNew { sweepIfDue(now) }
    }

    /// Removes full buckets, because a full bucket needs no entry. It runs when as many keys have been added as there
    /// were entries after the last run.
    private mutating func sweepIfDue(_ now: MonotonicTime) {
        additionsUntilSweep -= 1
        guard additionsUntilSweep == 0 else { return }
        entries = entries.filter { !$0.value.bucket.isFull(limits: $0.value.limits, at: now) }
        additionsUntilSweep = max(1024, entries.count)
    }
}
