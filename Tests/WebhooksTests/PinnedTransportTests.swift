import AWSTestSupport
import NIOPosix
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Webhooks

@Suite("The connection to a receiver") struct PinnedTransportTests {
    /// Gives the answers in order, and repeats the last one.
    private final class ScriptedResolver: AddressResolver {
        private let state: Mutex<(answers: [[String]], lookUps: Int)>

        init(_ answers: [String]...) { state = Mutex((answers, 0)) }

        var lookUps: Int { state.withLock { $0.lookUps } }

        func addresses(of name: String, within time: Duration) async -> Result<[IPAddress], ResolverFailure> {
            let texts = state.withLock { state in
                state.lookUps += 1
                return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
            }
            return texts.isEmpty
                ? .failure(ResolverFailure(reason: "no address is known"))
                : .success(texts.compactMap { IPAddress($0) })
        }
    }

    private let clock = ManualClock.forCalls()

    private func request(_ url: String) throws -> WebhookRequest {
        let body = Array("{}".utf8)
        return WebhookRequest(
            url: try WebhookURL(url),
            signature: WebhookSignature(id: "evt_1", body: body, secrets: [webhook().secret], at: clock.now()),
            body: body)
    }

    private func local() throws -> WebhookAddressPolicy {
        WebhookAddressPolicy(privateNetworks: [try NetworkBlock("127.0.0.0/8")])
    }

    private func with<Result>(
        _ resolver: ScriptedResolver, _ body: (PinnedTransport) async throws -> Result
    ) async rethrows -> Result {
        let transport = PinnedTransport(
            resolver: resolver, group: MultiThreadedEventLoopGroup.singleton, clock: clock, agent: "test/1")
        let result = try await body(transport)
        await transport.shutdown()
        return result
    }

    @Test("A call goes to the address that was checked, and has the name in Host") func pinned() async throws {
        try await StandIn.with(whole: { _, _ in .answer(200, [:], "thanks") }) { server in
            let resolver = ScriptedResolver(["127.0.0.1"])
            try await with(resolver) { transport in
                let result = await transport.post(
                    try request("http://hook.example:\(server.port)/in?a=b"), policy: try local())
                #expect(result == .answered(status: 200, retryAfter: nil, excerpt: "thanks"))
            }
            #expect(resolver.lookUps == 1)
            let got = try #require(server.requests.first)
            #expect(got.method == "POST" && got.path == "/in?a=b" && got.body == Array("{}".utf8))
            #expect(got.header("Host") == "hook.example:\(server.port)")
            #expect(got.header("Content-Type") == "application/json" && got.header("User-Agent") == "test/1")
            #expect(got.header("webhook-id") == "evt_1")
        }
    }

    @Test("The relay does not connect to a name whose address is now private") func rebinding()
        async throws
    {
        try await StandIn.with(whole: { _, _ in .answer(200) }) { server in
            let policy = WebhookAddressPolicy(privateNetworks: [try NetworkBlock("127.0.0.1")])
            let resolver = ScriptedResolver(["127.0.0.1"], ["127.0.0.2"], ["::1"], ["::ffff:127.0.0.3"], [])
            try await with(resolver) { transport in
                let request = try request("http://hook.example:\(server.port)/")
                #expect(await transport.post(request, policy: policy).isSuccess)
                for _ in 0..<4 {
                    guard case .failed = await transport.post(request, policy: policy) else {
                        Issue.record("connected to an address that is not allowed")
                        return
                    }
                }
            }
            #expect(server.requests.count == 1)
        }
    }

    @Test("Without exempt networks, no address of this machine is reached") func loopback() async throws {
        try await StandIn.with(whole: { _, _ in .answer(200) }) { server in
            try await with(ScriptedResolver(["127.0.0.1"])) { transport in
                for url in [
                    "https://hook.example:\(server.port)/", "https://127.0.0.1:\(server.port)/",
                    "https://[::1]:\(server.port)/",
                ] {
                    let result = await transport.post(try request(url), policy: WebhookAddressPolicy())
                    #expect(result.status == nil)
                    #expect(result.response.mentions("public", "webhooks.private_networks"))
                }
            }
            #expect(server.requests.isEmpty)
        }
    }

    /// The client's library reads the URL again, and must find the same host and port.
    @Test(
        "Literal addresses are called as they are",
        arguments: [
            "https://[::1]:9/", "https://[::1]/", "http://127.0.0.1:9/", "http://127.0.0.1/", "https://127.0.0.1/",
        ])
    func literals(url: String) async throws {
        let policy = WebhookAddressPolicy(privateNetworks: try ["127.0.0.1", "::1"].map { try NetworkBlock($0) })
        try await with(ScriptedResolver([])) { transport in
            let result = await transport.post(try request(url), policy: policy)
            // The relay's own refusals are about the URL, and the resolver above knows no address. A failure to
            // connect is neither.
            #expect(!result.response.contains("URL") && !result.response.contains("no address"))
        }
    }

    @Test("A redirect is an answer, and is not followed") func redirect() async throws {
        try await StandIn.with(whole: { _, _ in .answer(302, ["Location": "/elsewhere"], "") }) { server in
            try await with(ScriptedResolver(["127.0.0.1"])) { transport in
                let result = await transport.post(
                    try request("http://hook.example:\(server.port)/"), policy: try local())
                #expect(result.status == 302)
            }
            #expect(server.requests.count == 1)
        }
    }

    @Test("If the connection to the first address fails, the second is tried") func second() async throws {
        try await StandIn.with(whole: { _, _ in .answer(204, [:], "") }) { server in
            try await with(ScriptedResolver(["127.0.0.9", "127.0.0.1"])) { transport in
                let result = await transport.post(
                    try request("http://hook.example:\(server.port)/"), policy: try local())
                #expect(result.status == 204)
            }
        }
    }

    @Test("A call to a receiver that does not answer fails after 15 s") func silence() async throws {
        try await StandIn.with(whole: { _, _ in .silence }) { server in
            try await with(ScriptedResolver(["127.0.0.1"])) { transport in
                async let result = transport.post(
                    try request("http://hook.example:\(server.port)/"), policy: try local())
                await server.received(1)
                // The test waits a second more, because the timer is a millisecond late on purpose.
                clock.advance(.seconds(16))
                let told = try await result
                #expect(told.status == nil && told.response.contains("15 s"))
            }
        }
    }

    @Test("Only the part of an answer that is kept is read") func long() async throws {
        let long = String(repeating: "x", count: 1 << 20)
        try await StandIn.with(whole: { _, _ in .answer(500, ["Retry-After": "7"], long) }) { server in
            try await with(ScriptedResolver(["127.0.0.1"])) { transport in
                let result = await transport.post(
                    try request("http://hook.example:\(server.port)/"), policy: try local())
                #expect(result == .answered(status: 500, retryAfter: "7", excerpt: String(long.prefix(1024))))
            }
        }
    }

    @Test("The kept part of an answer is UTF-8 without control characters") func excerpt() {
        let octets = [UInt8](repeating: 0xFF, count: 1024)
        #expect(ResponseExcerpt.text(octets).utf8.count <= WebhookAttempt.longestResponse)
        #expect(ResponseExcerpt.text(Array("a\u{1B}[31m\n".utf8)) == "a [31m ")
    }

    @Test("The number of unused clients that are kept is bounded") func bounded() async throws {
        let clients = PinnedClients(group: MultiThreadedEventLoopGroup.singleton, connectTimeout: .seconds(1), kept: 2)
        for number in 1...20 {
            let target = PinnedClients.Target(host: "h\(number).example", address: IPAddress(ipv4: UInt32(number)))
            #expect(await clients.with(target) { _ in true } == true)
            #expect(clients.count <= 2)
        }
        await clients.shutdown()
        #expect(clients.count == 0)
        #expect(await clients.with(.init(host: "late.example", address: IPAddress(ipv4: 1))) { _ in true } == nil)
    }
}
