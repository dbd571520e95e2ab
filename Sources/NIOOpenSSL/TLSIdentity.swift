/// A certificate with its chain and its private key.
public struct TLSIdentity: Sendable {
    /// PEM text with the server's own certificate first and then the intermediate certificates in order (RFC 8446,
    /// section 4.4.2).
    public var certificateChain: TLSPEMSource
    /// PEM text with the private key of the first certificate, not encrypted (PKCS #8, or the older forms of RSA and
    /// EC).
    public var privateKey: TLSPEMSource

    public init(certificateChain: TLSPEMSource, privateKey: TLSPEMSource) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

/// The source of a PEM text.
///
/// The text may be a private key, so neither printing nor reflection shows its content.
public enum TLSPEMSource: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A file of at most 1 MiB. It is read when the context is made.
    case file(String)
    /// PEM text in memory. `name` identifies it in errors.
    case bytes([UInt8], name: String)

    /// The path of the file, or the name of the bytes. It never shows the content.
    public var name: String {
        switch self {
        case .file(let path): path
        case .bytes(_, let name): name
        }
    }

    public var description: String {
        switch self {
        case .file(let path): "file \(path)"
        case .bytes(let bytes, let name): "\(name) (\(bytes.count) octets)"
        }
    }
    public var debugDescription: String { self.description }
    public var customMirror: Mirror { Mirror(self, children: ["name": self.name]) }
}

/// The settings from which a ``TLSServerContext`` is made.
public struct TLSConfiguration: Sendable {
    /// At least one identity. If there are several, each must have a different kind of key, such as RSA and ECDSA. A
    /// client gets one that it supports. ECDSA is preferred because it costs the server less than half the CPU time.
    public var identities: [TLSIdentity]
    /// The oldest version that is accepted. The default is TLS 1.2, since RFC 8996 forbids older ones.
    public var minimumVersion: TLSVersion
    /// Which cipher suites of TLS 1.2 are accepted. Those of TLS 1.3 are the same in either case.
    public var compatibility: TLSCompatibility

    public init(
        identities: [TLSIdentity], minimumVersion: TLSVersion = .tls12, compatibility: TLSCompatibility = .modern
    ) {
        self.identities = identities
        self.minimumVersion = minimumVersion
        self.compatibility = compatibility
    }
}

/// Whether a server also accepts the cipher suites that old clients with TLS 1.2 need.
public enum TLSCompatibility: Hashable, Sendable, CaseIterable {
    /// Only suites with forward secrecy and authenticated encryption, as RFC 9325 section 4.2 recommends.
    case modern
    /// The same suites first, then suites with CBC and with RSA key exchange, for printers and controllers that support
    /// no others. RC4, 3DES, NULL, export suites and MD5 are never accepted. With RSA key exchange, an attacker who
    /// gets the certificate's private key can decrypt traffic that was recorded before.
    case oldDevices
}

/// The properties of a certificate in use.
public struct TLSCertificateInfo: Sendable, Hashable {
    /// The file, or the name of the bytes, that it came from.
    public var source: String
    /// The common name of its subject; nil if it has none.
    public var commonName: String?
    /// The DNS names among its subject alternative names. Clients compare the host name with these (RFC 6125).
    public var dnsNames: [String]
    /// The beginning of its validity, in seconds since 1970-01-01 UTC.
    public var notBefore: Int64
    /// The end of its validity, in seconds since 1970-01-01 UTC.
    public var notAfter: Int64
    /// The kind of its key: `RSA`, `EC`, `ED25519` …
    public var keyType: String
    /// Whether the certificate is signed with its own key. Clients trust it only if they are configured to.
    public var isSelfSigned: Bool
    /// The number of intermediate certificates that are sent with it. They lead clients to an issuer that the clients
    /// know.
    public var intermediates: Int
    /// The SHA-256 of the certificate in DER, in lower-case hexadecimal.
    public var fingerprint: String

    public init(
        source: String, commonName: String?, dnsNames: [String], notBefore: Int64, notAfter: Int64, keyType: String,
        isSelfSigned: Bool, intermediates: Int, fingerprint: String
    ) {
        self.source = source
        self.commonName = commonName
        self.dnsNames = dnsNames
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.keyType = keyType
        self.isSelfSigned = isSelfSigned
        self.intermediates = intermediates
        self.fingerprint = fingerprint
    }
}

/// Why no context could be made from a ``TLSConfiguration``. The description names the file and the remedy.
public struct TLSConfigurationError: Error, Sendable, CustomStringConvertible {
    /// The kinds of mistake. Later versions may add kinds, so a `switch` over them needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Base: Hashable, Sendable {
            case noIdentity, unreadable, tooLarge, noCertificate, malformedCertificate, noPrivateKey
            case malformedPrivateKey, encryptedPrivateKey, keyMismatch, sameKeyType, refused, invalidHostname
            case internalFailure
        }
        private let base: Base

        /// The configuration names no certificate.
        public static let noIdentity = Code(base: .noIdentity)
        /// A file cannot be opened or read.
        public static let unreadable = Code(base: .unreadable)
        /// A file is over 1 MiB, so it is certainly not a certificate.
        public static let tooLarge = Code(base: .tooLarge)
        /// There is no PEM certificate in the file.
        public static let noCertificate = Code(base: .noCertificate)
        /// A PEM certificate in the file can't be decoded.
        public static let malformedCertificate = Code(base: .malformedCertificate)
        /// There is no PEM private key in the file.
        public static let noPrivateKey = Code(base: .noPrivateKey)
        /// A PEM private key in the file can't be decoded.
        public static let malformedPrivateKey = Code(base: .malformedPrivateKey)
        /// The private key needs a passphrase.
        public static let encryptedPrivateKey = Code(base: .encryptedPrivateKey)
        /// The private key does not belong to the server's own certificate.
        public static let keyMismatch = Code(base: .keyMismatch)
        /// Two certificates have the same kind of key, so one of them would never be used.
        public static let sameKeyType = Code(base: .sameKeyType)
        /// OpenSSL refuses the certificate or key, for instance because the key is too short.
        public static let refused = Code(base: .refused)
        /// A name for a self-signed certificate is neither a host name nor an IP address.
        public static let invalidHostname = Code(base: .invalidHostname)
        /// OpenSSL failed for an internal reason, such as lack of memory.
        public static let internalFailure = Code(base: .internalFailure)

        public var description: String { "\(self.base)" }
    }

    /// The kind of mistake.
    public var code: Code
    /// The file, or the name of the bytes, with the mistake. Empty if the mistake is in neither.
    public var source: String
    /// A sentence that says what is wrong.
    public var message: String

    init(_ code: Code, source: String = "", _ message: String) {
        self.code = code
        self.source = source
        self.message = message
    }

    public var description: String { self.source.isEmpty ? self.message : "\(self.source): \(self.message)" }
}
