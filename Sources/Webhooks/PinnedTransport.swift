import AWSClient
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

/// Posts a call: looks up the host, checks its addresses, and connects to one that was checked.
///
/// There is no look-up between the check and the connection, so a name that changes its address in between has no
/// effect. The certificate must be valid for the host's name. Redirects are not followed.
struct PinnedTransport: WebhookTransport {
    private let resolver: any AddressResolver
    private let clients: PinnedClients
    private let clock: any RelayClock
    private let deadlines: Deadlines
    private let limit: Duration
    private let agent: String
    private let stopResolver: @Sendable () -> Void

    /// How long a receiver may take to respond, including the look-up and the connection.
    static let limit = Duration.seconds(15)
    /// How long a connection may take, including TLS. This leaves time for a second address.
    static let connectTimeout = Duration.seconds(6)
    /// The most addresses of a host that are tried for one call.
    static let mostAddresses = 2

    init(
        resolver: any AddressResolver, group: any EventLoopGroup, clock: any RelayClock, agent: String,
        limit: Duration = PinnedTransport.limit, stopResolver: @escaping @Sendable () -> Void = {}
    ) {
        self.resolver = resolver
        self.clock = clock
        self.limit = limit
        self.agent = agent
        self.stopResolver = stopResolver
        deadlines = Deadlines(clock: clock)
        clients = PinnedClients(group: group, connectTimeout: PinnedTransport.connectTimeout)
    }

    func post(_ request: WebhookRequest, policy: WebhookAddressPolicy) async -> WebhookResult {
        let deadline = clock.monotonicNow() + limit
        let found: [IPAddress]
        switch request.url.host {
        case .address(let address): found = [address]
        case .name(let name):
            switch await resolver.addresses(of: name, within: limit) {
            case .success(let addresses): found = addresses
            case .failure(let failure): return .failed(failure.reason)
            }
        }
        switch policy.permitted(found, for: request.url) {
        case .failure(let mistake): return .failed("the URL \(mistake.explanation)")
        case .success(let addresses): return await post(request, to: addresses, until: deadline)
        }
    }

    private func post(
        _ request: WebhookRequest, to addresses: [IPAddress], until deadline: MonotonicTime
    ) async -> WebhookResult {
        var result = WebhookResult.failed("the receiver has not answered within \(limit.wholeMilliseconds / 1000) s")
        for address in addresses.prefix(PinnedTransport.mostAddresses) {
            let left = deadline - clock.monotonicNow()
            guard left > .zero else { break }
            let target = PinnedClients.Target(host: request.url.hostText, address: address)
            let posted = await clients.with(target) { await post(request, with: $0, within: left) }
            guard let posted else { return .failed("the relay is stopping") }
            result = posted.result
            // A second address is only for a connection that could not be made: a request is never sent twice in one
            // attempt.
            if posted.wasSent { break }
        }
        return result
    }

    private func post(
        _ request: WebhookRequest, with client: HTTPClient, within time: Duration
    ) async -> (result: WebhookResult, wasSent: Bool) {
        var headers = HTTPHeaders([("Content-Type", "application/json"), ("User-Agent", agent)])
        for (name, value) in request.fields { headers.add(name: name, value: value) }
        let http: HTTPClient.Request
        do {
            http = try HTTPClient.Request(
                url: request.url.text, method: .POST, headers: headers, body: .bytes(request.body))
        } catch {
            return (.failed("the URL can't be called"), true)
        }
        // The client's library parses the URL again. It must find the host that was checked.
        guard http.host == request.url.hostText || "[\(http.host)]" == request.url.hostText,
            http.port == request.url.port
        else { return (.failed("the URL can't be called"), true) }
        let excerpt = ResponseExcerpt()
        let task = client.execute(request: http, delegate: excerpt)
        let number = deadlines.begin(within: time) { task.fail(reason: TimedOut()) }
        defer { deadlines.ended(number) }
        do {
            try await task.get()
            return (excerpt.result ?? .failed("there was no response"), true)
        } catch {
            return (excerpt.result ?? .failed(reason(error)), excerpt.wasSent || error is TimedOut)
        }
    }

    private struct TimedOut: Error {}

    private func reason(_ error: any Error) -> String {
        switch error {
        case is TimedOut: return "the receiver has not answered within \(limit.wholeMilliseconds / 1000) s"
        // The full description of some of these errors repeats header fields.
        case let error as HTTPClientError: return ForeignText.bounded(error.shortDescription, 200)
        default:
            let description = ForeignText.connectionFailure(error) ?? String(describing: error)
            if let reason = ForeignText.tlsReason(in: description) { return "TLS failed: \(reason)" }
            return ForeignText.bounded(description, 200)
        }
    }

    func shutdown() async {
        stopResolver()
        await clients.shutdown()
    }
}
