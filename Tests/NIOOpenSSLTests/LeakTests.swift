internal import COpenSSL
import Foundation
import NIOCore
import NIOOpenSSL
import Synchronization
import Testing

/// Thousands of connections that end in different ways. Each test runs in its own process, so that it measures only its
/// own memory.
@Suite struct LeakTests {
    /// The number of OpenSSL's allocations that have not been freed.
    static let allocations = Atomic<Int>(0)

    /// Begins to count OpenSSL's allocations. Returns whether that is possible: it must be called before anything uses
    /// OpenSSL.
    static func countAllocations() -> Bool {
        CRYPTO_set_mem_functions(
            { count, _, _ in
                let pointer = malloc(count)
                if pointer != nil { LeakTests.allocations.add(1, ordering: .relaxed) }
                return pointer
            },
            { old, count, _, _ in
                let pointer = realloc(old, count)
                if old == nil, pointer != nil { LeakTests.allocations.add(1, ordering: .relaxed) }
                if old != nil, pointer == nil, count == 0 { LeakTests.allocations.subtract(1, ordering: .relaxed) }
                return pointer
            },
            { pointer, _, _ in
                if pointer != nil { LeakTests.allocations.subtract(1, ordering: .relaxed) }
                free(pointer)
            }) == 1
    }

    /// Resident memory, in octets.
    static func residentMemory() throws -> Int {
        let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return try #require(fields.count > 1 ? Int(fields[1]) : nil) * sysconf(Int32(_SC_PAGESIZE))
    }

    /// Calls `body` many times. Expects that no call after the first quarter of the calls leaves anything in memory.
    static func expectNoLeak(rounds: Int, _ body: (TLSServerContext, Int) throws -> Void) throws {
        let context = try selfSignedContext()
        for round in 0..<rounds / 4 { try body(context, round) }
        let allocations = Self.allocations.load(ordering: .relaxed)
        let memory = try Self.residentMemory()
        for round in rounds / 4..<rounds { try body(context, round) }
        #expect(context.liveConnections == 0)
        // OpenSSL's own tables may grow by a few allocations.
        #expect(Self.allocations.load(ordering: .relaxed) - allocations < 20)
        // A loss of only 800 octets in each of 3,000 connections would reach this limit.
        #expect(try Self.residentMemory() - memory < 2_400_000)
    }

    @Test func `Thousands of handshakes leave nothing`() async {
        await #expect(processExitsWith: .success) {
            try #require(LeakTests.countAllocations(), "OpenSSL was in use already")
            let clients = try [TLSClient.Context(.only(.tls13)), TLSClient.Context(.only(.tls12))]
            try LeakTests.expectNoLeak(rounds: 4_000) { context, round in
                let server = try EmbeddedServer(context)
                let client = try TLSClient(clients[round % 2])
                try server.exchange(with: client)
                #expect(server.handler.isHandshakeComplete)
                client.write("QUIT\r\n")
                client.closeOutput()
                server.write("221 bye\r\n")
                try server.exchange(with: client)
                server.flush()
                // The server closes the connection, or the client and the network do.
                if round % 3 == 0 { server.disconnect() } else { server.close(.all) }
            }
        }
    }

    @Test func `Thousands of failures leave nothing`() async {
        await #expect(processExitsWith: .success) {
            try #require(LeakTests.countAllocations(), "OpenSSL was in use already")
            let clients = try [TLSClient.Context(.only(.tls13)), TLSClient.Context(.only(.tls12))]
            let distrustful = try TLSClient.Context(TLSClient.Options(trusted: []))
            try LeakTests.expectNoLeak(rounds: 2_000) { context, round in
                let server = try EmbeddedServer(context)
                switch round % 5 {
                case 0: server.deliver("GET / HTTP/1.1\r\n")
                case 1:  // the client leaves within the handshake
                    let client = try TLSClient(clients[round % 2])
                    client.advance()
                    server.deliverOutput(of: client)
                    server.disconnect()
                case 2:  // the client leaves within the ClientHello
                    let client = try TLSClient(clients[round % 2])
                    client.advance()
                    var hello = try #require(client.takeOutput())
                    server.deliver(try hello.take(50))
                    server.disconnect()
                case 3:  // the client does not trust the certificate
                    try server.exchange(with: TLSClient(distrustful))
                default:  // the client sends garbage after the handshake
                    try server.exchange(with: TLSClient(clients[round % 2]))
                    server.write("waiting")
                    server.deliver("QUIT\r\n")
                }
                #expect(server.application.errors.count == 1)
            }
        }
    }

    @Test func `Hundreds of contexts, good and bad, leave nothing`() async {
        await #expect(processExitsWith: .success) {
            try #require(LeakTests.countAllocations(), "OpenSSL was in use already")
            try LeakTests.expectNoLeak(rounds: 400) { context, round in
                let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime)
                switch round % 3 {
                case 0: _ = try TLSServerContext(TLSConfiguration(identities: [identity]))
                case 1:
                    #expect(throws: TLSConfigurationError.self) {
                        try TLSServerContext(TLSConfiguration(identities: [identity, identity]))
                    }
                default:
                    let other = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime)
                    let mixed = TLSIdentity(
                        certificateChain: identity.certificateChain, privateKey: other.privateKey)
                    #expect(throws: TLSConfigurationError.self) {
                        try TLSServerContext(TLSConfiguration(identities: [mixed]))
                    }
                }
                try context.ticketKeys.rotate()
            }
        }
    }
}
