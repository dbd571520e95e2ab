internal import COpenSSL
import NIOOpenSSL

/// A client that uses OpenSSL correctly. Its wire is two buffers in memory.
final class Client {
    private struct SetupError: Error {}

    /// OpenSSL's context. It is made once for each version, because it is most of the cost of a client.
    private final class Context: Sendable {
        /// Any thread may use it, because it does not change any more and OpenSSL counts the references.
        nonisolated(unsafe) let pointer: OpaquePointer?

        init(_ version: Int32) {
            pointer = SSL_CTX_new(TLS_client_method())
            _ = COpenSSL_SSL_CTX_set_min_proto_version(pointer, version)
            _ = COpenSSL_SSL_CTX_set_max_proto_version(pointer, version)
        }
    }

    private static let tls12 = Context(TLS1_2_VERSION)
    private static let tls13 = Context(TLS1_3_VERSION)

    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer

    init(_ version: TLSVersion) throws {
        ERR_clear_error()
        let context = version == .tls13 ? Client.tls13 : Client.tls12
        guard let pointer = context.pointer, let ssl = SSL_new(pointer), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw SetupError() }
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_set_connect_state(ssl)
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
    }

    deinit { SSL_free(ssl) }

    var isEstablished: Bool { SSL_is_init_finished(ssl) == 1 }

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        ERR_clear_error()
        var count = 0
        _ = SSL_write_ex(ssl, bytes, bytes.count, &count)
        ERR_clear_error()
    }

    func takeOutput() -> [UInt8] {
        let count = BIO_ctrl_pending(outgoing)
        var bytes = [UInt8](repeating: 0, count: count)
        if count > 0 { BIO_read(outgoing, &bytes, Int32(count)) }
        return bytes
    }

    private func receive(_ bytes: [UInt8]) {
        if !bytes.isEmpty { BIO_write(incoming, bytes, Int32(bytes.count)) }
    }

    private func advance() {
        ERR_clear_error()
        if SSL_is_init_finished(ssl) == 0 {
            SSL_do_handshake(ssl)
        } else {
            // Reads the tickets and other messages that the server sends by itself.
            var byte: UInt8 = 0
            var count = 0
            while SSL_read_ex(ssl, &byte, 1, &count) == 1 {}
        }
        ERR_clear_error()
    }

    /// Moves octets both ways until neither side has any more. `change` may change the client's octets on the way to
    /// the server.
    func exchange(with server: Server, _ change: ([UInt8]) -> ArraySlice<UInt8> = { $0[...] }) {
        while true {
            advance()
            let mine = takeOutput()
            if !mine.isEmpty { server.deliver(change(mine)) }
            let answer = server.takeOutput()
            if mine.isEmpty, answer.isEmpty { return }
            receive(answer)
        }
    }
}
