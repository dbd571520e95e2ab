import Listening
import Logging
import RelayCore
import ServiceLifecycle
import Settings
import Supervision
import Telemetry

/// The store. Deletes what the retention settings no longer keep.
struct StorePart: RelayPart {
    let store: any RelayStore
    /// The path of the database. Nil for a database server, whose disk this machine can't check.
    let databaseFile: String?
    let retention: Current<Retention>
    let clock: any RelayClock
    let logger: Logger

    init(_ store: any RelayStore, _ settings: RelaySettings, clock: any RelayClock, logger: Logger) {
        self.store = store
        databaseFile = settings.database.file
        retention = Current(settings.retention)
        self.clock = clock
        self.logger = logger
    }

    /// The free space, in octets, below which a disk counts as full, because no message fits.
    static let fullDisk = 1 << 20

    func run(among _: RelayParts) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    // Delete one batch at a time, and leave time for other work in between.
                    while try await store.prune(retention.value, now: clock.now()), !Task.isCancelled {
                        try await clock.sleep(until: clock.now() + .milliseconds(100))
                    }
                    while try await store.pruneCalls(now: clock.now()), !Task.isCancelled {
                        try await clock.sleep(until: clock.now() + .milliseconds(100))
                    }
                } catch is CancellationError {
                    break
                } catch {
                    logger.error("removing old messages failed", metadata: ["error": "\(error)"])
                }
                do { try await clock.sleep(until: clock.now() + .seconds(600)) } catch { break }
            }
        }
    }

    func reconfigure(_ settings: RelaySettings) {
        store.storage = settings.storage
        store.senderReports = .init(settings.bounces)
        retention.value = settings.retention
    }

    /// The store gets minutes, and an error counts as an answer: while another process keeps the database locked, or
    /// the disk is full or slow, the relay refuses mail for a while and recovers by itself. In these cases a restart
    /// would not help, and would lose the connections. So only a store whose threads do not answer at all counts as
    /// hanging.
    func heartbeats(every interval: Duration) -> [Watchdog.Part] {
        let store = store
        return [
            Watchdog.Part("store", timeout: max(.seconds(120), interval * 4)) { answer in
                Task {
                    await store.turn()
                    answer()
                }
            }
        ]
    }

    var liveness: [Health.Part] {
        let store = store
        return [.init("store") { _ = try await store.schemaVersion() }]
    }

    var readiness: [Health.Part] {
        let store = store
        // This check costs a sync, so its result is reused for a second.
        let writable = Health.Part("store", freshFor: .seconds(1)) { try await store.checkWritable() }
        guard let databaseFile else { return [writable] }
        return [
            writable,
            .init("disk") {
                let disk = await onOwnThread { DiskSpace(of: databaseFile) }
                guard let disk, disk.free >= StorePart.fullDisk else { throw Health.Problem("full") }
            },
        ]
    }

    var scrapeSources: [ScrapeSource] {
        let (store, clock, databaseFile) = (store, clock, databaseFile)
        return [
            .queue { try await store.queueStatus(now: clock.now()) },
            .disk { await onOwnThread { databaseFile.flatMap { DiskSpace(of: $0) } } },
        ]
    }
}
