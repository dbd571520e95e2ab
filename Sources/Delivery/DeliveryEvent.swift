import RelayCore

/// What a worker did, for metrics and other observers. If the action is recorded in the store, the event comes after
/// the record.
public enum DeliveryEvent: Sendable {
    case ended(ClaimedDelivery, Settlement)
    /// All recipients of the delivery are on the list of suppressions. It ended without an attempt.
    case suppressed(ClaimedDelivery)
    case retried(ClaimedDelivery, Settlement)
    /// The lane was throttled and now sends at this rate, in recipients per second.
    case slowedDown(Lane, rate: Double)
    case laneHeld(Lane, DeliveryOutcome.Cause)
    case laneResumed(Lane)
    /// Reported once for each outage of the store, however long it lasts.
    case storeFailed(Lane, any Error)
    case storeRecovered(Lane)
}
