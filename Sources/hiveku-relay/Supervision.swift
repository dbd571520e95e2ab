import Delivery
import Logging
import NIOCore
import NIOPosix
import RelayCore
import ServiceLifecycle
import Supervision

extension Watchdog {
    /// How long a part may take if no service manager says how often it expects a sign of life.
    private static let usualInterval = Duration.seconds(30)

    /// All parts of a relay that must keep running.
    ///
    /// An event loop that hangs blocks a share of the connections, a lane that hangs sends nothing, and a restart cures
    /// both. Half the interval is ample for work that takes microseconds. The store gets minutes, and an error counts
    /// as an answer: while another process keeps the database locked, or the disk is full or slow, the relay refuses
    /// mail for a while and recovers by itself. A restart would not help then, but would lose the connections. What
    /// remains is a store whose threads do not answer at all.
    convenience init(
        group: any EventLoopGroup, lanes: [(name: String, worker: DeliveryWorker)], store: any RelayStore,
        callsSES: Bool,
        interval: Duration?, clock: any RelayClock, logger: Logger
    ) {
        let interval = interval ?? Watchdog.usualInterval
        let timeout = interval / 2
        var parts: [Part] = []
        for (number, loop) in group.makeIterator().enumerated() {
            parts.append(.eventLoop(loop, "event loop \(number)", timeout: timeout))
        }
        if callsSES {
            // The event loops of AsyncHTTPClient.
            for (number, loop) in MultiThreadedEventLoopGroup.singleton.makeIterator().enumerated() {
                parts.append(.eventLoop(loop, "event loop \(number) of the HTTP client", timeout: timeout))
            }
        }
        for lane in lanes { parts.append(Part("\(lane.name) lane", timeout: timeout, ask: lane.worker.onNextTurn)) }
        parts.append(
            Part("store", timeout: max(.seconds(120), interval * 4)) { answer in
                Task {
                    await store.turn()
                    answer()
                }
            })
        self.init(parts, clock: clock, logger: logger)
    }
}

/// Reports to the service manager that the relay is ready, its status, and its signs of life.
struct SupervisionService: Service {
    let manager: ServiceManager
    let watchdog: Watchdog
    let store: any RelayStore
    let clock: any RelayClock

    func run() async {
        manager.notify("READY=1", waits: true)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await giveSigns() }
                group.addTask { await tellStatus() }
            }
        }
        manager.notify("STOPPING=1")
    }

    /// Checks more often than at the half of the interval that sd_watchdog_enabled(3) advises, so that one skipped sign
    /// costs nothing if a part is only late.
    private func giveSigns() async {
        let pause = min(manager.watchdogInterval.map { $0 / 4 } ?? .seconds(10), .seconds(10))
        while !Task.isCancelled {
            if watchdog.check() { manager.notify("WATCHDOG=1") }
            do { try await clock.sleep(until: clock.now() + pause) } catch { break }
        }
    }

    /// Counting a long queue takes a while (0.2 s for a million deliveries). The pause is chosen so that counting takes
    /// at most a hundredth of the time, as far as its limits allow.
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
