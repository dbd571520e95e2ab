import RelayCore

/// When a delivery that could not be sent is tried again, and when it is given up.
///
/// The time since acceptance decides on giving up, not the number of attempts: so answers that only ask for patience
/// (`throttled`, `patient`) cost a delivery nothing of its time. Nor do throttled ones lengthen the pauses after others, and
/// where an operator has it sent again, the pauses begin with the shortest.
public struct RetrySchedule: Hashable, Sendable {
    /// The pause after the first attempt; it doubles with every further one.
    public var first: Duration
    /// The pauses grow no longer than this.
    public var maximum: Duration
    /// Counted from acceptance.
    public var giveUpAfter: Duration
    /// Where `slow` pauses begin, unless `maximum` is shorter.
    public var slowFirst: Duration
    /// The pauses after a `throttled` answer: between these, with the upper bound reached after a few of them.
    public var throttled: ClosedRange<Duration>

    /// Each pause is this share longer or shorter, so that what failed together does not come back together.
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

    /// When the lane moves again, for so long nothing is given up: what is old by then could not be tried meanwhile, and gets
    /// some tries more.
    var grace: Duration { min(maximum * 2, giveUpAfter) }

    /// No pause is longer.
    public var longestPause: Duration {
        .seconds(max(maximum.inSeconds * (1 + RetrySchedule.jitter), throttled.upperBound.inSeconds))
    }

    /// The pause after an attempt that had `tries` before it. `random` is at least 0 and below 1.
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

    /// 2^40 times a millisecond is beyond any `maximum`, and below what a Double can't hold.
    private func doubled(_ times: Int) -> Double { Double(1 << min(max(times, 0), 40)) }

    /// What was tried before.
    struct Tries: Hashable, Sendable {
        /// All attempts.
        var attempts: Int
        /// Those since it was put into the queue that lengthen the pauses.
        var pauses: Int

        init(attempts: Int, pauses: Int) {
            self.attempts = attempts
            self.pauses = pauses
        }

        init(before delivery: ClaimedDelivery) { self.init(attempts: delivery.attempts, pauses: delivery.pauses) }
    }

    /// When to try again after an attempt that ended `now`; nil: give up.
    ///
    /// The last attempt is made when the time is up, not up to an hour before. A delivery is never given up at its very
    /// first attempt, however long it had to wait for it (the lane was held, or an operator had it sent again), and
    /// never because the account's rate was exceeded, or for what an operator must correct: that says nothing about the message.
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
    /// `48 h`, `90 min`, `45 s`: in the largest unit that needs no fraction.
    var inWords: String {
        let seconds = wholeMilliseconds / 1000
        if seconds > 0, seconds % 3600 == 0 { return "\(seconds / 3600) h" }
        if seconds > 0, seconds % 60 == 0 { return "\(seconds / 60) min" }
        return "\(seconds) s"
    }
}
