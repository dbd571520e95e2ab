import AWSClient
import Admission
import ArgumentParser
import Delivery
import Diagnosis
import Domains
import Feedback
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
import Supervision
import Telemetry
import UnixSignals
import Webhooks

/// The assembled relay: the store, admission in front of it, a worker for each lane behind it, and the servers.
///
/// This is the only place that knows all modules.
struct Relay: Sendable {
    private let store: any RelayStore
    private let services: [any Service]
    private let manager: ServiceManager
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
        let certificates: Certificates
        do {
            certificates = try Certificates(settings: settings, isDemo: demo != nil, now: machine.now())
        } catch {
            printError("\(error)")
            throw ExitCode(78)
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
        let server: SMTPServer
        let web: HTTPServer
        let page: OperatorPageService?
        do {
            server = try await SMTPServer.start(
                places.smtp, configuration: .init(settings), admission: admission, tls: certificates.context,
                limiter: limiter, proxy: proxy, group: group, logger: logger,
                observe: { metrics?.observe($0) })
            web = try await HTTPServer.start(
                places.http, configuration: .init(settings), admission: admission, store: store,
                domains: domains, tls: certificates.context, limiter: limiter, proxy: proxy, clock: clock, group: group,
                logger: logger, observe: { metrics?.observe($0) })
            page = try await OperatorPageService.start(
                settings, smtpPort: server.bound.first { $0.listener.security == .startTLS }?.address?.port,
                apiPort: web.bound.lazy.compactMap { $0.address?.port }.first, admission: admission, store: store,
                domains: domains, clock: clock, group: group, logger: logger)
        } catch let error as ListenError {
            throw CommandError("\(error)")
        }
        if let demo {
            let key = try await demo.key(store, now: clock.now())
            demo.welcome(
                key,
                addresses: server.bound.map { bound in
                    (bound.listener.security == .startTLS ? .startTLS : .implicitTLS, bound.description)
                }, api: web.bound.first?.description,
                page: try await pageLink(page, store, now: clock.now()))
        }
        for bound in server.bound {
            var metadata: Logger.Metadata = [
                "address": "\(bound.description)",
                "tls": bound.listener.security == .startTLS ? "starttls" : "implicit",
            ]
            if bound.listener.takesProxyHeader { metadata["proxy_header"] = "required" }
            logger.notice("listening", metadata: metadata)
        }
        for bound in web.bound {
            var metadata: Logger.Metadata = [
                "address": "\(bound.description)", "http": bound.listener.isTLS ? "tls" : "clear",
            ]
            if bound.listener.takesProxyHeader { metadata["proxy_header"] = "required" }
            logger.notice("listening", metadata: metadata)
        }
        let feedback: [any Service]
        do {
            feedback = try FeedbackService.services(
                settings, store: store, metrics: metrics, environment: environment, clock: clock, logger: logger)
        } catch {
            printError("\(error)")
            throw ExitCode(78)
        }
        let current = Current(settings)
        let followers = SettingsFollowers(
            store: store, admission: admission, server: server, web: web, limiter: limiter,
            proxyNetworks: proxyNetworks,
            live: live, test: test, webhooks: webhooks, reporter: reporter, log: log)
        let watchdog = Watchdog(
            group: group, lanes: [("live", live), ("test", test)], store: store,
            callsSES: ses != nil || !feedback.isEmpty,
            interval: manager.watchdogInterval, clock: clock, logger: logger)
        let telemetry = TelemetrySources(
            store: store, databaseFile: settings.database.file, workers: [.live: live, .test: test], server: server,
            web: web, limiter: limiter, certificates: certificates.context, loops: group, clock: clock)
        return Relay(
            store: store,
            // Services end in reverse order: first the relay stops accepting, then it finishes what it has accepted.
            // The services that observe it end last.
            services: telemetry.listener(settings.metrics, metrics, logger) + [
                Upkeep(store: store, settings: current, clock: clock, logger: logger),
                ReloadService(
                    settings: current, read: rereading, certificates: certificates, followers: followers,
                    hangups: hangups, clock: clock, logger: logger),
                WebhookService(dispatcher: webhooks), DomainsService(domains: domains),
                SenderReportService(reporter: reporter),
            ] + feedback + [
                LiveService(worker: live, transport: ses), WorkerService(worker: test),
                AdmissionService(admission: admission),
            ] + (page.map { [$0] } ?? []) + [
                ServersService(smtp: server, http: web),
                SupervisionService(manager: manager, watchdog: watchdog, store: store, clock: clock),
            ], manager: manager, logger: logger)
    }

    /// Runs until one of the signals arrives.
    func run(until ending: UnixSignalsSequence) async throws {
        let end = ServiceGroupConfiguration.ServiceConfiguration(
            service: EndingService(ending: ending), successTerminationBehavior: .gracefullyShutdownGroup)
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) } + [end], logger: logger)
        // A service that exceeds the clients' and the workers' own limits hangs. Ending it is safe: the queue is on
        // disk.
        configuration.maximumGracefulShutdownDuration = Relay.drainTime + .seconds(30)
        try await ServiceGroup(configuration: configuration).run()
        try store.close()
        logger.notice("stopped")
    }

    /// Nil if there is no page, or if it listens on a Unix socket, which no browser can open.
    private static func pageLink(
        _ page: OperatorPageService?, _ store: any RelayStore, now: Timestamp
    ) async throws -> String? {
        guard let page, page.server.port != nil else { return nil }
        return try await AdminLink.make(store, now: now).url("http://\(page.server.address)")
    }

    /// Nil if no region is set.
    private static func transport(
        _ settings: RelaySettings, _ environment: [String: String], _ clock: any RelayClock, _ logger: Logger
    ) throws -> SESTransport? {
        guard let region = settings.ses.region else { return nil }
        do {
            return SESTransport(
                configuration: try SESConfiguration(
                    region: region, endpoint: settings.ses.endpoint, configurationSet: settings.ses.configurationSet,
                    concurrency: settings.ses.concurrency),
                credentials: CredentialsChain(
                    environment: environment, credentialsFile: settings.ses.credentialsFile,
                    profile: settings.ses.profile, clock: clock, logger: logger),
                clock: clock, logger: logger)
        } catch {
            printError("\(error)")
            throw ExitCode(78)
        }
    }
}

/// Counts and reports ended deliveries. The worker has logged them already.
private struct DeliveryObserver: Sendable {
    let demo: Demo?
    let metrics: RelayMetrics?
    let webhooks: WebhookDispatcher

    var observe: @Sendable (DeliveryEvent) -> Void {
        let (demo, metrics, webhooks) = (demo, metrics, webhooks)
        return { event in
            metrics?.observe(event)
            // The events of these deliveries are stored by now.
            switch event {
            case .ended, .suppressed: webhooks.wake()
            default: break
            }
            guard let demo else { return }
            if case .suppressed(let delivery) = event { return demo.sent(delivery, "Suppressed") }
            guard case .ended(let delivery, let settlement) = event else { return }
            switch settlement.result {
            case .simulated: demo.sent(delivery, "Sent (simulated)")
            case .sent: demo.sent(delivery, "Sent")
            case .failed: demo.sent(delivery, "Failed (\(settlement.reason ?? "no reason known"))")
            case .retry, .released: break
            }
        }
    }
}

/// Replaces SES if no region is set: live messages wait.
private struct UnconfiguredTransport: Transport {
    var executor: (any TaskExecutor)? { nil }

    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        .laneHeld(
            DeliveryOutcome.Cause("not-configured", "live keys need SES: set ses.region and restart the relay"),
            alert: true)
    }
}

// MARK: Services

/// Returns when a signal asks the relay to stop. The other services then stop too.
private struct EndingService: Service {
    let ending: UnixSignalsSequence

    func run() async {
        for await _ in ending.cancelOnGracefulShutdown() { return }
    }
}

private struct WorkerService: Service {
    let worker: DeliveryWorker

    func run() async { await cancelWhenGracefulShutdown { await worker.run() } }
}

private struct WebhookService: Service {
    let dispatcher: WebhookDispatcher

    func run() async { await cancelWhenGracefulShutdown { await dispatcher.run() } }
}

/// Ends the look-ups after the servers have answered their requests.
private struct DomainsService: Service {
    let domains: SendingDomains

    func run() async throws {
        try await gracefulShutdown()
        domains.shutdown()
    }
}

private struct SenderReportService: Service {
    let reporter: SenderReporter

    func run() async { await cancelWhenGracefulShutdown { await reporter.run() } }
}

private struct LiveService: Service {
    let worker: DeliveryWorker
    let transport: SESTransport?

    func run() async {
        await cancelWhenGracefulShutdown { await worker.run() }
        await transport?.shutdown()
    }
}

private struct AdmissionService: Service {
    let admission: Admission

    func run() async {
        await cancelWhenGracefulShutdown { await admission.run() }
        await admission.flushActivity()
    }
}

private struct ServersService: Service {
    let smtp: SMTPServer
    let http: HTTPServer

    func run() async throws {
        try await gracefulShutdown()
        async let web: Void = http.shutdown(within: Relay.drainTime)
        await smtp.shutdown(within: Relay.drainTime)
        await web
    }
}

/// Deletes what the retention settings no longer keep.
private struct Upkeep: Service {
    let store: any RelayStore
    let settings: Current<RelaySettings>
    let clock: any RelayClock
    let logger: Logger

    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    // One batch at a time, with time for other work in between.
                    while try await store.prune(settings.value.retention, now: clock.now()), !Task.isCancelled {
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
}
