/// A key's per-second limit: a token bucket that may go into debt and hands out its future in order.
///
/// A pure value over moments of a monotonic clock. Waiting is by reservation: the message that asks first is told the
/// earlier moment, so that clients of one key are served in the order in which they asked, without a queue of them.
public struct TokenBucket: Sendable {
    /// As of ``updatedAt``; negative while it is in debt.
    public private(set) var tokens: Double
    public private(set) var updatedAt: MonotonicTime

    public enum Answer: Hashable, Sendable {
        /// Taken; go on now.
        case go
        /// Taken; go on after so many seconds.
        case wait(seconds: Double)
        /// Nothing taken: it would be allowed only after so many seconds.
        case refuse(seconds: Double)
    }

    /// A bucket as it was left: for a store that keeps it.
    public init(tokens: Double, updatedAt: MonotonicTime) {
        self.tokens = tokens
        self.updatedAt = updatedAt
    }

    /// A full bucket.
    public init(limits: SendingLimits, at now: MonotonicTime) {
        tokens = limits.capacity
        updatedAt = now
    }

    /// Takes `count` emails. A bucket that holds at least one email admits a message for more than it holds and goes
    /// into debt, as SES does; the debt delays those behind.
    public mutating func take(_ count: Int, limits: SendingLimits, at now: MonotonicTime, maximumWait: Double) -> Answer
    {
        refill(limits, now)
        guard tokens < 1 else {
            tokens -= Double(count)
            return .go
        }
        let wait = (1 - tokens) / limits.perSecond
        guard wait <= maximumWait else { return .refuse(seconds: wait) }
        tokens -= Double(count)
        return .wait(seconds: wait)
    }

    /// Gives back what was taken for a message that was not sent after all.
    ///
    /// What has flowed in since is not given back once more: else places could be taken, kept and given up to send at once what was
    /// allowed over a long time.
    public mutating func giveBack(_ count: Int, takenAt: MonotonicTime, limits: SendingLimits, at now: MonotonicTime) {
        refill(limits, now)
        let unspent = max(0, Double(count) - max(0, now.seconds(since: takenAt)) * limits.perSecond)
        tokens = min(limits.capacity, tokens + unspent)
    }

    /// Somebody else keeps the bucket, and has told how many emails are in it; negative: its debt.
    public mutating func learn(_ available: Double, limits: SendingLimits, at now: MonotonicTime) {
        tokens = min(limits.capacity, available)
        updatedAt = max(updatedAt, now)
    }

    /// Whether it is as good as new, so that it need not be remembered.
    public func isFull(limits: SendingLimits, at now: MonotonicTime) -> Bool {
        available(limits: limits, at: now) >= limits.capacity
    }

    /// Emails in the bucket; negative while it is in debt.
    public func available(limits: SendingLimits, at now: MonotonicTime) -> Double {
        min(limits.capacity, tokens + max(0, now.seconds(since: updatedAt)) * limits.perSecond)
    }

    private mutating func refill(_ limits: SendingLimits, _ now: MonotonicTime) {
        tokens = available(limits: limits, at: now)
        updatedAt = max(updatedAt, now)
    }
}
