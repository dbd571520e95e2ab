import Foundation
import Logging
import NIOOpenSSL
import RelayCore
import Settings
import Supervision
import Synchronization
import Telemetry
import TestSupport
import Testing
import UnixSignals

@testable import hiveku_relay

@Suite struct RelayPartsTests {
    /// A part that implements every member of `RelayPart`.
    private struct Example: RelayPart {
        let name: String
        let told = Calls()

        final class Calls: Sendable {
            private let settings = Mutex<[RelaySettings]>([])
            var all: [RelaySettings] { settings.withLock { $0 } }
            func add(_ new: RelaySettings) { settings.withLock { $0.append(new) } }
        }

        func run(among _: RelayParts) async {}
        func reconfigure(_ settings: RelaySettings) { told.add(settings) }
        func heartbeats(every interval: Duration) -> [Watchdog.Part] { [.init(name, timeout: interval) { $0() }] }
        var liveness: [Health.Part] { [.init("\(name) lives") {}] }
        var readiness: [Health.Part] { [.init("\(name) is ready") {}] }
        var scrapeSources: [ScrapeSource] { [.openConnections { 1 }] }
    }

    /// A part that implements only `run`.
    private struct Silent: RelayPart {
        func run(among _: RelayParts) async {}
    }

    @Test func everyPartIsReconfiguredAndQueried() {
        let (first, last) = (Example(name: "first"), Example(name: "last"))
        let parts = RelayParts([first, nil, Silent(), last])
        var settings = RelaySettings()
        settings.hostname = "new.example.com"
        parts.reconfigure(settings)
        #expect(first.told.all == [settings] && last.told.all == [settings])
        #expect(parts.services.count == 3)
        #expect(parts.heartbeats(every: .seconds(1)).count == 2)
        #expect(parts.liveness.map(\.name) == ["first lives", "last lives"])
        // The parts that clients reach start last, and their readiness comes first.
        #expect(parts.readiness.map(\.name) == ["last is ready", "first is ready"])
        #expect(parts.scrapeSources.count == 2)
    }

    /// A relay with every part that settings can enable. The relay starts and ends.
    @Test(.timeLimit(.minutes(5))) func eachPartIsThereOnceAndInOrder() async throws {
        let directory = try TemporaryDirectory()
        var settings = RelaySettings.demo(directory: directory.path)
        let identity = try CertificateFiles(in: directory)
        (settings.tls.certificates, settings.tls.privateKeys) = ([identity.certificate], [identity.key])
        settings.listen = [.address(.startTLS, host: "127.0.0.1", port: 0)]
        settings.http.listen = [.unix(path: directory.file("http"))]
        settings.admin.listen = .unix(path: directory.file("admin"))
        settings.metrics.listen = .unix(path: directory.file("metrics"))
        settings.ses.region = "eu-west-1"
        // No program listens at this port.
        settings.ses.endpoint = "http://127.0.0.1:1"
        settings.feedback.queueURL = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
        settings.feedback.endpoint = "http://127.0.0.1:1"
        let environment = ["AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"]
        let ending = await UnixSignalsSequence(trapping: .sigusr2)
        let relay = try await Relay.assemble(
            settings: settings, exposed: [], sockets: nil, rereading: nil, demo: nil, environment: environment,
            manager: ServiceManager(environment: [:], processID: 0),
            hangups: await UnixSignalsSequence(trapping: .sigusr1), clock: SystemClock(),
            log: LogSettings(settings.log), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })

        #expect(
            relay.parts.names == [
                "EventLoopsPart", "TelemetryPart", "StorePart", "ReloadPart", "WebhooksPart", "DomainsPart",
                "SenderReportsPart", "FeedbackPart", "LanePart", "LanePart", "AdmissionPart", "OperatorPagePart",
                "ListenersPart", "SupervisionPart",
            ])
        // Health identifies parts by name, so no two parts may have the same name.
        let liveness = relay.parts.liveness.map(\.name).filter { !$0.hasPrefix("event loop") }
        #expect(liveness == ["store", "live worker", "test worker"])
        #expect(Set(relay.parts.liveness.map(\.name)).count == relay.parts.liveness.count)
        #expect(relay.parts.readiness.map(\.name) == ["listeners", "store", "disk"])

        kill(getpid(), SIGUSR2)
        try await relay.run(until: ending)
    }
}
