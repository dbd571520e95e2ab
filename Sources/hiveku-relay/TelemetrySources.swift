import Delivery
import HTTPServer
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore
import SMTPServer
import ServiceLifecycle
import Settings
import Telemetry

/// The sources of metrics and health: the parts of an assembled relay.
struct TelemetrySources: Sendable {
    let store: any RelayStore
    /// The path of the database. Nil for a database server, whose disk this machine can't check.
    let databaseFile: String?
    let workers: [Lane: DeliveryWorker]
    let server: SMTPServer
    let web: HTTPServer
    let limiter: ConnectionLimiter
    let certificates: ReloadableTLSContext
    let loops: any EventLoopGroup
    let clock: any RelayClock

    /// A disk with less free space, in octets, counts as full: no message fits.
    static let fullDisk = 1 << 20

    /// Whether the relay works: whether its event loops, its store and its workers answer.
    var liveness: Health {
        let loopParts = loops.makeIterator().enumerated().map { index, loop in
            Health.Part("event loop \(index + 1)") { try await loop.submit {}.get() }
        }
        let workerParts = workers.sorted { $0.key.rawValue < $1.key.rawValue }.map { lane, worker in
            Health.Part("\(lane.rawValue) worker") { await worker.ping() }
        }
        let store = store
        return Health(
            loopParts + [.init("store") { _ = try await store.schemaVersion() }] + workerParts, clock: clock)
    }

    /// Whether the relay can take mail.
    var readiness: Health {
        let (server, web, store) = (server, web, store)
        let disk = databaseFile.map { file in
            Health.Part("disk") {
                let disk = await onOwnThread { DiskSpace(of: file) }
                guard let disk, disk.free >= TelemetrySources.fullDisk else { throw Health.Problem("full") }
            }
        }
        return Health(
            [
                .init("listeners") {
                    guard server.isListening, web.isListening else {
                        throw Health.Problem("closed, the relay is stopping")
                    }
                },
                // This check costs a sync, so it is not made each time.
                .init("store", freshFor: .seconds(1)) { try await store.checkWritable() },
            ] + (disk.map { [$0] } ?? []), clock: clock)
    }

    /// Empty if metrics have no listener.
    func listener(
        _ settings: RelaySettings.Metrics, _ metrics: RelayMetrics?, _ logger: Logger
    ) -> [any Service] {
        guard let listen = settings.listen, let metrics else { return [] }
        let (limiter, store, file, certificates, clock) = (limiter, store, databaseFile, certificates, clock)
        let page = MetricsPage(
            metrics,
            .init(
                queue: { try await store.queueStatus(now: clock.now()) },
                webhooks: { try await store.webhookBacklog() },
                openConnections: { limiter.count }, certificates: { certificates.current.certificates },
                disk: { await onOwnThread { file.flatMap { DiskSpace(of: $0) } } }), clock: clock)
        return [
            TelemetryListener(
                TelemetryListener.Place(listen), metrics: page, liveness: liveness, readiness: readiness,
                logger: logger)
        ]
    }
}
