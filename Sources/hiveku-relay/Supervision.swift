import Delivery
import Logging
import NIOCore
import NIOPosix
import RelayCore
import ServiceLifecycle
import Supervision

extension Watchdog {
    /// How long a part may take where no service manager says how often it wants a sign of life.
    private static let usualInterval = Duration.seconds(30)

    /// Everything that must turn in a relay.
    ///
    /// An event loop that hangs hangs a share of the connections, a lane that hangs sends nothing, and a restart cures
    /// both: half the interval is ample for what takes microseconds. The store gets minutes, and an error is an answer: while
    /// another process keeps the database locked, the disk is full or slow, the relay refuses mail for a while, by itself
    /// comes back, and would be no better off restarted, but without its connections. What is left is a store whose threads
    /// answer nobody.
    convenience init(
        group: any EventLoopGroup, lanes: [(name: String, worker: DeliveryWorker)], store: any RelayStore,
        callsSES: Bool,
        interval: Duration?, clock: any RelayClock, logger: Logger
    ) {
        let interval = interval ?? Watchdog.usualInterval
        let patience = interval / 2
        var parts: [Part] = []
        for (number, loop) in group.makeIterator().enumerated() {
            parts.append(.eventLoop(loop, "event loop \(number)", patience: patience))
        }
        if callsSES {
            // AsyncHTTPClient's.
            for (number, loop) in MultiThreadedEventLoopGroup.singleton.makeIterator().enumerated() {
                parts.append(.eventLoop(loop, "event loop \(number) of the HTTP client", patience: patience))
            }
        }
        for lane in lanes { parts.append(Part("\(lane.name) lane", patience: patience, ask: lane.worker.onNextTurn)) }
        parts.append(
            Part("store", patience: max(.seconds(120), interval * 4)) { answer in
                Task {
                    await store.turn()
                    answer()
                }
            })
        self.init(parts, clock: clock, logger: logger)
    }
}

/// Tells the service manager that the relay can take mail, how it stands, and that it lives.
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

    /// Looked at more often than the half of the interval that sd_watchdog_enabled(3) advises, so that a sign left out for
    /// who is only late costs nothing.
    private func giveSigns() async {
        let pause = min(manager.watchdogInterval.map { $0 / 4 } ?? .seconds(10), .seconds(10))
        while !Task.isCancelled {
            if watchdog.check() { manager.notify("WATCHDOG=1") }
            do { try await clock.sleep(until: clock.now() + pause) } catch { break }
        }
    }

    /// A long queue takes a while to count (0.2 s with a million deliveries): where the pause allows it, a hundredth of the time
    /// is spent on it.
    private func tellStatus() async {
        while !Task.isCancelled {
            let began = clock.monotonicNow()
            if let status = try? await store.queueStatus(now: clock.now()) {
                let waiting = status.depths.reduce(0) { $0 + $1.deliveries }
                let held = Lane.allCases.filter { status.ownLane($0)?.heldBecause != nil }
                    .map { "; \($0.rawValue) lane held" }
                manager.notify("STATUS=\(counted(waiting, "delivery", "deliveries")) waiting\(held.joined())")
            }
            // Bounded, since waiting for who keeps the database locked is in the measure too.
            let pause = min(max(10, 100 * clock.monotonicNow().seconds(since: began)), 60)
            do { try await clock.sleep(until: clock.now() + .seconds(pause)) } catch { break }
        }
    }
}
