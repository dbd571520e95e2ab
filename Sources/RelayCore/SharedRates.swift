/// The rates of keys, where several relays share them.
public protocol SharedRates: Sendable {
    /// Takes emails from a key's rate, for all relays together. Returns at once. `completion` is called once, on a thread of the
    /// store's, with a ``SharedRateAnswer``, or with a ``StoreError``.
    ///
    /// - Parameters:
    ///   - emails: what the message needs, at least 1. Where it has to wait, exactly so many are taken; where it is refused, none.
    ///   - most: how many to take if the rate allows them now, at least `emails`. What is over serves later messages without a question.
    ///   - limits: the key's, as the asking relay knows them.
    ///   - maximumWait: seconds; what would have to wait longer is refused.
    func take(
        _ emails: Int, most: Int, key: KeyID, limits: SendingLimits, maximumWait: Double,
        completion: @escaping @Sendable (Result<SharedRateAnswer, any Error>) -> Void)

    /// Gives back what was not used, as far as the store can be reached. Returns at once.
    func giveBack(_ emails: Int, key: KeyID, limits: SendingLimits)
}

/// What a shared rate gives a relay.
public struct SharedRateAnswer: Sendable, Hashable {
    /// The bucket's, for the message that asks.
    public var answer: TokenBucket.Answer
    /// How many emails were taken, those of the message included.
    public var taken: Int
    /// For so many seconds, from the question on, what was taken beyond the message may be spent. Later it is lost.
    public var aheadLasts: Double

    public init(answer: TokenBucket.Answer, taken: Int, aheadLasts: Double) {
        self.answer = answer
        self.taken = taken
        self.aheadLasts = aheadLasts
    }
}
