import RelayCore

/// What a worker did, for metrics and for who watches. Told once it is on record, where there is a record.
public enum DeliveryEvent: Sendable {
    case ended(ClaimedDelivery, Settlement)
    /// All its recipients are on the list of suppressions: it ended without an attempt.
    case suppressed(ClaimedDelivery)
    case retried(ClaimedDelivery, Settlement)
    /// Told to slow down; now at so many recipients per second.
    case slowedDown(Lane, rate: Double)
    case laneHeld(Lane, DeliveryOutcome.Cause)
    case laneResumed(Lane)
    /// Once per spell, however long it lasts.
    case storeFailed(Lane, any Error)
    case storeRecovered(Lane)
}
