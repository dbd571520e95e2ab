internal import COpenSSL
import NIOCore
import NIOEmbedded
import NIOOpenSSL
import RelayCore

extension Workload {
    /// Both ends of TLS 1.3 in one thread: the relay's handler in a channel without a socket, and a client of
    /// OpenSSL's.
    static let encrypting = [
        Workload("TLS, both ends: handshake, ECDSA P-256", repetitions: 10) {
            let contexts = try TLSContexts()
            return { count in
                for _ in 0..<count { try TLSPair(contexts).close() }
            }
        },
        Workload("TLS, both ends: 4 KB in, a reply out") {
            let contexts = try TLSContexts()
            let message = sampleMessage()
            let reply = ByteBuffer(string: "250 2.0.0 Ok: queued as 0123456789abc\r\n")
            return { count in
                // An embedded channel must stay on its thread, so it is made here. The measurement includes its
                // handshake, once for a thousand messages.
                let pair = try TLSPair(contexts)
                for _ in 0..<count {
                    guard try pair.send(message) == message.count else { throw UnexpectedResult("octets are missing") }
                    try pair.answer(reply)
                }
            }
        },
    ]
}

/// TLS contexts that are made once for many connections, as in the relay and in its clients.
private final class TLSContexts {
    let server: TLSServerContext
    let client: OpaquePointer

    init() throws {
        let identity = try TLSIdentity.selfSigned(
            hostnames: ["localhost"], now: SystemClock().now().milliseconds / 1000)
        server = try TLSServerContext(TLSConfiguration(identities: [identity]))
        guard let client = SSL_CTX_new(TLS_client_method()) else { throw UnexpectedResult("OpenSSL is out of memory") }
        self.client = client
    }

    deinit { SSL_CTX_free(client) }
}

/// A server's channel and a client. There is no network: `carry` copies the octets between them.
private final class TLSPair {
    private let channel: EmbeddedChannel
    private let client: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private var octets = [UInt8](repeating: 0, count: 16_384)

    init(_ contexts: TLSContexts) throws {
        channel = EmbeddedChannel(handler: TLSServerHandler(context: contexts.server))
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/client")).wait()
        guard let client = SSL_new(contexts.client), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw UnexpectedResult("OpenSSL is out of memory") }
        (self.client, self.incoming, self.outgoing) = (client, incoming, outgoing)
        SSL_set_bio(client, incoming, outgoing)
        SSL_set_connect_state(client)
        while SSL_do_handshake(client) != 1 {
            guard try carry() else { throw UnexpectedResult("the handshake stands still") }
        }
        _ = try carry()
    }

    deinit { SSL_free(client) }

    /// Brings the client's octets to the server and the server's to the client. Returns whether there were any.
    private func carry() throws -> Bool {
        var hasMoved = false
        let pending = BIO_ctrl_pending(outgoing)
        if pending > 0 {
            var ciphertext = channel.allocator.buffer(capacity: pending)
            ciphertext.writeWithUnsafeMutableBytes(minimumWritableBytes: pending) {
                Int(BIO_read(outgoing, $0.baseAddress, Int32(pending)))
            }
            try channel.writeInbound(ciphertext)
            hasMoved = true
        }
        while let ciphertext = try channel.readOutbound(as: ByteBuffer.self) {
            ciphertext.withUnsafeReadableBytes { _ = BIO_write(incoming, $0.baseAddress, Int32($0.count)) }
            hasMoved = true
        }
        return hasMoved
    }

    /// Returns how many octets the server decrypted.
    func send(_ message: [UInt8]) throws -> Int {
        var count = 0
        guard SSL_write_ex(client, message, message.count, &count) == 1 else { throw UnexpectedResult("SSL_write_ex") }
        _ = try carry()
        var received = 0
        while let plaintext = try channel.readInbound(as: ByteBuffer.self) { received += plaintext.readableBytes }
        return received
    }

    func answer(_ reply: ByteBuffer) throws {
        try channel.writeOutbound(reply)
        _ = try carry()
        var count = 0
        guard SSL_read_ex(client, &octets, octets.count, &count) == 1, count == reply.readableBytes else {
            throw UnexpectedResult("the reply did not arrive")
        }
    }

    func close() throws { _ = try channel.finish(acceptAlreadyClosed: true) }
}
