import RelayCore

/// Whether a lane is held because none of its deliveries can be sent, and when to probe it again.
struct LaneHold {
    struct Held {
        var cause: DeliveryOutcome.Cause
        var since: Moment
        var probeAt: MonotonicTime
        /// The time from the next probe to the one after it, if the next one fails too.
        var interval: Duration
        /// Whether the account's quota was checked for the next probe and does not forbid the probe.
        var isCleared = false
        var isProbing = false
    }

    private(set) var held: Held?
    private var lastInterval = Duration.zero
    /// Answers to requests that were sent before this time say nothing about the lane's present state.
    private(set) var resumedAt = MonotonicTime.distantPast

    static let firstInterval = Duration.seconds(30)
    static let maximumInterval = Duration.seconds(300)

    var isHeld: Bool { held != nil }

    /// Begins to hold the lane. Returns false when it was held already.
    mutating func begin(_ cause: DeliveryOutcome.Cause, at now: Moment) -> Bool {
        guard held == nil else { return false }
        // If the lane is held again soon after it moved, it is probed no more often than before. Otherwise it would
        // flap.
        let flaps = now.monotonic - resumedAt < LaneHold.maximumInterval
        let interval = flaps ? max(lastInterval, LaneHold.firstInterval) : LaneHold.firstInterval
        held = Held(cause: cause, since: now, probeAt: now.monotonic + interval, interval: interval)
        lengthen()
        return true
    }

    /// Whether it is time to probe with one delivery.
    func mayProbe(at now: MonotonicTime) -> Bool {
        guard let held else { return false }
        return !held.isProbing && now >= held.probeAt
    }

    mutating func cleared() { held?.isCleared = true }

    mutating func probing() { held?.isProbing = true }

    /// There was no delivery to probe with. The time of the next probe does not change.
    mutating func foundNothing() { held?.isProbing = false }

    /// The probe failed, so the lane stays held.
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
