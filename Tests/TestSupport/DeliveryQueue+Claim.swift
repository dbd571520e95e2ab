import RelayCore

extension DeliveryQueue {
    /// Claims deliveries, however many recipients they have.
    public func claim(
        lane: Lane, limit: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [ClaimedDelivery] {
        try await claim(lane: lane, limit: limit, recipients: .max, leaseUntil: leaseUntil, now: now).deliveries
    }
}
