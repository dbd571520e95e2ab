import Domains
import ServiceLifecycle

/// The sending domains. Ends their look-ups after the servers have answered their requests.
struct DomainsPart: RelayPart {
    let domains: SendingDomains

    func run(among _: RelayParts) async throws {
        try await gracefulShutdown()
        domains.shutdown()
    }
}
