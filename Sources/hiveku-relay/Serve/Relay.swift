import AWSClient
import Admission
import ArgumentParser
import Delivery
import Diagnosis
import Domains
import Foundation
import HTTPServer
import InternetMessage
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import NIOPosix
import OperatorPage
import RelayCore
import Resolver
import SESTransport
import SMTPServer
import SenderReports
import ServiceLifecycle
import Settings
import Telemetry
import UnixSignals
import Webhooks

/// The assembled relay: the store, admission in front of it, a worker for each lane behind it, and the servers.
///
/// This is the only place that knows all modules, and the only list of the relay's parts.
struct Relay: Sendable {
    private let store: any RelayStore
    let parts: RelayParts
    private let logger: Logger

    /// The longest time that open transactions get when the relay stops.
    static let drainTime = Duration.seconds(30)

    static func assemble(
        settings: RelaySettings, exposed: [Finding], sockets: ListenPlaces?,
        rereading: (@Sendable () throws(SettingsErrors) -> RelaySettings)?, demo: Demo?,
        environment: [String: String], manager: ServiceManager, hangups: UnixSignalsSequence,
        clock machine: any RelayClock,
        log: LogSettings, logger: Logger
    ) async throws -> Relay {
        let certificates = try configured {
            try Certificates(settings: settings, isDemo: demo != nil, now: machine.now())
        }
        for finding in ExposedFiles.findings(settings) + exposed {
            logger.warning("\(finding.found)", metadata: ["remedy": "\(finding.remedy ?? "")"])
        }
        let places = try sockets ?? ListenPlaces(settings, manager, logger: logger)
        // Nothing is counted if the metrics have no listener.
        let metrics = settings.metrics.listen.map { _ in RelayMetrics(version: relayVersion) }
        let store = try openStore(
            settings,
            for: .relay(
                onSync: { metrics?.synced(seconds: $0) },
                onDoubt: { doubt in
                    logger.notice(
                        "the commit of a batch was in doubt",
                        metadata: ["messages": "\(doubt.messages)", "ending": "\(doubt.ending.rawValue)"])
                },
                onConflict: { conflict in
                    if let conflict {
                        logger.critical("\(conflict.explanation)", metadata: ["remedy": "\(conflict.remedy)"])
                    } else {
                        logger.notice("only one database server accepts writes again")
                    }
                }), now: machine.now())

        // From here on every part uses the clock that all relays on the store share.
        let clock = store.clock ?? machine
        store.senderReports = .init(settings.bounces)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: eventLoopCount(cores: System.coreCount))
        let webhooks = WebhookDispatcher(
            store: store, policy: WebhookAddressPolicy(settings.webhooks), group: group, version: relayVersion,
            clock: clock, logger: logger, observe: { metrics?.observe($0) })
        let observer = DeliveryObserver(demo: demo, metrics: metrics, webhooks: webhooks)
        let ses = try transport(settings, environment, clock, logger)
        let measured = metrics.flatMap { metrics in ses.map { MeasuredTransport($0, metrics, clock: clock) } }
        let account: (any Transport & QuotaSource)? = measured ?? ses
        let live = DeliveryWorker(
            lane: .live, configuration: DeliveryConfiguration(settings), queue: store,
            transport: account ?? UnconfiguredTransport(), quota: account, clock: clock, logger: logger,
            observe: observer.observe)
        let test = DeliveryWorker(
            lane: .test, configuration: .simulated(schedule: RetrySchedule(settings.delivery)), queue: store,
            transport: SimulatedTransport(clock: clock), clock: clock, logger: logger, observe: observer.observe)

        let domains = SendingDomains(
            live: ses.map { SESDomains($0) } ?? UnconfiguredDomains(),
            test: SimulatedDomains(store: store, clock: clock),
            resolver: DNSResolver(clock: machine))

        let admission = Admission(
            configuration: .init(settings), store: store, clock: clock, logger: logger,
            observe: { event in
                metrics?.observe(event)
                if case .accepted(_, let lane) = event { (lane == .live ? live : test).wake() }
            })
        let reporter = SenderReporter(
            configuration: .init(settings), store: store, records: store, nextID: { admission.nextID(at: $0) },
            clock: clock, logger: logger,
            observe: { event in
                metrics?.observe(event)
                if case .queued(_, let lane) = event { (lane == .live ? live : test).wake() }
            })
        let limiter = ConnectionLimiter(
            maximum: settings.submission.maximumConnections,
            maximumPerClient: settings.submission.maximumConnectionsPerClient)
        let proxyNetworks = ProxyNetworks(settings.proxyNetworks)
        let proxy = ProxyPolicy(networks: proxyNetworks, limiter: limiter) { refusal in
            admission.clientLog.write(
                .notice, refusal.message, client: refusal.peer, kind: refusal.kind, metadata: refusal.metadata)
        }
        let listeners: ListenersPart
        let page: OperatorPagePart?
        do {
            let smtp = try await SMTPServer.start(
                places.smtp, configuration: .init(settings), admission: admission, tls: certificates.context,
                limiter: limiter, proxy: proxy, group: group, logger: logger,
                observe: { metrics?.observe($0) })
            let http = try await HTTPServer.start(
                places.http, configuration: .init(settings), admission: admission, store: store,
                domains: domains, tls: certificates.context, limiter: limiter, proxy: proxy, clock: clock, group: group,
                logger: logger, observe: { metrics?.observe($0) })
            listeners = ListenersPart(
                smtp: smtp, http: http, limiter: limiter, proxyNetworks: proxyNetworks,
                certificates: certificates.context)
            page = try await OperatorPagePart.start(
                settings, smtpPort: smtp.bound.first { $0.listener.security == .startTLS }?.address?.port,
                apiPort: http.bound.lazy.compactMap { $0.address?.port }.first, admission: admission, store: store,
                domains: domains, clock: clock, group: group, logger: logger)
        } catch let error as ListenError {
            throw CommandError("\(error)")
        }
        if let demo {
            let key = try await demo.key(store, now: clock.now())
            demo.welcome(
                key,
                addresses: listeners.smtp.bound.map { bound in
                    (bound.listener.security == .startTLS ? .startTLS : .implicitTLS, bound.description)
                }, api: listeners.http.bound.first?.description,
                page: try await pageLink(page, store, now: clock.now()))
        }
        listeners.announce(logger)
        let feedback = try configured {
            try FeedbackPart(
                settings, store: store, metrics: metrics, environment: environment, clock: clock, logger: logger)
        }
        // Parts end in the reverse order: first the relay stops accepting, then it finishes what it has accepted. The
        // parts that observe it end last.
        let parts = RelayParts([
            EventLoopsPart(group: group, callsAWS: ses != nil || feedback != nil),
            TelemetryPart(settings.metrics, metrics, clock: clock, logger: logger),
            StorePart(store, settings, clock: clock, logger: logger),
            ReloadPart(
                settings: Current(settings), read: rereading, certificates: certificates, log: log, hangups: hangups,
                clock: clock, logger: logger),
            WebhooksPart(dispatcher: webhooks, store: store),
            DomainsPart(domains: domains),
            SenderReportsPart(reporter: reporter),
            feedback,
            LanePart(lane: .live, worker: live, transport: ses),
            LanePart(lane: .test, worker: test, transport: nil),
            AdmissionPart(admission: admission),
            page,
            listeners,
            SupervisionPart(manager: manager, store: store, clock: clock, logger: logger),
        ])
        return Relay(store: store, parts: parts, logger: logger)
    }

    /// Runs until one of the signals arrives.
    func run(until ending: UnixSignalsSequence) async throws {
        let end = ServiceGroupConfiguration.ServiceConfiguration(
            service: EndingService(ending: ending), successTerminationBehavior: .gracefullyShutdownGroup)
        var configuration = ServiceGroupConfiguration(
            services: parts.services.map { .init(service: $0) } + [end], logger: logger)
        // Clients and workers have limits of their own. A service that takes longer than these must be hanging. Ending
        // it is safe: the queue is on disk.
        configuration.maximumGracefulShutdownDuration = Relay.drainTime + .seconds(30)
        try await ServiceGroup(configuration: configuration).run()
        try store.close()
        logger.notice("stopped")
    }

    /// A link to the operator's page. Nil if there is no page, or if it listens on a Unix socket, which no browser can
    /// open.
    private static func pageLink(
        _ page: OperatorPagePart?, _ store: any RelayStore, now: Timestamp
    ) async throws -> String? {
        guard let page, page.server.port != nil else { return nil }
        return try await AdminLink.make(store, now: now).url("http://\(page.server.address)")
    }

    /// Nil if no region is set.
    private static func transport(
        _ settings: RelaySettings, _ environment: [String: String], _ clock: any RelayClock, _ logger: Logger
    ) throws -> SESTransport? {
        guard let region = settings.ses.region else { return nil }
        return try configured {
            SESTransport(
                configuration: try SESConfiguration(
                    region: region, endpoint: settings.ses.endpoint, configurationSet: settings.ses.configurationSet,
                    concurrency: settings.ses.concurrency),
                credentials: CredentialsChain(settings.ses, environment: environment, clock: clock, logger: logger),
                clock: clock, logger: logger)
        }
    }

    /// Prints an error of `make` and ends with the status for a wrong configuration.
    private static func configured<Made>(_ make: () throws -> Made) throws -> Made {
        do {
            return try make()
        } catch {
            printFailure("\(error)")
            throw ExitCode(78)
        }
    }
}

/// Returns when a signal asks the relay to stop. The other services then stop too.
private struct EndingService: Service {
    let ending: UnixSignalsSequence

    func run() async {
        for await _ in ending.cancelOnGracefulShutdown() { return }
    }
}
