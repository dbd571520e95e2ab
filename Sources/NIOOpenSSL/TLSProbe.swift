internal import COpenSSL

/// The client's side of TLS on a connected socket, for tools that look at a server. It verifies nothing and reports
/// what the server presents.
///
/// Calls block as long as the socket's own timeouts (`SO_RCVTIMEO`, `SO_SNDTIMEO`) allow, so it must not be used on an
/// event loop. It is not thread-safe. If the server has closed the connection, a write raises the signal SIGPIPE, so
/// the caller must ignore that signal.
public final class TLSProbe {
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    /// The server's own certificate.
    public let certificate: TLSCertificateInfo

    /// Does a TLS handshake over the socket. The caller keeps the ownership of the socket.
    ///
    /// - Parameter serverName: the host name that is requested from the server (SNI).
    /// - Throws: ``TLSError`` with the code `handshakeFailed`, or with `internalFailure` if OpenSSL can't begin the
    ///   handshake.
    public init(descriptor: Int32, serverName: String) throws(TLSError) {
        OpenSSLErrorQueue.clear()
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw Self.failure(.internalFailure) }
        guard let ssl = SSL_new(context) else {
            SSL_CTX_free(context)
            throw Self.failure(.internalFailure)
        }
        do throws(TLSError) {
            self.certificate = try Self.shakeHands(ssl, descriptor, serverName)
        } catch {
            SSL_free(ssl)
            SSL_CTX_free(context)
            throw error
        }
        self.context = context
        self.ssl = ssl
    }

    deinit {
        SSL_free(self.ssl)
        SSL_CTX_free(self.context)
    }

    private static func shakeHands(
        _ ssl: OpaquePointer, _ descriptor: Int32, _ serverName: String
    ) throws(TLSError) -> TLSCertificateInfo {
        // The certificate is only reported, not trusted.
        SSL_set_verify(ssl, SSL_VERIFY_NONE, nil)
        guard SSL_set_fd(ssl, descriptor) == 1, COpenSSL_SSL_set_tlsext_host_name(ssl, serverName) == 1 else {
            throw Self.failure(.internalFailure)
        }
        guard SSL_connect(ssl) == 1 else { throw Self.failure(.handshakeFailed) }
        guard let certificate = SSL_get1_peer_certificate(ssl) else {
            throw TLSError(.handshakeFailed, "the server has no certificate")
        }
        defer { X509_free(certificate) }
        guard let key = X509_get0_pubkey(certificate) else { throw Self.failure(.handshakeFailed) }
        // The peer's chain begins with its own certificate.
        let sent = SSL_get_peer_cert_chain(ssl).map { Int(OPENSSL_sk_num($0)) } ?? 1
        return TLSCertificateInfo(certificate, key: key, source: serverName, intermediates: max(0, sent - 1))
    }

    /// Reads at most `count` bytes. The result is empty after the server has sent close_notify.
    ///
    /// - Throws: `TLSError` with the code `truncated` if the connection ends in another way, if a record can't be read,
    ///   or if no data arrives in time.
    public func read(_ count: Int) throws(TLSError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        OpenSSLErrorQueue.clear()
        let status = SSL_read_ex(self.ssl, &bytes, count, &filled)
        guard status == 1 else {
            if SSL_get_error(self.ssl, status) == SSL_ERROR_ZERO_RETURN { return [] }
            throw Self.failure(.truncated)
        }
        return Array(bytes.prefix(filled))
    }

    /// Sends `bytes` as application data. It returns when they are in the socket's buffer.
    ///
    /// - Throws: `TLSError` with the code `truncated` if they can't be sent, for example because the server has gone.
    public func write(_ bytes: [UInt8]) throws(TLSError) {
        var written = 0
        OpenSSLErrorQueue.clear()
        guard SSL_write_ex(self.ssl, bytes, bytes.count, &written) == 1 else { throw Self.failure(.truncated) }
    }

    private static func failure(_ code: TLSError.Code) -> TLSError {
        let entries = OpenSSLErrorQueue.drain()
        let reason =
            entries.isEmpty
            ? "the server ended the connection or did not answer in time" : entries.map(\.text).joined(separator: "; ")
        return TLSError(code, reason)
    }
}
