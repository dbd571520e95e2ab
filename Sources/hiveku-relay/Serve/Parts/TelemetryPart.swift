import Logging
import RelayCore
import Settings
import Telemetry

/// The listener for metrics and health. It asks all parts.
struct TelemetryPart: RelayPart {
    let place: TelemetryListener.Place
    let metrics: RelayMetrics
    let clock: any RelayClock
    let logger: Logger

    /// Nil if metrics have no listener.
    init?(_ settings: RelaySettings.Metrics, _ metrics: RelayMetrics?, clock: any RelayClock, logger: Logger) {
        guard let listen = settings.listen, let metrics else { return nil }
        place = TelemetryListener.Place(listen)
        self.metrics = metrics
        self.clock = clock
        self.logger = logger
    }

    func run(among parts: RelayParts) async throws {
        let listener = TelemetryListener(
            place, metrics: MetricsPage(metrics, parts.scrapeSources, clock: clock),
            liveness: Health(parts.liveness, clock: clock), readiness: Health(parts.readiness, clock: clock),
            logger: logger)
        try await listener.run()
    }
}
