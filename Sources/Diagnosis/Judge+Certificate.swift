import NIOOpenSSL
import RelayCore

extension Judge {
    /// Judges a certificate that could be loaded with its key.
    ///
    /// - Parameters:
    ///   - hostname: the relay's own name.
    ///   - key: the file of the private key, and whether every user can read it.
    public static func certificate(
        _ certificate: TLSCertificateInfo, hostname: String, key: (path: String, isReadableByAll: Bool), now: Timestamp
    ) -> [Finding] {
        let findings =
            [validity(of: certificate, now: now), names(of: certificate, hostname), issuer(of: certificate)]
            .compactMap(\.self) + [secrecy(key)].compactMap(\.self)
        guard findings.isEmpty else { return findings }
        let end = Timestamp(seconds: certificate.notAfter)
        return [
            .ok(
                .certificate,
                "\(certificate.source) is for \(list(certificate.dnsNames)), valid until \(end.date) (\((end - now).spelled)), "
                    + "with \(count(certificate.intermediates, "intermediate certificate"))")
        ]
    }

    /// Judges a certificate and key that could not be used.
    public static func certificate(unusable error: TLSConfigurationError) -> Finding {
        .problem(.certificate, "\(error)", remedy: remedy(error.code))
    }

    /// The settings name no certificate.
    public static let certificateNotSet = Finding.problem(
        .certificate, "tls.certificate and tls.private_key are not set, but clients can log in only under TLS",
        remedy: "in the settings, name PEM files that the relay's user can read, such as "
            + "/etc/hiveku-relay/tls/fullchain.pem and privkey.pem (the README has a certbot hook that puts them there). "
            + "If the service's unit names them (HIVEKU_RELAY_TLS_CERTIFICATE), nothing needs to be done")

    static let expiryWarning = Duration.seconds(14 * 86_400)

    private static func validity(of certificate: TLSCertificateInfo, now: Timestamp) -> Finding? {
        let (start, end) = (Timestamp(seconds: certificate.notBefore), Timestamp(seconds: certificate.notAfter))
        let renewal =
            "renew it (certbot renew, or as your certificate authority requires); the relay loads the new file within seconds"
        if now >= end {
            return .problem(
                .certificate,
                "\(certificate.source) expired \((now - end).spelled) ago, on \(end.date): clients that verify it refuse to send",
                remedy: renewal)
        }
        if now < start {
            return .problem(
                .certificate, "\(certificate.source) is not valid before \(start.rfc3339)",
                remedy: "check this machine's clock (timedatectl); if it is right, wait or use another certificate")
        }
        guard end - now <= expiryWarning else { return nil }
        return .warning(
            .certificate, "\(certificate.source) expires in \((end - now).spelled), on \(end.date)", remedy: renewal)
    }

    private static func names(of certificate: TLSCertificateInfo, _ hostname: String) -> Finding? {
        guard !certificate.dnsNames.contains(where: { covers($0, hostname) }) else { return nil }
        let names = certificate.dnsNames.isEmpty ? "no DNS name" : list(certificate.dnsNames)
        return .warning(
            .certificate, "\(certificate.source) names \(names), but not the relay's hostname \(hostname)",
            remedy:
                "let clients use a name that is in the certificate, and set hostname to it, or get a certificate for \(hostname)"
        )
    }

    /// Whether a certificate's name covers the host name. `*` stands for the whole first label, and for one label only
    /// (RFC 9525 section 6.3).
    static func covers(_ pattern: String, _ hostname: String) -> Bool {
        let (pattern, hostname) = (pattern.lowercased(), hostname.lowercased())
        guard pattern.hasPrefix("*.") else { return pattern == hostname }
        guard let dot = hostname.firstIndex(of: "."), dot != hostname.startIndex else { return false }
        return hostname[dot...] == pattern.dropFirst()
    }

    private static func issuer(of certificate: TLSCertificateInfo) -> Finding? {
        if certificate.isSelfSigned {
            return .warning(
                .certificate, "\(certificate.source) is self-signed: only clients that have it installed can verify it",
                remedy:
                    "get one from an authority that your applications trust (Let's Encrypt or your company's), or install this one for each application"
            )
        }
        guard certificate.intermediates == 0 else { return nil }
        return .warning(
            .certificate, "\(certificate.source) has no intermediate certificate: many clients can't verify it",
            remedy:
                "use the file with the whole chain (certbot's fullchain.pem), with the relay's own certificate first. "
                + "If a root that clients know has issued it directly, nothing needs to be done")
    }

    private static func secrecy(_ key: (path: String, isReadableByAll: Bool)) -> Finding? {
        key.isReadableByAll ? exposed(.certificate, "the private key", at: key.path) : nil
    }

    /// A file with a secret that every user can read.
    ///
    /// - Parameter what: what the file holds, as in "the private key".
    public static func exposed(_ subject: Finding.Subject, _ what: String, at path: String) -> Finding {
        .warning(
            subject, "every user of this machine can read \(what) \(path)", remedy: "chmod o-rwx \(shellWord(path))")
    }

    private static func remedy(_ code: TLSConfigurationError.Code) -> String {
        switch code {
        case .unreadable:
            return
                "check the path and the permissions; if only the relay's user can read it, run doctor as that user or as root"
        case .keyMismatch:
            return
                "name certificates and their keys in the same order in tls.certificate and tls.private_key"
        case .sameKeyType: return "remove one of them from tls.certificate and tls.private_key"
        case .encryptedPrivateKey: return "store the key without a passphrase: openssl pkey -in FILE -out NEWFILE"
        case .refused: return "get a new certificate, with an RSA key of 2048 bits or more, or an ECDSA P-256 key"
        default: return "name a PEM file with the right content in tls.certificate or tls.private_key"
        }
    }
}
