import RelayCore

/// Whether a lane stands still because nothing of it can be sent, and when to try again.
struct LaneHold {
    struct Held {
        var cause: DeliveryOutcome.Cause
        var since: Moment
        var probeAt: MonotonicTime
        /// Until the next probe after the coming one, if that fails too.
        var interval: Duration
        /// The account's quota was consulted for the coming probe, and is no reason against it.
        var isCleared = false
        var isProbing = false
    }

    private(set) var held: Held?
    private var lastInterval = Duration.zero
    /// Answers to what was sent before say nothing about the lane as it is now.
    private(set) var resumedAt = MonotonicTime.distantPast

    static let firstInterval = Duration.seconds(30)
    static let maximumInterval = Duration.seconds(300)

    var isHeld: Bool { held != nil }

    /// Returns false when it was held already.
    mutating func begin(_ cause: DeliveryOutcome.Cause, at now: Moment) -> Bool {
        guard held == nil else { return false }
        // A lane that stops again soon after it moved is probed no more often than before: it would flap.
        let flaps = now.monotonic - resumedAt < LaneHold.maximumInterval
        let interval = flaps ? max(lastInterval, LaneHold.firstInterval) : LaneHold.firstInterval
        held = Held(cause: cause, since: now, probeAt: now.monotonic + interval, interval: interval)
        lengthen()
        return true
    }

    /// Whether it is time to try one delivery.
    func mayProbe(at now: MonotonicTime) -> Bool {
        guard let held else { return false }
        return !held.isProbing && now >= held.probeAt
    }

    mutating func cleared() { held?.isCleared = true }

    mutating func probing() { held?.isProbing = true }

    /// There was nothing to try it with: the time for it remains.
    mutating func foundNothing() { held?.isProbing = false }

    /// The lane is still held.
    mutating func probeFailed(at now: MonotonicTime) {
        guard let interval = held?.interval else { return }
        held?.isProbing = false
        held?.isCleared = false
        held?.probeAt = now + interval
        lengthen()
    }

    mutating func resume(at now: MonotonicTime) {
        held = nil
        resumedAt = now
    }

    private mutating func lengthen() {
        guard let interval = held?.interval else { return }
        lastInterval = interval
        held?.interval = min(interval * 2, LaneHold.maximumInterval)
    }
}
