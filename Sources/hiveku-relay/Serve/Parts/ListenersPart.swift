import HTTPServer
import Listening
import Logging
import NIOOpenSSL
import RelayCore
import SMTPServer
import ServiceLifecycle
import Settings
import Telemetry

/// The servers that clients reach, with the limits that they share. The servers run on event loops. This part shuts the
/// servers down.
struct ListenersPart: RelayPart {
    let smtp: SMTPServer
    let http: HTTPServer
    let limiter: ConnectionLimiter
    let proxyNetworks: ProxyNetworks
    let certificates: ReloadableTLSContext

    func run(among _: RelayParts) async throws {
        try await gracefulShutdown()
        async let web: Void = http.shutdown(within: Relay.drainTime)
        await smtp.shutdown(within: Relay.drainTime)
        await web
    }

    func reconfigure(_ settings: RelaySettings) {
        smtp.reconfigure(.init(settings))
        http.reconfigure(.init(settings))
        limiter.change(
            maximum: settings.submission.maximumConnections,
            maximumPerClient: settings.submission.maximumConnectionsPerClient)
        proxyNetworks.change(to: settings.proxyNetworks)
    }

    var readiness: [Health.Part] {
        let (smtp, http) = (smtp, http)
        return [
            .init("listeners") {
                guard smtp.isListening, http.isListening else {
                    throw Health.Problem("closed, the relay is stopping")
                }
            }
        ]
    }

    var scrapeSources: [ScrapeSource] {
        let (limiter, certificates) = (limiter, certificates)
        return [.openConnections { limiter.count }, .certificates { certificates.current.certificates }]
    }

    /// Logs where the servers listen.
    func announce(_ logger: Logger) {
        for bound in smtp.bound {
            var metadata: Logger.Metadata = [
                "address": "\(bound.description)",
                "tls": bound.listener.security == .startTLS ? "starttls" : "implicit",
            ]
            if bound.listener.takesProxyHeader { metadata["proxy_header"] = "required" }
            logger.notice("listening", metadata: metadata)
        }
        for bound in http.bound {
            var metadata: Logger.Metadata = [
                "address": "\(bound.description)", "http": bound.listener.isTLS ? "tls" : "clear",
            ]
            if bound.listener.takesProxyHeader { metadata["proxy_header"] = "required" }
            logger.notice("listening", metadata: metadata)
        }
    }
}
