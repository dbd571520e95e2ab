import RelayCore
import ServiceLifecycle
import Settings
import Supervision
import Telemetry

/// A part of the relay: what it runs, and all that the relay asks of it while it runs.
///
/// The reload, the watchdog, the health and the metrics ask each part of the list ``RelayParts``, so none of them can
/// forget a part of that list. A part implements only what it needs. The defaults are empty.
protocol RelayPart: Sendable {
    /// Runs until the relay shuts down.
    ///
    /// - Parameter parts: all parts of the relay, for a part that asks the others.
    func run(among parts: RelayParts) async throws

    /// Applies changed settings on SIGHUP. This can't fail, because the settings have been checked.
    func reconfigure(_ settings: RelaySettings)

    /// The loops, lanes and threads that must give signs of life to the watchdog.
    ///
    /// - Parameter interval: how often the service manager expects a sign of life from the relay.
    func heartbeats(every interval: Duration) -> [Watchdog.Part]

    /// The checks in `/healthz` of whether the part works.
    var liveness: [Health.Part] { get }

    /// The checks in `/readyz` of whether the part can accept mail.
    var readiness: [Health.Part] { get }

    /// The gauges that are read when a scrape asks. Events are counted in `RelayMetrics` instead.
    var scrapeSources: [ScrapeSource] { get }
}

extension RelayPart {
    func reconfigure(_ settings: RelaySettings) {}
    func heartbeats(every interval: Duration) -> [Watchdog.Part] { [] }
    var liveness: [Health.Part] { [] }
    var readiness: [Health.Part] { [] }
    var scrapeSources: [ScrapeSource] { [] }
}

/// The parts of a relay in the order in which they start. They end in the reverse order.
struct RelayParts: Sendable {
    private let parts: [any RelayPart]

    /// - Parameter parts: nil stands for a part that the settings do not want.
    init(_ parts: [(any RelayPart)?]) { self.parts = parts.compactMap(\.self) }

    var services: [any Service] { parts.map { PartService(part: $0, parts: self) } }

    /// The types of the parts, in order.
    var names: [String] { parts.map { "\(type(of: $0))" } }

    func reconfigure(_ settings: RelaySettings) {
        for part in parts { part.reconfigure(settings) }
    }

    func heartbeats(every interval: Duration) -> [Watchdog.Part] { parts.flatMap { $0.heartbeats(every: interval) } }

    var liveness: [Health.Part] { parts.flatMap(\.liveness) }

    /// The checks of the parts in reverse order, so that the parts that clients reach come first.
    var readiness: [Health.Part] { parts.reversed().flatMap(\.readiness) }

    var scrapeSources: [ScrapeSource] { parts.flatMap(\.scrapeSources) }
}

/// Runs a part in the group of services.
private struct PartService: Service, CustomStringConvertible {
    let part: any RelayPart
    let parts: RelayParts

    var description: String { "\(type(of: part))" }

    func run() async throws { try await part.run(among: parts) }
}
