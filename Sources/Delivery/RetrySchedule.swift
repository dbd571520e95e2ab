import RelayCore

/// When a delivery that could not be sent is tried again, and when it is given up.
///
/// The time since acceptance decides on giving up, not the number of attempts: so answers that only ask for patience
/// (`throttled`, `patient`) cost a delivery nothing of its time.
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

    /// The pause after an attempt that had `attempts` before it. `random` is at least 0 and below 1.
    public func pause(after attempts: Int, pace: DeliveryOutcome.Pace, random: Double) -> Duration {
        // 2^40 times a millisecond is beyond any `maximum`, and below what a Double can't hold.
        let doubled = Double(1 << min(max(attempts, 0), 40))
        switch pace {
        case .normal: return jittered(min(first.inSeconds * doubled, maximum.inSeconds), random)
        case .slow, .patient: return jittered(min(slowFirst.inSeconds * doubled, maximum.inSeconds), random)
        case .throttled:
            let least = throttled.lowerBound.inSeconds
            return .seconds(least + random * min(throttled.upperBound.inSeconds - least, least * doubled))
        }
    }

    /// When to try again after an attempt that ended `now`; nil: give up.
    ///
    /// The last attempt is made when the time is up, not up to an hour before. A delivery is never given up at its very
    /// first attempt, however long it had to wait for it (the lane was held, or an operator had it sent again), and
    /// never because the account's rate was exceeded, or for what somebody must mend: that says nothing about the message.
    public func nextAttempt(
        after attempts: Int, pace: DeliveryOutcome.Pace, queuedSince: Timestamp, now: Timestamp, random: Double
    ) -> Timestamp? {
        let due = now + pause(after: attempts, pace: pace, random: random)
        let deadline = queuedSince + giveUpAfter
        if pace == .throttled || pace == .patient { return due }
        if now < deadline { return min(due, deadline) }
        return attempts == 0 ? due : nil
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
