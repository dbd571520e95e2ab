import RelayCore

/// One request to a receiver.
struct WebhookRequest: Sendable, Hashable {
    var url: WebhookURL
    var fields: [(name: String, value: String)] { signature.fields }
    var signature: WebhookSignature
    var body: [UInt8]
}

/// Makes one attempt at a call, and returns within the limit that the transport sets for a call.
protocol WebhookTransport: Sendable {
    func post(_ request: WebhookRequest, policy: WebhookAddressPolicy) async -> WebhookResult
    func shutdown() async
}

/// Finds the addresses of a host.
protocol AddressResolver: Sendable {
    /// The addresses in the order in which to try them. Returns within `time`.
    func addresses(of name: String, within time: Duration) async -> Result<[IPAddress], ResolverFailure>
}

/// Why a name has no address: a sentence without its full stop.
struct ResolverFailure: Error, Hashable, Sendable {
    var reason: String
}
