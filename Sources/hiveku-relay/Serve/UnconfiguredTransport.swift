import RelayCore

/// Replaces SES if no region is set: live messages wait.
struct UnconfiguredTransport: Transport {
    var executor: (any TaskExecutor)? { nil }

    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        .laneHeld(
            DeliveryOutcome.Cause("not-configured", "live keys need SES: set ses.region and restart the relay"),
            alert: true)
    }
}
