import SenderReports
import ServiceLifecycle
import Settings

/// Reports failed messages to their senders.
struct SenderReportsPart: RelayPart {
    let reporter: SenderReporter

    func run(among _: RelayParts) async { await cancelWhenGracefulShutdown { await reporter.run() } }

    func reconfigure(_ settings: RelaySettings) { reporter.reconfigure(.init(settings)) }
}
