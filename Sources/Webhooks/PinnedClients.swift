import AsyncHTTPClient
import Logging
import NIOCore
import RelayCore
import Synchronization

/// HTTP clients, each of which connects to one address for one host and makes no look-up.
///
/// A client keeps its connections for 20 s after the last request, so that a receiver of many events is connected to
/// only once. A limited number of unused clients is kept.
final class PinnedClients: Sendable {
    struct Target: Hashable, Sendable {
        /// The host as in the URL. The certificate must have this name too.
        var host: String
        var address: IPAddress
    }

    private struct Entry {
        var client: HTTPClient
        var users = 0
        var usedAt = 0
    }

    private struct State {
        var entries: [Target: Entry] = [:]
        var count = 0
        var isShutDown = false
    }

    private let group: any EventLoopGroup
    private let connectTimeout: Duration
    private let kept: Int
    private let state = Mutex(State())

    /// - Parameter kept: the largest number of unused clients that are kept. Each has a TLS context of about 2 MB.
    init(group: any EventLoopGroup, connectTimeout: Duration, kept: Int = 16) {
        self.group = group
        self.connectTimeout = connectTimeout
        self.kept = kept
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Runs `body` with the client of `target`; nil after the shutdown.
    func with<Result>(_ target: Target, _ body: (HTTPClient) async -> Result) async -> Result? {
        guard let client = take(target) else { return nil }
        let result = await body(client)
        if let unused = giveBack(target) { try? await unused.shutdown() }
        return result
    }

    private func take(_ target: Target) -> HTTPClient? {
        state.withLock { state in
            guard !state.isShutDown else { return nil }
            var entry = state.entries[target] ?? Entry(client: makeClient(target))
            state.count += 1
            entry.usedAt = state.count
            entry.users += 1
            state.entries[target] = entry
            return entry.client
        }
    }

    /// Ends a client's use. Returns a client that is no longer kept and must be shut down; nil if there is none.
    private func giveBack(_ target: Target) -> HTTPClient? {
        state.withLock { state in
            state.entries[target]?.users -= 1
            let unused = state.entries.filter { $0.value.users == 0 }
            guard unused.count > (state.isShutDown ? 0 : kept),
                let oldest = unused.min(by: { $0.value.usedAt < $1.value.usedAt })
            else { return nil }
            state.entries[oldest.key] = nil
            return oldest.value.client
        }
    }

    private func makeClient(_ target: Target) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .milliseconds(connectTimeout.wholeMilliseconds)))
        configuration.httpVersion = .http1Only
        configuration.tracing.tracer = nil
        configuration.connectionPool.idleTimeout = .seconds(20)
        // Webhooks of several keys may lead to one host. The number of running calls is limited before this point. A
        // call must not wait for a connection that another webhook's call holds, because the wait would count as a
        // failure of the call that waits.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = WebhookMachine.Limits().calls
        // The schedule of calls decides about retries.
        configuration.connectionPool.retryConnectionEstablishment = false
        // TLS still requests this name and verifies it.
        configuration.dnsOverride = [target.host: "\(target.address)"]
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
    }

    /// Shuts down the unused clients now, and the others when their use ends.
    func shutdown() async {
        let unused = state.withLock { state in
            state.isShutDown = true
            let unused = state.entries.filter { $0.value.users == 0 }
            for target in unused.keys { state.entries[target] = nil }
            return unused.values.map(\.client)
        }
        for client in unused { try? await client.shutdown() }
    }
}
