internal import COpenSSL
import NIOCore

/// Drives one `SSL*` and returns what happened as values. It knows no channel and no event loop.
///
/// It is not `Sendable`: its owner keeps it on one thread at a time, as OpenSSL requires for an `SSL*`. After a result
/// `.failed`, no method except ``takeOutbound()`` may be called, because OpenSSL leaves a failed connection in an
/// unusable state.
final class TLSConnection {
    enum HandshakeResult {
        case complete(TLSConnectionInfo)
        case needsInput
        case failed(TLSError)
    }

    enum ReadResult {
        /// All complete records have been read.
        case needsInput
        /// The limit was reached; there may be more plaintext.
        case limitReached
        case closeNotify
        case failed(TLSError)
    }

    /// The parts of a ClientHello that errors and ``TLSConnectionInfo`` report.
    struct ClientHello {
        var serverName: String?
        var highestVersion: UInt16 = 0
    }

    /// The largest plaintext of a TLS record in octets (RFC 8446, section 5.1).
    static let maximumRecord = 16_384
    /// The most octets of answers that the peer may make OpenSSL write by itself after the handshake. They are enough
    /// for some 500 key updates (RFC 8446, section 4.6.3) or refused renegotiations. Without a limit, a peer that does
    /// not read the answers could fill the memory.
    static let maximumAnswers = 16_384
    /// An upper bound of what a cipher adds to a record, in octets. With authenticated encryption: header 5, TLS 1.2
    /// nonce 8, content type 1, tag 16. With CBC, as OpenSSL writes it: header 5, vector 16, HMAC-SHA384 48, padding
    /// 16.
    private var recordOverhead: Int { self.context.compatibility == .modern ? 32 : 88 }

    private let ssl: OpaquePointer
    private let bio: ByteBufferBIO
    private let allocator: ByteBufferAllocator
    /// Keeps the context alive, and with it the ticket keys that OpenSSL's callback uses.
    private let context: TLSServerContext
    private(set) var clientHello: ClientHello?
    private var handshakeComplete = false
    /// What OpenSSL wrote by itself since the handshake, in octets.
    private var answered = 0

    init(context: TLSServerContext, allocator: ByteBufferAllocator) throws(TLSError) {
        OpenSSLErrorQueue.clear()
        let bio = ByteBufferBIO(allocator: allocator)
        guard let ssl = SSL_new(context.pointer) else {
            throw TLSError(.internalFailure, "cannot start TLS: \(OpenSSLErrorQueue.drainedText())")
        }
        guard let pointer = bio.makeBIO() else {
            SSL_free(ssl)
            throw TLSError(.internalFailure, "cannot start TLS: \(OpenSSLErrorQueue.drainedText())")
        }
        // One reference is enough for both directions: SSL_set_bio takes over only one reference when it is given the
        // same BIO twice.
        SSL_set_bio(ssl, pointer, pointer)
        SSL_set_accept_state(ssl)
        self.ssl = ssl
        self.bio = bio
        self.allocator = allocator
        self.context = context
        // `self` is not retained, which avoids a reference cycle. This is safe: the callback that uses the pointer runs
        // only inside calls that `self` makes.
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        context.connectionOpened()
    }

    deinit {
        // This also frees the BIO, so it must happen before `bio` is released.
        SSL_free(self.ssl)
        self.context.connectionClosed()
    }

    // MARK: - Bytes from and to the wire

    /// Takes ciphertext from the peer. ``handshake()`` or ``read(limit:)`` processes it.
    func received(_ ciphertext: ByteBuffer) { self.bio.received(ciphertext) }

    /// Whether some ciphertext has not been processed yet.
    var hasInput: Bool { self.bio.inbound.readableBytes > 0 }

    /// Returns ciphertext for the peer, or nil if there is none.
    func takeOutbound() -> ByteBuffer? { self.bio.takeOutbound() }

    // MARK: - Handshake

    func handshake() -> HandshakeResult {
        OpenSSLErrorQueue.clear()
        let result = SSL_do_handshake(self.ssl)
        self.bio.releaseInboundIfEmpty()
        if result == 1 {
            self.handshakeComplete = true
            self.bio.recordFinished()
            return .complete(self.makeInfo())
        }
        switch SSL_get_error(self.ssl, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        default: return .failed(self.drainedFailure())
        }
    }

    private func makeInfo() -> TLSConnectionInfo {
        let version = SSL_version(self.ssl) == TLS1_3_VERSION ? TLSVersion.tls13 : .tls12
        let resumed = SSL_session_reused(self.ssl) == 1
        // For a resumed session of TLS 1.2, OpenSSL reports the group of the session's first connection.
        let nid = version == .tls12 && resumed ? 0 : COpenSSL_SSL_get_negotiated_group(self.ssl)
        let group = nid > 0 ? SSL_group_to_name(self.ssl, Int32(truncatingIfNeeded: nid)) : nil
        let cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(self.ssl))
        return TLSConnectionInfo(
            version: version,
            cipher: cipher.map { String(cString: $0) } ?? "(none)",
            resumed: resumed,
            serverName: self.clientHello?.serverName,
            group: group.map { String(cString: $0) })
    }

    /// OpenSSL's callback for a ClientHello that it has parsed but not yet checked. ``TLSServerContext`` installs it.
    static func clientHelloReceived(_ ssl: OpaquePointer) {
        guard let pointer = SSL_get_ex_data(ssl, 0) else { return }
        let connection = Unmanaged<TLSConnection>.fromOpaque(pointer).takeUnretainedValue()
        var hello = ClientHello()
        hello.highestVersion = UInt16(truncatingIfNeeded: SSL_client_hello_get0_legacy_version(ssl))
        Self.withExtension(ssl, UInt32(TLSEXT_TYPE_supported_versions)) { list in
            // RFC 8446, section 4.2.1: a length octet, then versions of two octets.
            var index = 1
            while index + 1 < list.count {
                let version = UInt16(list[index]) << 8 | UInt16(list[index + 1])
                // Clients include 0x?A?A values at random to keep servers tolerant (RFC 8701).
                if version & 0x0F0F != 0x0A0A { hello.highestVersion = max(hello.highestVersion, version) }
                index += 2
            }
        }
        Self.withExtension(ssl, UInt32(TLSEXT_TYPE_server_name)) { list in
            // RFC 6066, section 3: length of the list, type 0 (host name), length, name.
            guard list.count > 5, list[2] == 0 else { return }
            let length = Int(list[3]) << 8 | Int(list[4])
            guard length > 0, length <= 255, 5 + length <= list.count else { return }
            let name = list[5..<(5 + length)]
            // The name is logged, so only characters of host names are allowed.
            guard name.allSatisfy(Self.isHostNameCharacter) else { return }
            hello.serverName = String(decoding: name, as: UTF8.self)
        }
        connection.clientHello = hello
    }

    private static func isHostNameCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func withExtension(
        _ ssl: OpaquePointer, _ type: UInt32, _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        if SSL_client_hello_get0_ext(ssl, type, &bytes, &count) == 1, let bytes {
            body(UnsafeBufferPointer(start: bytes, count: count))
        }
    }

    // MARK: - Application data

    /// Decrypts what has arrived, up to `limit` octets of plaintext. All records that are available go into one buffer.
    ///
    /// - Returns: the plaintext, or nil if there is none, and why reading stopped. Plaintext that comes with `.failed`
    ///   arrived intact before the failure.
    func read(limit: Int) -> (ByteBuffer?, ReadResult) {
        // Plaintext is shorter than its ciphertext. Part of the ciphertext may already be inside OpenSSL.
        let partial = min(self.bio.takenOfRecord, Self.maximumRecord + self.recordOverhead)
        let expected = self.bio.inbound.readableBytes + partial + Int(SSL_pending(self.ssl))
        guard expected > 0 else { return (nil, .needsInput) }
        let waiting = self.bio.outboundCount
        var buffer = self.allocator.buffer(capacity: min(expected, limit))
        var stop = ReadResult.limitReached
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { target in
            let room = min(target.count, limit)
            var filled = 0
            while filled < room {
                OpenSSLErrorQueue.clear()
                var count = 0
                // `room` is not 0 here, so the buffer has an address.
                let result = SSL_read_ex(self.ssl, target.baseAddress.map { $0 + filled }, room - filled, &count)
                guard result == 1 else {
                    stop = self.stoppedReading(result)
                    break
                }
                filled += count
                self.bio.recordFinished()
            }
            return filled
        }
        self.bio.releaseInboundIfEmpty()
        self.answered += self.bio.outboundCount - waiting
        return (buffer.readableBytes > 0 ? buffer : nil, self.answersTooMuch(stop) ?? stop)
    }

    /// Returns the failure that replaces `stop` when the peer has asked for more answers than are allowed; otherwise
    /// nil.
    private func answersTooMuch(_ stop: ReadResult) -> ReadResult? {
        if case .failed = stop { return nil }
        guard self.answered > Self.maximumAnswers else { return nil }
        return .failed(
            TLSError(
                .limitExceeded,
                "TLS failed: the client asked for new keys or renegotiation too often (answers of over "
                    + "\(Self.maximumAnswers) octets)"))
    }

    private func stoppedReading(_ result: Int32) -> ReadResult {
        switch SSL_get_error(self.ssl, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .closeNotify
        default: return .failed(self.drainedFailure())
        }
    }

    /// Makes room in the outbound buffer for `plaintext` octets after encryption.
    func willWrite(_ plaintext: Int) {
        let records = plaintext / Self.maximumRecord + 1
        self.bio.reserveOutbound(plaintext + records * self.recordOverhead)
    }

    /// Encrypts all readable octets of `plaintext`, in records of up to 16 KiB. Returns the failure, or nil.
    ///
    /// The BIO takes everything that OpenSSL writes, and renegotiation is off. So OpenSSL never stops halfway and need
    /// not be called again. Neither `SSL_MODE_ENABLE_PARTIAL_WRITE` nor `SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER` is
    /// needed.
    func write(_ plaintext: ByteBuffer) -> TLSError? {
        guard plaintext.readableBytes > 0 else { return nil }
        OpenSSLErrorQueue.clear()
        var written = 0
        let result = plaintext.withUnsafeReadableBytes {
            SSL_write_ex(self.ssl, $0.baseAddress, $0.count, &written)
        }
        return result == 1 ? nil : self.drainedFailure()
    }

    /// Sends `close_notify` to the peer. Nothing can be written afterwards, but reading continues. Returns the failure,
    /// or nil.
    func closeOutput() -> TLSError? {
        OpenSSLErrorQueue.clear()
        return SSL_shutdown(self.ssl) >= 0 ? nil : self.drainedFailure()
    }

    // MARK: - Failures

    private func drainedFailure() -> TLSError {
        let all = OpenSSLErrorQueue.drain()
        // If the TLS layer reported errors, those of the cipher layer about the same failure explain nothing and are
        // left out.
        let entries = all.contains(where: \.isTLS) ? all.filter(\.isTLS) : all
        let prefix = self.handshakeComplete ? "TLS failed: " : "handshake failed: "
        let code: TLSError.Code = self.handshakeComplete ? .protocolViolation : .handshakeFailed
        guard let first = entries.first else {
            return TLSError(.internalFailure, prefix + "OpenSSL gave no reason")
        }
        for entry in entries where entry.isTLS {
            guard let alert = UInt8(exactly: Int(entry.reason) - Int(SSL_AD_REASON_OFFSET)) else { continue }
            return TLSError(.alertReceived, prefix + Self.describe(alert: alert), alert: alert)
        }
        if first.isTLS, let text = self.describe(reason: first.reason) {
            return TLSError(self.isNotTLS(first.reason) ? .notTLS : code, prefix + text)
        }
        return TLSError(code, prefix + entries.map(\.text).joined(separator: "; "))
    }

    private static func describe(alert: UInt8) -> String {
        let name = String(cString: SSL_alert_desc_string_long(Int32(alert)))
        let text = "the client sent alert \(alert) (\(name))"
        switch Int32(alert) {
        case SSL_AD_UNKNOWN_CA, SSL_AD_BAD_CERTIFICATE, SSL_AD_CERTIFICATE_UNKNOWN:
            return text + ": it does not trust this server's certificate"
        case SSL_AD_CERTIFICATE_EXPIRED: return text + ": this server's certificate has expired"
        default: return text
        }
    }

    /// Whether the failure's reason says that the client does not speak TLS at all.
    private func isNotTLS(_ reason: Int32) -> Bool {
        guard self.clientHello == nil else { return false }
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNKNOWN_PROTOCOL,
            SSL_R_PACKET_LENGTH_TOO_LONG:
            return true
        default: return false
        }
    }

    /// A description that an operator can act on, for the failures that real clients cause. For other failures it is
    /// nil, and OpenSSL's text is used.
    private func describe(reason: Int32) -> String? {
        switch reason {
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_NO_PROTOCOLS_AVAILABLE:
            let offered = self.clientHello.map {
                " (client offered \(Self.name(ofVersion: $0.highestVersion)) at most; enable a newer version on the client)"
            }
            return "no protocol version in common" + (offered ?? "")
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: return "the client sent a plain-text HTTP request, not TLS"
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNKNOWN_PROTOCOL, SSL_R_PACKET_LENGTH_TOO_LONG:
            guard self.clientHello == nil else { return nil }
            return "the client sent something that is not TLS (plain text?)"
        case SSL_R_NO_SHARED_CIPHER: return "no cipher suite in common " + self.whyNoCipherIsShared
        case SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SHARED_GROUPS: return "no key exchange group in common"
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
            return "no signature algorithm in common that fits a certificate here"
        default: return nil
        }
    }

    /// Says why no cipher suite is shared. The remedy that it names is a setting of the relay, because often the client
    /// is a device that the operator can't change.
    private var whyNoCipherIsShared: String {
        switch self.context.compatibility {
        case .modern:
            "(the client offered none with forward secrecy and authenticated encryption that fits a certificate here; "
                + "if it is an old device, set tls.compatibility: old-devices)"
        case .oldDevices where !self.context.certificates.contains { $0.keyType == "RSA" }:
            "(the client offered none that fits a certificate here; old devices need a certificate with an RSA key, "
                + "which can be added to the present one)"
        case .oldDevices:
            "(the client offered none of those that the relay accepts from old devices; RC4, 3DES, NULL, export "
                + "suites and MD5 are never accepted)"
        }
    }

    private static func name(ofVersion version: UInt16) -> String {
        switch version {
        case 0x0002: "SSL 2"
        case 0x0300: "SSL 3"
        case 0x0301: "TLS 1.0"
        case 0x0302: "TLS 1.1"
        case 0x0303: "TLS 1.2"
        case 0x0304: "TLS 1.3"
        default: "version 0x" + String(version, radix: 16)
        }
    }
}
