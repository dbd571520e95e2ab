internal import COpenSSL
private import Synchronization

/// Certificates, keys and rules for the server's side of TLS connections: an `SSL_CTX` that never changes.
///
/// To reload certificates, make a new one (off the event loops: it reads files) with the same ``TLSTicketKeys`` and use
/// it for new connections, for instance through ``ReloadableTLSContext``. Connections keep the one they began with.
///
/// It is `Sendable`: `pointer` is a constant; everything that changes an `SSL_CTX` happens in `init`, before the
/// object can be shared; afterwards OpenSSL itself only reads it or counts references atomically (`SSL_new` on several
/// threads is what it is made for; the session cache, which would be written, is off). The ticket keys and the counter
/// guard themselves.
public final class TLSServerContext: Sendable {
    /// The `SSL_CTX*`. `nonisolated(unsafe)`: see above.
    nonisolated(unsafe) let pointer: OpaquePointer
    /// The keys that this context seals session tickets with.
    public let ticketKeys: TLSTicketKeys
    /// The certificates in use, in the order of the configuration: for logs and for warnings before they expire.
    public let certificates: [TLSCertificateInfo]
    /// Which cipher suites of TLS 1.2 are taken.
    public let compatibility: TLSCompatibility

    private let live = Atomic<Int>(0)

    /// TLS 1.2 with forward secrecy and authenticated encryption only. AES-128 first: the fastest, and strong enough.
    private static let tls12Ciphers = """
        ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
        ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
        ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        """
    /// What ``TLSCompatibility/oldDevices`` adds, the better ones first: CBC with forward secrecy, then RSA key exchange. Named one
    /// by one, so that no alias of OpenSSL's brings in a suite that nobody has looked at.
    private static let oldDevicesCiphers = """
        ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:\
        ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:\
        AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA
        """
    private static let tls13Ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    private static let groups = "X25519:P-256:P-384"
    /// In the order of the server's cost; nothing with SHA-1.
    private static let signatureAlgorithms = """
        ecdsa_secp256r1_sha256:ed25519:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:\
        rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:\
        rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:\
        rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512
        """
    /// The same for every context, so that tickets outlive a reload. OpenSSL wants one where sessions are resumed.
    private static let sessionIDContext: [UInt8] = Array("NIOOpenSSL".utf8)
    /// How long a ticket is good for, in seconds: two hours, which covers an application that sends once an hour.
    private static let ticketLifetime = 7_200

    /// Reads the certificates and keys and makes a context from them. Blocks on files: not for an event loop.
    ///
    /// - Parameter ticketKeys: those of the context that this one replaces; new random ones if nil.
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
            // `deinit` does not run for an object that was never complete.
            SSL_CTX_free(context)
            throw error
        }
    }

    deinit { SSL_CTX_free(self.pointer) }

    /// How many connections use this context at the moment: after a reload, how many still have the old certificate.
    public var liveConnections: Int { self.live.load(ordering: .relaxed) }

    func connectionOpened() { self.live.add(1, ordering: .relaxed) }
    func connectionClosed() { self.live.subtract(1, ordering: .relaxed) }

    /// Everything is set here, whatever the system's openssl.cnf says: what clients get must not hang on the machine.
    private static func setRules(
        _ context: OpaquePointer, _ configuration: TLSConfiguration
    ) throws(TLSConfigurationError) {
        SSL_CTX_set_options(
            context,
            COpenSSL_SSL_OP_CIPHER_SERVER_PREFERENCE()
                // Who puts ChaCha20 first has no AES in hardware: do as it likes.
                | COpenSSL_SSL_OP_PRIORITIZE_CHACHA()
                // CRIME; and renegotiation is a way to make the server work for nothing.
                | COpenSSL_SSL_OP_NO_COMPRESSION() | COpenSSL_SSL_OP_NO_RENEGOTIATION())
        // A TCP end without close_notify must be seen as the cut that it may be. And tickets are wanted.
        SSL_CTX_clear_options(
            context, COpenSSL_SSL_OP_IGNORE_UNEXPECTED_EOF() | COpenSSL_SSL_OP_NO_TICKET())
        COpenSSL_SSL_CTX_set_mode(
            context,
            // The two buffers of 16 KiB that a connection needs while a record moves are given back in between:
            // most of the memory of an idle connection.
            Int(SSL_MODE_RELEASE_BUFFERS)
                // Send the chain as configured; do not search for one at each handshake.
                | Int(SSL_MODE_NO_AUTO_CHAIN))
        SSL_CTX_set_security_level(context, 2)
        // Tickets hold the sessions, so the server holds none.
        COpenSSL_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_timeout(context, Self.ticketLifetime)
        // 0-RTT data can be replayed: a message would be sent twice.
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
            // One ticket instead of two saves 250 octets and an encryption a handshake; few clients use even one.
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
        // Unretained: the context object holds the keys, and every connection holds the context object.
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

/// Holds the context for new connections, and lets it be replaced while the server runs.
public final class ReloadableTLSContext: Sendable {
    private let holder: Mutex<TLSServerContext>

    public init(_ context: TLSServerContext) {
        self.holder = Mutex(context)
    }

    /// The context for the next connection. Settable on any thread; connections keep the one they began with.
    public var current: TLSServerContext {
        get { self.holder.withLock { $0 } }
        set { self.holder.withLock { $0 = newValue } }
    }

    /// Makes a context from `configuration` with the ticket keys of the current one and puts it in its place.
    /// Blocks on files: not for an event loop.
    ///
    /// - Throws: ``TLSConfigurationError``; the current context then stays.
    public func reload(_ configuration: TLSConfiguration) throws(TLSConfigurationError) {
        let old = self.current
        self.current = try TLSServerContext(configuration, ticketKeys: old.ticketKeys)
    }
}
