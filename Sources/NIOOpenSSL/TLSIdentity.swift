/// A certificate with its chain, and its private key.
public struct TLSIdentity: Sendable {
    /// PEM: the server's own certificate first, then the intermediate ones in order (RFC 8446, section 4.4.2).
    public var certificateChain: TLSPEMSource
    /// PEM: the private key of the first certificate (PKCS #8, or the older forms of RSA and EC), not encrypted.
    public var privateKey: TLSPEMSource

    public init(certificateChain: TLSPEMSource, privateKey: TLSPEMSource) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

/// Where a PEM text comes from.
///
/// It may be a private key, so neither printing nor reflection shows its content.
public enum TLSPEMSource: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A file, read when the context is made: at most 1 MiB.
    case file(String)
    /// PEM text at hand; `name` stands for it in errors.
    case bytes([UInt8], name: String)

    /// The path of the file, or the name of the bytes. Never the content.
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

/// What a ``TLSServerContext`` is made from.
public struct TLSConfiguration: Sendable {
    /// At least one; of several, each has another kind of key (RSA beside ECDSA), and a client gets the one that it
    /// understands, ECDSA first because it costs the server less than half of the CPU time.
    public var identities: [TLSIdentity]
    /// The oldest version to speak. TLS 1.2 by default (RFC 8996 forbids older ones).
    public var minimumVersion: TLSVersion
    /// Which cipher suites of TLS 1.2 are taken. TLS 1.3 has the same in either case.
    public var compatibility: TLSCompatibility

    public init(
        identities: [TLSIdentity], minimumVersion: TLSVersion = .tls12, compatibility: TLSCompatibility = .modern
    ) {
        self.identities = identities
        self.minimumVersion = minimumVersion
        self.compatibility = compatibility
    }
}

/// How old the clients may be that a server of TLS 1.2 still talks to.
public enum TLSCompatibility: Hashable, Sendable, CaseIterable {
    /// Suites with forward secrecy and authenticated encryption only, as RFC 9325 section 4.2 recommends.
    case modern
    /// The same first, then suites with CBC and with RSA key exchange, for printers and controllers that know no others. Never
    /// RC4, 3DES, NULL, export suites or MD5. With RSA key exchange, who gets hold of the certificate's private key can read
    /// what was recorded before.
    case oldDevices
}

/// What a certificate in use says of itself.
public struct TLSCertificateInfo: Sendable, Hashable {
    /// The file (or name of bytes) that it came from.
    public var source: String
    /// The common name of its subject; nil if it has none.
    public var commonName: String?
    /// The DNS names among its subject alternative names: what clients compare the host name with (RFC 6125).
    public var dnsNames: [String]
    /// When it begins and ceases to be valid, in seconds since 1970-01-01 UTC.
    public var notBefore: Int64
    public var notAfter: Int64
    /// The kind of its key: `RSA`, `EC`, `ED25519` …
    public var keyType: String
    /// Whether it vouches for itself: clients then trust it only where they were told to.
    public var isSelfSigned: Bool
    /// Certificates that are sent with it, for clients to find the way to an issuer that they know.
    public var intermediates: Int
    /// SHA-256 of the certificate in DER, in lower-case hexadecimal.
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
    /// The kinds of mistake. More may follow; a `switch` over them needs a `default`.
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
        /// A file is over 1 MiB: surely not a certificate.
        public static let tooLarge = Code(base: .tooLarge)
        /// There is no PEM certificate in the file.
        public static let noCertificate = Code(base: .noCertificate)
        /// There is a PEM certificate that does not decode.
        public static let malformedCertificate = Code(base: .malformedCertificate)
        /// There is no PEM private key in the file.
        public static let noPrivateKey = Code(base: .noPrivateKey)
        /// There is a PEM private key that does not decode.
        public static let malformedPrivateKey = Code(base: .malformedPrivateKey)
        /// The private key needs a passphrase.
        public static let encryptedPrivateKey = Code(base: .encryptedPrivateKey)
        /// The private key belongs to another certificate.
        public static let keyMismatch = Code(base: .keyMismatch)
        /// Two certificates have the same kind of key, so that one would never be used.
        public static let sameKeyType = Code(base: .sameKeyType)
        /// OpenSSL refuses the certificate or key, for instance because the key is too short.
        public static let refused = Code(base: .refused)
        /// A name for a self-signed certificate is neither a host name nor an IP address.
        public static let invalidHostname = Code(base: .invalidHostname)
        /// OpenSSL failed for a reason of its own, such as want of memory.
        public static let internalFailure = Code(base: .internalFailure)

        public var description: String { "\(self.base)" }
    }

    public var code: Code
    /// The file or name of bytes at fault; empty if none is.
    public var source: String
    public var message: String

    init(_ code: Code, source: String = "", _ message: String) {
        self.code = code
        self.source = source
        self.message = message
    }

    public var description: String { self.source.isEmpty ? self.message : "\(self.source): \(self.message)" }
}
