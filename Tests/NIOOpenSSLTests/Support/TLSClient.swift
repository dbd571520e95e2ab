internal import COpenSSL
import NIOCore
import NIOOpenSSL

/// A TLS client that uses OpenSSL. Its wire is two buffers in memory, so that a test decides what arrives, when, and in
/// which pieces. It accepts any certificate unless told otherwise.
final class TLSClient {
    struct Options {
        var versions: ClosedRange<Int32> = TLS1_2_VERSION...TLS1_3_VERSION
        var signatureAlgorithms: String?
        /// Suites of TLS 1.2 and older.
        var ciphers: String?
        var groups: String?
        var serverName: String? = "mail.example"
        /// PEM certificates to verify the server against; nil verifies nothing.
        var trusted: [UInt8]?
        var session: Session?

        static func only(_ version: TLSVersion) -> Options {
            let number = version == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
            return Options(versions: number...number)
        }
    }

    /// What a later connection needs to resume this one.
    final class Session {
        fileprivate let pointer: OpaquePointer
        fileprivate init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { SSL_SESSION_free(self.pointer) }
    }

    struct SetupError: Error {
        var message: String
    }

    /// The prepared options, for any number of clients. To prepare them is most of the cost of a client.
    final class Context {
        fileprivate let pointer: OpaquePointer
        fileprivate let options: Options

        init(_ options: Options) throws {
            ERR_clear_error()
            guard let pointer = SSL_CTX_new(TLS_client_method()) else { throw SetupError(message: "SSL_CTX_new") }
            self.pointer = pointer
            self.options = options
            guard TLSClient.configure(pointer, options) else {
                throw SetupError(message: "the client's options: \(options)")
            }
        }

        deinit { SSL_CTX_free(self.pointer) }
    }

    private let ssl: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer

    /// Plaintext from the server.
    private(set) var received: [UInt8] = []
    private(set) var hasReceivedCloseNotify = false
    /// OpenSSL's reason for the failure of the connection, if it has failed.
    private(set) var failure: String?
    /// The fatal alert from the server that made the connection fail.
    private(set) var alert: UInt8?

    convenience init(_ options: Options = Options()) throws { try self.init(Context(options)) }

    init(_ context: Context) throws {
        ERR_clear_error()
        guard let ssl = SSL_new(context.pointer), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw SetupError(message: "SSL_new") }
        if let name = context.options.serverName { _ = COpenSSL_SSL_set_tlsext_host_name(ssl, name) }
        if let session = context.options.session { _ = SSL_set_session(ssl, session.pointer) }
        SSL_set_bio(ssl, incoming, outgoing)
        SSL_set_connect_state(ssl)
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
    }

    deinit {
        // Without this, OpenSSL would treat the session of a connection without close_notify as broken.
        SSL_set_shutdown(self.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        SSL_free(self.ssl)
    }

    private static func configure(_ context: OpaquePointer, _ options: Options) -> Bool {
        // Old versions and suites are allowed here, because the server must refuse them, not the client.
        SSL_CTX_set_security_level(context, 0)
        guard COpenSSL_SSL_CTX_set_min_proto_version(context, options.versions.lowerBound) == 1,
            COpenSSL_SSL_CTX_set_max_proto_version(context, options.versions.upperBound) == 1,
            options.signatureAlgorithms.map({ COpenSSL_SSL_CTX_set1_sigalgs_list(context, $0) }) ?? 1 == 1,
            options.ciphers.map({ SSL_CTX_set_cipher_list(context, $0) }) ?? 1 == 1,
            options.groups.map({ COpenSSL_SSL_CTX_set1_groups_list(context, $0) }) ?? 1 == 1
        else { return false }
        if let trusted = options.trusted {
            Self.trust(trusted, in: context)
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        }
        return true
    }

    private static func trust(_ certificates: [UInt8], in context: OpaquePointer) {
        guard let bio = BIO_new_mem_buf(certificates, Int32(certificates.count)) else { return }
        defer { BIO_free(bio) }
        while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) {
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate)
            X509_free(certificate)
        }
        ERR_clear_error()
    }

    // MARK: - The wire

    func receive(_ ciphertext: ByteBuffer) {
        ciphertext.withUnsafeReadableBytes { bytes in
            _ = BIO_write(self.incoming, bytes.baseAddress, Int32(bytes.count))
        }
    }

    func takeOutput() -> ByteBuffer? {
        let count = BIO_ctrl_pending(self.outgoing)
        guard count > 0 else { return nil }
        var buffer = ByteBuffer()
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            Int(BIO_read(self.outgoing, target.baseAddress, Int32(count)))
        }
        return buffer
    }

    // MARK: - TLS

    /// Continues the handshake, or reads the data that has arrived.
    func advance() {
        guard self.failure == nil, !self.hasReceivedCloseNotify else { return }
        if SSL_is_init_finished(self.ssl) == 0, !self.note({ SSL_do_handshake(self.ssl) }) { return }
        var chunk = [UInt8](repeating: 0, count: 16_384)
        var count = 0
        while self.note({ SSL_read_ex(self.ssl, &chunk, chunk.count, &count) }) {
            self.received.append(contentsOf: chunk[..<count])
        }
    }

    func write(_ bytes: [UInt8]) {
        var count = 0
        _ = self.note { SSL_write_ex(self.ssl, bytes, bytes.count, &count) }
    }

    func write(_ text: String) { self.write(Array(text.utf8)) }

    /// Sends `close_notify`.
    func closeOutput() {
        ERR_clear_error()
        _ = SSL_shutdown(self.ssl)
    }

    /// TLS 1.2: asks for another handshake.
    func renegotiate() { _ = self.note { SSL_renegotiate(self.ssl) } && self.note { SSL_do_handshake(self.ssl) } }

    /// TLS 1.3: takes new keys for the data of the client, and asks the server to do the same.
    func updateKeys() {
        _ = self.note { SSL_key_update(self.ssl, SSL_KEY_UPDATE_REQUESTED) } && self.note { SSL_do_handshake(self.ssl) }
    }

    /// - Returns: whether `call` succeeded. If it failed, its reason is kept, unless it only waits for input.
    private func note(_ call: () -> Int32) -> Bool {
        ERR_clear_error()
        let result = call()
        if result == 1 { return true }
        switch SSL_get_error(self.ssl, result) {
        case SSL_ERROR_WANT_READ: break
        case SSL_ERROR_ZERO_RETURN: self.hasReceivedCloseNotify = true
        default:
            let code = ERR_get_error()
            let reason = COpenSSL_ERR_GET_REASON(code)
            self.failure = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
            if reason >= SSL_AD_REASON_OFFSET { self.alert = UInt8(truncatingIfNeeded: reason - SSL_AD_REASON_OFFSET) }
            ERR_clear_error()
        }
        return false
    }

    // MARK: - Results

    var isEstablished: Bool { self.failure == nil && SSL_is_init_finished(self.ssl) == 1 }
    var isResumed: Bool { SSL_session_reused(self.ssl) == 1 }
    var receivedText: String { String(decoding: self.received, as: UTF8.self) }

    /// `RSA` or `EC`, by the certificate that the server sent.
    var serverKeyType: String? {
        guard let certificate = SSL_get1_peer_certificate(self.ssl) else { return nil }
        defer { X509_free(certificate) }
        return switch EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) {
        case EVP_PKEY_RSA: "RSA"
        case EVP_PKEY_EC: "EC"
        case EVP_PKEY_ED25519: "ED25519"
        default: nil
        }
    }

    /// The session with the last ticket. With TLS 1.3, the ticket comes after the handshake, in the first
    /// ``advance()``.
    var session: Session? { SSL_get1_session(self.ssl).map(Session.init) }
}

/// Leaves an error in OpenSSL's queue of this thread, as code that forgets to clear it would.
func leaveErrorInQueue() {
    ERR_clear_error()
    // An empty text has no certificate.
    let empty = BIO_new(BIO_s_mem())
    _ = PEM_read_bio_X509(empty, nil, nil, nil)
    BIO_free(empty)
}
