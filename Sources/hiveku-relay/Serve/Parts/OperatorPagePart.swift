import Admission
import Domains
import Listening
import Logging
import NIOCore
import OperatorPage
import RelayCore
import ServiceLifecycle
import Settings

/// Serves the operator's page, and keeps the index of words for the page's search up to date.
struct OperatorPagePart: RelayPart {
    let server: OperatorPageServer
    let store: any RelayStore
    let clock: any RelayClock
    let logger: Logger

    /// Nil if there is no page.
    ///
    /// - Parameters:
    ///   - smtpPort: the port with STARTTLS; nil if there is none.
    ///   - apiPort: the port of the HTTP API; nil if there is none that a browser or curl can name.
    static func start(
        _ settings: RelaySettings, smtpPort: Int?, apiPort: Int?, admission: Admission, store: any RelayStore,
        domains: SendingDomains, clock: any RelayClock,
        group: any EventLoopGroup, logger: Logger
    ) async throws -> OperatorPagePart? {
        guard let listen = settings.admin.listen else { return nil }
        let server = try await OperatorPageServer.start(
            ListenPlace(listen), configuration: .init(settings, smtpPort: smtpPort, apiPort: apiPort),
            admission: admission, store: store, domains: domains, clock: clock,
            group: group, logger: logger)
        logger.notice("the operator's page is listening", metadata: ["address": "\(server.address)"])
        return OperatorPagePart(server: server, store: store, clock: clock, logger: logger)
    }

    func run(among _: RelayParts) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await gracefulShutdown()
                await server.shutdown(within: .seconds(5))
            }
            group.addTask { await cancelWhenGracefulShutdown { await index() } }
        }
    }

    /// Adds messages to the index a few seconds after they were accepted. Indexing many messages at a time costs less
    /// than indexing each one by itself, and accepting a message writes nothing to the index.
    private func index() async {
        while !Task.isCancelled {
            do {
                while try await store.indexWords() > 0 {
                    // The pause leaves the store to other work in between.
                    try await clock.sleep(until: clock.now() + .milliseconds(50))
                }
            } catch is CancellationError {
                return
            } catch {
                logger.error("adding messages to the search index failed", metadata: ["error": "\(error)"])
            }
            do { try await clock.sleep(until: clock.now() + .seconds(5)) } catch { return }
        }
    }
}

extension OperatorPageConfiguration {
    /// - Parameters:
    ///   - smtpPort: the port with STARTTLS; nil if there is none.
    ///   - apiPort: the port of the HTTP API; nil if there is none that a browser or curl can name.
    init(_ settings: RelaySettings, smtpPort: Int?, apiPort: Int?) {
        self.init(
            hostname: settings.hostname, version: relayVersion,
            smtp: smtpPort.map { (Self.smtpHost(settings), $0) }, api: apiPort.flatMap { Self.api(settings, port: $0) },
            webhookAddresses: WebhookAddressPolicy(settings.webhooks))
    }

    private static func smtpHost(_ settings: RelaySettings) -> String {
        for case .address(.startTLS, let host, _, _) in settings.listen { return name(host, settings) }
        return settings.hostname
    }

    private static func api(_ settings: RelaySettings, port: Int) -> String? {
        for listener in settings.http.listen {
            switch listener {
            case .address(let security, let host, _, _):
                return url(security, name(host, settings), port)
            case .inheritedSockets: return url(port == 443 ? .https : .http, settings.hostname, port)
            case .unix: continue
            }
        }
        return nil
    }

    private static func url(_ security: RelaySettings.HTTP.Listener.Security, _ host: String, _ port: Int) -> String {
        let isUsual = port == (security == .https ? 443 : 80)
        return "\(security.rawValue)://\(host.contains(":") ? "[\(host)]" : host)\(isUsual ? "" : ":\(port)")"
    }

    /// A listener on all addresses is reached under the relay's host name.
    private static func name(_ host: String, _ settings: RelaySettings) -> String {
        host == "0.0.0.0" || host == "::" ? settings.hostname : host
    }
}
