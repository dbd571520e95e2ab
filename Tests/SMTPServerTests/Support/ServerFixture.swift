import Admission
import InternetMessage
import Listening
import NIOCore
import NIOEmbedded
import NIOOpenSSL
import RelayCore
import TestSupport
import Testing

@testable import SMTPServer

/// Everything that a connection needs, with a time that tests move forward.
final class ServerFixture: Sendable {
    let clock = ManualClock()
    let loop = NIOAsyncTestingEventLoop()
    let store: StubStore
    let logs = LogRecorder()
    let key: APIKey
    let service: SMTPService

    /// - Parameter plaintext: whether clients may authenticate without TLS. Most tests then need no handshake.
    init(
        limits: SendingLimits = SendingLimits(perSecond: 1000), plaintext: Bool = true,
        tls: ReloadableTLSContext? = nil,
        maximumConnections: Int = 100, maximumConnectionsPerClient: Int = 50, maximumMessageSize: Int = 8 << 20,
        authenticationTimeout: Duration = .seconds(60), maximumRecipients: Int = 100,
        rates: (any SharedRates)? = nil
    ) throws {
        store = StubStore(rates: rates)
        let (secret, stored) = Sample.key(createdAt: clock.now()) { key in
            key.limits = limits
            key.domains = [DomainPattern(normalised: "example.com")]
        }
        key = secret
        store.insertKey(stored)
        let admission = Admission(
            configuration: .init(
                hostname: "relay.example.com", maximumMessageSize: maximumMessageSize,
                maximumRecipients: maximumRecipients, maximumRateDelay: .seconds(5),
                preparation: PreparationPolicy()),
            store: store, clock: clock, logger: logs.logger, observe: { _ in })
        let configuration = SMTPServerConfiguration(
            hostname: "relay.example.com", maximumMessageSize: maximumMessageSize,
            maximumRecipients: maximumRecipients,
            idleTimeout: .seconds(300), authenticationTimeout: authenticationTimeout,
            plaintextAuthenticationNetworks: plaintext ? [try NetworkBlock("0.0.0.0/0")] : [])
        service = SMTPService(
            configuration: configuration, admission: admission, tls: tls,
            limiter: ConnectionLimiter(maximum: maximumConnections, maximumPerClient: maximumConnectionsPerClient))
    }

    var openConnections: Int { service.limiter.count }

    /// Moves both clocks forward. Timers of the event loop fire in their order.
    func advance(_ duration: Duration) async {
        clock.advance(duration)
        await loop.advanceTime(by: TimeAmount(duration))
    }

    /// Runs everything that other threads have given to the event loop.
    func settle() async { await loop.run() }

    /// The number of timers on the event loop. There is no public way to ask for it.
    func timers() async throws -> Int {
        let loop = loop
        return try await loop.executeInContext {
            var value: Any = loop
            for name in ["scheduledTasks", "_heap", "storage"] {
                value = try #require(Mirror(reflecting: value).children.first { $0.label == name }).value
            }
            return Mirror(reflecting: value).children.count
        }
    }

    /// A client that has connected and has read nothing yet.
    func connect(from address: IPAddress = Sample.client, implicitTLS: Bool = false) async throws -> Client {
        let client = try await Client(service: service, loop: loop, address: address, implicitTLS: implicitTLS)
        try await client.connect()
        return client
    }

    func greeted(from address: IPAddress = Sample.client) async throws -> Client {
        let client = try await connect(from: address)
        #expect(try await client.reply() == "220 relay.example.com ESMTP Hiveku Relay")
        #expect(try await client.say("EHLO client.example").hasPrefix("250-relay.example.com"))
        return client
    }

    func signedIn() async throws -> Client {
        let client = try await greeted()
        #expect(try await client.authenticate(key) == "235 2.7.0 Authentication successful")
        return client
    }
}

/// Waits for something that other threads are about to finish, such as the release of a last reference. Do not use it
/// for anything else: if the condition never becomes true, only the suite's time limit ends the wait.
func eventually(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() {
        if Task.isCancelled { return }
        await Task.yield()
    }
}
