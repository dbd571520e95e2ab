import Metrics
import NIOOpenSSL
import PrometheusMetrics
import RelayCore

/// Gauges that are read when a scrape asks, and where their values come from.
///
/// Each part of the relay names the sources that it has. The metrics page makes the gauges.
public struct ScrapeSource: Sendable {
    /// How the values are read.
    enum Reading: Sendable {
        /// Reading counts rows of the database. The page therefore reuses the values for a while.
        ///
        /// - Parameters:
        ///   - read: reads the values and shows them.
        ///   - showUnknown: shows that the values are not known, because reading takes too long.
        case counted(read: @Sendable () async -> Void, showUnknown: @Sendable () -> Void)
        /// The values are read for each page. The function must return within the time that it is given.
        case fresh(read: @Sendable (_ limit: Duration) async -> Void)
    }

    /// Makes the gauges.
    let reading: @Sendable (PrometheusRegistry, any RelayClock) -> Reading
}

extension ScrapeSource {
    /// The queue, the standing of the account, and whether the store answers.
    ///
    /// - Parameter count: throws when the database can't be read.
    public static func queue(_ count: @escaping @Sendable () async throws -> QueueStatus) -> ScrapeSource {
        ScrapeSource { registry, clock in
            let meters = QueueMeters(registry, clock: clock)
            return .counted(read: { meters.show(try? await count()) }, showUnknown: { meters.show(nil) })
        }
    }

    /// The number of webhook calls that wait, and of webhooks that the relay has disabled.
    public static func webhooks(
        _ count: @escaping @Sendable () async throws -> (waiting: Int, disabled: Int)
    ) -> ScrapeSource {
        ScrapeSource { registry, _ in
            let (waiting, disabled) = (
                registry.gauge(Catalogue.webhookBacklog), registry.gauge(Catalogue.disabledWebhooks)
            )
            let show = { @Sendable (backlog: (waiting: Int, disabled: Int)?) in
                waiting.set(backlog.map { Double($0.waiting) } ?? .nan)
                disabled.set(backlog.map { Double($0.disabled) } ?? .nan)
            }
            return .counted(read: { show(try? await count()) }, showUnknown: { show(nil) })
        }
    }

    /// The number of connections that are open.
    public static func openConnections(_ count: @escaping @Sendable () -> Int) -> ScrapeSource {
        ScrapeSource { registry, _ in
            let meter = registry.gauge(Catalogue.openConnections)
            return .fresh { _ in meter.set(count()) }
        }
    }

    /// The space on the file system of the database. Nil when it can't be determined.
    public static func disk(_ space: @escaping @Sendable () async -> DiskSpace?) -> ScrapeSource {
        ScrapeSource { registry, _ in
            let (free, size) = (registry.gauge(Catalogue.diskFree), registry.gauge(Catalogue.diskSize))
            return .fresh { limit in
                let disk = await within(limit, space) ?? nil
                free.set(disk.map { Double($0.free) } ?? .nan)
                size.set(disk.map { Double($0.size) } ?? .nan)
            }
        }
    }

    /// The certificates that clients are shown.
    public static func certificates(_ certificates: @escaping @Sendable () -> [TLSCertificateInfo]) -> ScrapeSource {
        ScrapeSource { registry, _ in
            let meters = CertificateMeters(registry)
            return .fresh { _ in meters.show(certificates()) }
        }
    }
}
