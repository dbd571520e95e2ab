import RelayCore

/// When a delivery that could not be sent is tried again, and when it is given up.
///
/// A delivery is given up because of the time since acceptance, not because of the number of attempts. After a
/// `throttled` or `patient` answer it is never given up, because these answers say nothing about the message. Throttled
/// answers also do not lengthen the pauses after other answers. When an operator has a delivery sent again, the pauses
/// begin with the shortest one.
public struct RetrySchedule: Hashable, Sendable {
    /// The pause after the first attempt. Each later attempt doubles the pause, up to `maximum`.
    public var first: Duration
    /// The longest pause.
    public var maximum: Duration
    /// When a delivery is given up, counted from acceptance.
    public var giveUpAfter: Duration
    /// The first pause of the paces `slow` and `patient`, unless `maximum` is shorter.
    public var slowFirst: Duration
    /// The range of the pauses after a `throttled` answer. The upper bound is reached after a few attempts.
    public var throttled: ClosedRange<Duration>

    /// The largest part by which a pause is lengthened or shortened at random, so that deliveries that failed together
    /// are not tried again together.
    static let jitter = 0.2

    public init(
        first: Duration = .seconds(30), maximum: Duration = .seconds(3600), giveUpAfter: Duration = .seconds(48 * 3600),
        slowFirst: Duration = .seconds(900), throttled: ClosedRange<Duration> = .seconds(1) ... .seconds(10)
    ) {
        self.first = first
        self.maximum = maximum
        self.giveUpAfter = giveUpAfter
        self.slowFirst = slowFirst
        self.throttled = throttled
    }

    /// The time in which no delivery is given up. It begins when the lane moves again. So deliveries that became too
    /// old while the lane was held get some more attempts.
    var grace: Duration { min(maximum * 2, giveUpAfter) }

    /// The upper bound of all pauses.
    public var longestPause: Duration {
        .seconds(max(maximum.inSeconds * (1 + RetrySchedule.jitter), throttled.upperBound.inSeconds))
    }

    /// The pause after an attempt. `tries` are the attempts before it. `random` is at least 0 and less than 1.
    func pause(after tries: Tries, pace: DeliveryOutcome.Pace, random: Double) -> Duration {
        switch pace {
        case .normal: return jittered(min(first.inSeconds * doubled(tries.pauses), maximum.inSeconds), random)
        case .slow, .patient:
            return jittered(min(slowFirst.inSeconds * doubled(tries.pauses), maximum.inSeconds), random)
        case .throttled:
            let least = throttled.lowerBound.inSeconds
            let most = min(throttled.upperBound.inSeconds - least, least * doubled(tries.attempts))
            return .seconds(least + random * most)
        }
    }

    /// Returns 2 to the power of `times`, at most 2^40. This limit keeps the shift within an Int. It shortens no pause,
    /// because even a first pause of 1 ms, times 2^40, is longer than any `maximum`.
    private func doubled(_ times: Int) -> Double { Double(1 << min(max(times, 0), 40)) }

    /// The attempts that were made before the current one.
    struct Tries: Hashable, Sendable {
        /// The number of all attempts.
        var attempts: Int
        /// The number of attempts that lengthen the pauses, since the delivery was put into the queue.
        var pauses: Int

        init(attempts: Int, pauses: Int) {
            self.attempts = attempts
            self.pauses = pauses
        }

        init(before delivery: ClaimedDelivery) { self.init(attempts: delivery.attempts, pauses: delivery.pauses) }
    }

    /// When to try again after an attempt that ended `now`. Nil means that the delivery is given up.
    ///
    /// A pause that would end after `giveUpAfter` is shortened, so that the last attempt is made when it is over. A
    /// delivery is never given up at its first attempt, nor at the first one after an operator had it sent again,
    /// however long it had to wait for that attempt. A delivery is also never given up because the account's rate was
    /// exceeded, or because of a cause that an operator must correct. Neither of these says anything about the message.
    func nextAttempt(
        after tries: Tries, pace: DeliveryOutcome.Pace, queuedSince: Timestamp, now: Timestamp, random: Double
    ) -> Timestamp? {
        let due = now + pause(after: tries, pace: pace, random: random)
        let deadline = queuedSince + giveUpAfter
        if pace == .throttled || pace == .patient { return due }
        if now < deadline { return min(due, deadline) }
        return tries.pauses == 0 ? due : nil
    }

    private func jittered(_ seconds: Double, _ random: Double) -> Duration {
        .seconds(seconds * (1 - RetrySchedule.jitter + 2 * RetrySchedule.jitter * random))
    }
}

extension Duration {
    /// The duration as `48 h`, `90 min` or `45 s`: in the largest unit without a fraction.
    var inWords: String {
        let seconds = wholeMilliseconds / 1000
        if seconds > 0, seconds % 3600 == 0 { return "\(seconds / 3600) h" }
        if seconds > 0, seconds % 60 == 0 { return "\(seconds / 60) min" }
        return "\(seconds) s"
    }
}
