import Delivery
import RelayCore
import SESTransport
import ServiceLifecycle
import Settings
import Supervision
import Telemetry

/// The worker of a lane, with its transport.
struct LanePart: RelayPart {
    let lane: Lane
    let worker: DeliveryWorker
    /// Nil for the test lane, and if no region is set.
    let transport: SESTransport?

    func run(among _: RelayParts) async {
        await cancelWhenGracefulShutdown { await worker.run() }
        await transport?.shutdown()
    }

    func reconfigure(_ settings: RelaySettings) {
        worker.reconfigure(
            schedule: RetrySchedule(settings.delivery), maximumRate: lane == .live ? settings.ses.maximumRate : nil)
    }

    /// A lane that hangs sends nothing, and only a restart helps.
    func heartbeats(every interval: Duration) -> [Watchdog.Part] {
        [Watchdog.Part("\(lane.rawValue) lane", timeout: interval / 2, ask: worker.onNextTurn)]
    }

    var liveness: [Health.Part] {
        let worker = worker
        return [.init("\(lane.rawValue) worker") { await worker.ping() }]
    }
}
