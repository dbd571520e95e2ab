/// The rates of keys that several relays share.
public protocol SharedRates: Sendable {
    /// Takes emails from a key's rate, for all relays together. Returns at once. `completion` is called once, on a
    /// thread of the store, with a ``SharedRateAnswer`` or a ``StoreError``.
    ///
    /// - Parameters:
    ///   - emails: the emails that the message needs, at least 1. If the message has to wait, exactly this many are
    ///     taken; if it is refused, none.
    ///   - most: the largest number of emails to take if the rate allows them now; at least `emails`. The surplus
    ///     serves later messages without another request.
    ///   - limits: the key's limits, as the asking relay knows them.
    ///   - maximumWait: the longest wait in seconds. A message that would have to wait longer is refused.
    func take(
        _ emails: Int, most: Int, key: KeyID, limits: SendingLimits, maximumWait: Double,
        completion: @escaping @Sendable (Result<SharedRateAnswer, any Error>) -> Void)

    /// Gives back emails that were not used, if the store can be reached. Returns at once.
    ///
    /// - Parameter since: the moment from which on the rate could refill the bucket in place of these emails, by this
    ///   process's clock. What the rate has refilled since then is not given back a second time. For the emails of a
    ///   message, this is the moment at which they were taken. For emails that were taken ahead, it is the moment at
    ///   which they expire, even if that is still to come.
    func giveBack(_ emails: Int, since: MonotonicTime, key: KeyID, limits: SendingLimits)
}

/// The store's answer to a relay that takes emails from a shared rate.
public struct SharedRateAnswer: Sendable, Hashable {
    /// The bucket's answer for the message that asks.
    public var answer: TokenBucket.Answer
    /// How many emails were taken, including the emails of the message.
    public var taken: Int
    /// For how many seconds after the request the relay may use the emails that were taken in addition to those of the
    /// message. After this time they expire.
    public var aheadLasts: Double

    public init(answer: TokenBucket.Answer, taken: Int, aheadLasts: Double) {
        self.answer = answer
        self.taken = taken
        self.aheadLasts = aheadLasts
    }
}
