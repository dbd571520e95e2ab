internal import COpenSSL
private import Synchronization

/// Certificates, keys and rules for the server's side of TLS connections: an `SSL_CTX` that never changes.
///
/// To reload certificates, make a new context with the same ``TLSTicketKeys``, and use it for new connections, for
/// instance through ``ReloadableTLSContext``. Do not make a context on an event loop, because this reads files.
/// Connections keep the context that they began with.
///
/// It is `Sendable`: `pointer` is a constant, and everything that changes the `SSL_CTX` happens in `init`, before the
/// object can be shared. Afterwards OpenSSL only reads it or counts references atomically: `SSL_new` may be called on
/// several threads, and the session cache, which would be written, is off. The ticket keys and the counter have their
/// own synchronisation.
public final class TLSServerContext: Sendable {
    /// The `SSL_CTX*`. `nonisolated(unsafe)` is correct for the reason that the comment on the class gives.
    nonisolated(unsafe) let pointer: OpaquePointer
    /// The keys with which this context seals session tickets.
    public let ticketKeys: TLSTicketKeys
    /// The certificates in use, in the order of the configuration. For logs and for warnings before they expire.
    public let certificates: [TLSCertificateInfo]
    /// Which cipher suites of TLS 1.2 are accepted.
    public let compatibility: TLSCompatibility

    private let live = Atomic<Int>(0)

    /// TLS 1.2 only with forward secrecy and authenticated encryption. AES-128 comes first: it is the fastest and
    /// strong enough.
    private static let tls12Ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
        ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
        ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        """
    /// The suites that ``TLSCompatibility/oldDevices`` adds, better ones first: CBC with forward secrecy, then RSA key
    /// exchange. Each suite is named, so that an alias of OpenSSL's can't add one that was never reviewed.
    private static let oldDevicesCiphers = """
        ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:\
        ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:\
        AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA
        """
    private static let tls13Ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"
    /// The algorithms that cost the server least come first. None uses SHA-1.
    private static let signatureAlgorithms = """
        ecdsa_secp256r1_sha256:ed25519:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:\
        rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:\
        rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:\
        rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512
        """
    /// OpenSSL requires a session ID context for servers that resume sessions. All contexts have the same one, so that
    /// tickets stay valid after a reload.
    private static let sessionIDContext: [UInt8] = Array("NIOOpenSSL".utf8)
    /// The lifetime of a ticket in seconds. Two hours cover an application that sends once an hour.
    private static let ticketLifetime = 7_200

    /// Reads the certificates and keys and makes a context from them. It blocks on files, so it must not be called on
    /// an event loop.
    ///
    /// - Parameter ticketKeys: the keys of the context that this one replaces. Nil makes new random keys.
    /// - Throws: ``TLSConfigurationError``, which says what is wrong with which file.
    public init(_ configuration: TLSConfiguration, ticketKeys: TLSTicketKeys? = nil) throws(TLSConfigurationError) {
        guard !configuration.identities.isEmpty else {
            throw TLSConfigurationError(.noIdentity, "TLS needs at least one certificate with its private key")
        }
        let keys = if let ticketKeys { ticketKeys } else { try TLSTicketKeys() }
        OpenSSLErrorQueue.clear()
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSConfigurationError(.internalFailure, "cannot start OpenSSL: \(OpenSSLErrorQueue.drainedText())")
        }
        self.pointer = context
        self.ticketKeys = keys
        self.compatibility = configuration.compatibility
        do throws(TLSConfigurationError) {
            try Self.setRules(context, configuration)
            self.certificates = try Self.use(configuration.identities, in: context)
            Self.setCallbacks(context, keys)
        } catch {
            // `deinit` does not run for an object whose `init` failed.
            SSL_CTX_free(context)
            throw error
        }
    }

    deinit { SSL_CTX_free(self.pointer) }

    /// How many connections use this context now. After a reload, this number of the old context says how many
    /// connections still use the old certificate.
    public var liveConnections: Int { self.live.load(ordering: .relaxed) }

    func connectionOpened() { self.live.add(1, ordering: .relaxed) }
    func connectionClosed() { self.live.subtract(1, ordering: .relaxed) }

    /// All rules are set here and override the system's openssl.cnf, because clients must get the same rules on every
    /// machine.
    private static func setRules(
        _ context: OpaquePointer, _ configuration: TLSConfiguration
    ) throws(TLSConfigurationError) {
        SSL_CTX_set_options(
            context,
            COpenSSL_SSL_OP_CIPHER_SERVER_PREFERENCE()
                // A client that prefers ChaCha20 has no AES hardware, so its preference is followed.
                | COpenSSL_SSL_OP_PRIORITIZE_CHACHA()
                // Compression allows the CRIME attack. Renegotiation lets a client make the server work at no cost to
                // itself.
                | COpenSSL_SSL_OP_NO_COMPRESSION() | COpenSSL_SSL_OP_NO_RENEGOTIATION())
        // A TCP end without close_notify must be reported, because the data may have been cut off. Tickets must be
        // enabled.
        SSL_CTX_clear_options(
            context, COpenSSL_SSL_OP_IGNORE_UNEXPECTED_EOF() | COpenSSL_SSL_OP_NO_TICKET())
        COpenSSL_SSL_CTX_set_mode(
            context,
            // Between records, a connection releases its two buffers of 16 KiB. They are most of the memory of an idle
            // connection.
            Int(SSL_MODE_RELEASE_BUFFERS)
                // The chain is sent as configured. It is not searched for at each handshake.
                | Int(SSL_MODE_NO_AUTO_CHAIN))
        SSL_CTX_set_security_level(context, 2)
        // Tickets hold the sessions, so the server stores none.
        COpenSSL_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_timeout(context, Self.ticketLifetime)
        // 0-RTT data can be replayed, so a message could be sent twice.
        SSL_CTX_set_max_early_data(context, 0)
        let minimum = configuration.minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        let ciphers =
            switch configuration.compatibility {
            case .modern: Self.tls12Ciphers
            case .oldDevices: Self.tls12Ciphers + ":" + Self.oldDevicesCiphers
            }
        let done =
            COpenSSL_SSL_CTX_set_min_proto_version(context, minimum) == 1
            && COpenSSL_SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1
            && SSL_CTX_set_cipher_list(context, ciphers) == 1
            && SSL_CTX_set_ciphersuites(context, Self.tls13Ciphers) == 1
            && COpenSSL_SSL_CTX_set1_groups_list(context, Self.groups) == 1
            && COpenSSL_SSL_CTX_set1_sigalgs_list(context, Self.signatureAlgorithms) == 1
            // One ticket instead of two saves 250 octets and an encryption per handshake. Few clients use even one.
            && SSL_CTX_set_num_tickets(context, 1) == 1
            && SSL_CTX_set_session_id_context(context, Self.sessionIDContext, UInt32(Self.sessionIDContext.count)) == 1
        guard done else {
            throw TLSConfigurationError(
                .internalFailure, "OpenSSL refuses the TLS settings: \(OpenSSLErrorQueue.drainedText())")
        }
    }

    private static func use(
        _ identities: [TLSIdentity], in context: OpaquePointer
    ) throws(TLSConfigurationError) -> [TLSCertificateInfo] {
        var certificates: [TLSCertificateInfo] = []
        for identity in identities {
            let parts = try TLSPEMReader(identity)
            guard let own = parts.certificates.first, let key = parts.privateKey else { continue }
            let source = identity.certificateChain.name
            let info = TLSCertificateInfo(
                own, key: key, source: source, intermediates: parts.certificates.count - 1)
            if let other = certificates.first(where: { $0.keyType == info.keyType }) {
                throw TLSConfigurationError(
                    .sameKeyType, source: source,
                    "its key is of the same kind (\(info.keyType)) as that of \(other.source); "
                        + "several certificates must differ in the kind of key, such as RSA and ECDSA")
            }
            OpenSSLErrorQueue.clear()
            guard SSL_CTX_use_certificate(context, own) == 1 else {
                throw Self.refused(source, "certificate")
            }
            guard SSL_CTX_use_PrivateKey(context, key) == 1 else {
                throw Self.refused(identity.privateKey.name, "private key")
            }
            for (index, link) in parts.certificates.enumerated().dropFirst()
            where COpenSSL_SSL_CTX_add1_chain_cert(context, link) != 1 {
                throw Self.refused(source, "certificate number \(index + 1)")
            }
            certificates.append(info)
        }
        return certificates
    }

    private static func refused(_ source: String, _ what: String) -> TLSConfigurationError {
        TLSConfigurationError(
            .refused, source: source, "OpenSSL refuses the \(what): \(OpenSSLErrorQueue.drainedText())")
    }

    private static func setCallbacks(_ context: OpaquePointer, _ keys: TLSTicketKeys) {
        SSL_CTX_set_client_hello_cb(
            context,
            { ssl, _, _ in
                if let ssl { TLSConnection.clientHelloReceived(ssl) }
                return SSL_CLIENT_HELLO_SUCCESS
            }, nil)
        // The keys are not retained here: the context object holds them, and each connection holds the context object.
        SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(keys).toOpaque())
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, vector, cipher, mac, sealing in
            guard let ssl, let name, let vector, let cipher, let mac,
                let pointer = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0)
            else { return -1 }
            return Unmanaged<TLSTicketKeys>.fromOpaque(pointer).takeUnretainedValue()
                .prepare(name: name, vector: vector, cipher: cipher, mac: mac, sealing: sealing == 1)
        }
    }
}

/// Holds the context for new connections. It can be replaced while the server runs.
public final class ReloadableTLSContext: Sendable {
    private let holder: Mutex<TLSServerContext>

    /// Connections get this context until it is replaced.
    public init(_ context: TLSServerContext) {
        self.holder = Mutex(context)
    }

    /// The context for the next connection. It can be set on any thread. Connections keep the context that they began
    /// with.
    public var current: TLSServerContext {
        get { self.holder.withLock { $0 } }
        set { self.holder.withLock { $0 = newValue } }
    }

    /// Makes a context from `configuration` with the current context's ticket keys, and replaces the current context.
    /// It blocks on files, so it must not be called on an event loop.
    ///
    /// - Throws: ``TLSConfigurationError``. The current context is then kept.
    public func reload(_ configuration: TLSConfiguration) throws(TLSConfigurationError) {
        let old = self.current
        self.current = try TLSServerContext(configuration, ticketKeys: old.ticketKeys)
    }
}
