/// A key's per-second limit: a token bucket that may go into debt, and that assigns its future emails in order.
///
/// It has no clock of its own: callers pass moments of a monotonic clock. Waiting works by reservation: the message
/// that asks first gets the earlier moment. So clients of one key are served in the order in which they asked, without
/// a queue.
public struct TokenBucket: Sendable {
    /// The tokens at ``updatedAt``; negative while the bucket is in debt.
    public private(set) var tokens: Double
    /// The moment up to which the refill is included in `tokens`.
    public private(set) var updatedAt: MonotonicTime

    /// The answer to a request for emails.
    public enum Answer: Hashable, Sendable {
        /// The emails were taken. Continue now.
        case go
        /// The emails were taken. Continue after this many seconds.
        case wait(seconds: Double)
        /// The emails were not taken. The message would be allowed only after this many seconds.
        case refuse(seconds: Double)
    }

    /// A bucket in a stored state, for a store that keeps buckets.
    public init(tokens: Double, updatedAt: MonotonicTime) {
        self.tokens = tokens
        self.updatedAt = updatedAt
    }

    /// A full bucket.
    public init(limits: SendingLimits, at now: MonotonicTime) {
        tokens = limits.capacity
        updatedAt = now
    }

    /// Takes `count` emails. A bucket with at least one email admits a message that needs more, and goes into debt, as
    /// SES does. The debt delays the next messages.
    ///
    /// - Parameter maximumWait: the longest wait in seconds. A message that would have to wait longer is refused.
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

    /// Gives back the emails that were taken for a message that was not sent.
    ///
    /// Emails that the refill has added since `takenAt` are not given back a second time. Otherwise a client could
    /// reserve emails for a long time and give them up, and then send at once as many emails as were allowed over that
    /// time.
    public mutating func giveBack(_ count: Int, takenAt: MonotonicTime, limits: SendingLimits, at now: MonotonicTime) {
        refill(limits, now)
        let unspent = max(0, Double(count) - max(0, now.seconds(since: takenAt)) * limits.perSecond)
        tokens = min(limits.capacity, tokens + unspent)
    }

    /// Sets the bucket to the number of emails that the store has reported for it; a negative number is a debt.
    public mutating func learn(_ available: Double, limits: SendingLimits, at now: MonotonicTime) {
        tokens = min(limits.capacity, available)
        updatedAt = max(updatedAt, now)
    }

    /// Whether the bucket is equal to a new one, so that it need not be remembered.
    public func isFull(limits: SendingLimits, at now: MonotonicTime) -> Bool {
        available(limits: limits, at: now) >= limits.capacity
    }

    /// The emails in the bucket; negative while it is in debt.
    public func available(limits: SendingLimits, at now: MonotonicTime) -> Double {
        min(limits.capacity, tokens + max(0, now.seconds(since: updatedAt)) * limits.perSecond)
    }

    private mutating func refill(_ limits: SendingLimits, _ now: MonotonicTime) {
        tokens = available(limits: limits, at: now)
        updatedAt = max(updatedAt, now)
    }
}
