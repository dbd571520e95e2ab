import Logging
import RelayCore
import ServiceLifecycle
import Supervision

/// Reports to the service manager that the relay is ready, its status, and its signs of life. The watchdog asks
/// all parts for them.
struct SupervisionPart: RelayPart {
    let manager: ServiceManager
    let store: any RelayStore
    let clock: any RelayClock
    let logger: Logger

    /// The interval from which the time limits of parts are computed, if no service manager says how often it expects a
    /// sign of life.
    private static let usualInterval = Duration.seconds(30)

    func run(among parts: RelayParts) async {
        let watchdog = Watchdog(
            parts.heartbeats(every: manager.watchdogInterval ?? SupervisionPart.usualInterval), clock: clock,
            logger: logger)
        manager.notify("READY=1", waits: true)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await giveSigns(watchdog) }
                group.addTask { await tellStatus() }
            }
        }
        manager.notify("STOPPING=1")
    }

    /// Checks at least four times in the interval, and not only twice as sd_watchdog_enabled(3) advises. So one skipped
    /// sign costs nothing if a part is only late.
    private func giveSigns(_ watchdog: Watchdog) async {
        let pause = min(manager.watchdogInterval.map { $0 / 4 } ?? .seconds(10), .seconds(10))
        while !Task.isCancelled {
            if watchdog.check() { manager.notify("WATCHDOG=1") }
            do { try await clock.sleep(until: clock.now() + pause) } catch { break }
        }
    }

    /// Reports the status regularly. Counting a long queue takes a while (0.2 s for a million deliveries). The pause is
    /// chosen so that counting takes at most a hundredth of the time, within the limits of the pause.
    private func tellStatus() async {
        while !Task.isCancelled {
            let began = clock.monotonicNow()
            if let status = try? await store.queueStatus(now: clock.now()) {
                let waiting = status.depths.reduce(0) { $0 + $1.deliveries }
                let held = Lane.allCases.filter { status.ownLane($0)?.heldBecause != nil }
                    .map { "; \($0.rawValue) lane held" }
                manager.notify("STATUS=\(counted(waiting, "delivery", "deliveries")) waiting\(held.joined())")
            }
            // The pause has an upper limit, because the measured time includes waiting for a process that has locked
            // the database.
            let pause = min(max(10, 100 * clock.monotonicNow().seconds(since: began)), 60)
            do { try await clock.sleep(until: clock.now() + .seconds(pause)) } catch { break }
        }
    }
}
