import NIOOpenSSL
import RelayCore

extension Judge {
    /// A certificate that could be loaded with its key.
    ///
    /// - Parameters:
    ///   - hostname: the relay's own name.
    ///   - key: the file of the private key, and whether everybody may read it.
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

    public static func certificate(unusable error: TLSConfigurationError) -> Finding {
        .problem(.certificate, "\(error)", remedy: remedy(error.code))
    }

    public static let certificateNotSet = Finding.problem(
        .certificate, "tls.certificate and tls.private_key are not set, but clients log in under TLS only",
        remedy: "name PEM files in the settings that the relay's user may read, such as "
            + "/etc/hiveku-relay/tls/fullchain.pem and privkey.pem (the README has a hook by which certbot puts them there); "
            + "where the service's unit names them (HIVEKU_RELAY_TLS_CERTIFICATE), nothing")

    static let expiryWarning = Duration.seconds(14 * 86_400)

    private static func validity(of certificate: TLSCertificateInfo, now: Timestamp) -> Finding? {
        let (start, end) = (Timestamp(seconds: certificate.notBefore), Timestamp(seconds: certificate.notAfter))
        let renewal =
            "renew it (certbot renew, or your authority's way); the relay takes the new file by itself within seconds"
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
                "give clients a name that is in the certificate and set hostname to it, or get a certificate for \(hostname)"
        )
    }

    /// RFC 9525 section 6.3: `*` stands for the whole first label, and for one label only.
    static func covers(_ pattern: String, _ hostname: String) -> Bool {
        let (pattern, hostname) = (pattern.lowercased(), hostname.lowercased())
        guard pattern.hasPrefix("*.") else { return pattern == hostname }
        guard let dot = hostname.firstIndex(of: "."), dot != hostname.startIndex else { return false }
        return hostname[dot...] == pattern.dropFirst()
    }

    private static func issuer(of certificate: TLSCertificateInfo) -> Finding? {
        if certificate.isSelfSigned {
            return .warning(
                .certificate, "\(certificate.source) is self-signed: only clients that were given it can verify it",
                remedy:
                    "get one from an authority that your applications trust (Let's Encrypt, the company's own), or install it on each of them"
            )
        }
        guard certificate.intermediates == 0 else { return nil }
        return .warning(
            .certificate, "\(certificate.source) holds no intermediate certificate: many clients can't verify it",
            remedy: "use the file with the whole chain (certbot's fullchain.pem), the relay's own certificate first; "
                + "nothing, if a root that clients know has issued it directly")
    }

    private static func secrecy(_ key: (path: String, isReadableByAll: Bool)) -> Finding? {
        key.isReadableByAll ? exposed(.certificate, "the private key", at: key.path) : nil
    }

    /// A file with a secret that every user may read.
    ///
    /// - Parameter what: what the file holds, as in "the private key".
    public static func exposed(_ subject: Finding.Subject, _ what: String, at path: String) -> Finding {
        .warning(
            subject, "every user of this machine may read \(what) \(path)", remedy: "chmod o-rwx \(shellWord(path))")
    }

    private static func remedy(_ code: TLSConfigurationError.Code) -> String {
        switch code {
        case .unreadable:
            return
                "check the path and the permissions; if only the relay's user may read it, run doctor as that user or as root"
        case .keyMismatch:
            return
                "name certificate and key that belong together, in the same order, in tls.certificate and tls.private_key"
        case .sameKeyType: return "leave one of them out of tls.certificate and tls.private_key"
        case .encryptedPrivateKey: return "store the key without passphrase: openssl pkey -in FILE -out NEWFILE"
        case .refused: return "get a new certificate, with a key of RSA 2048 bits or more or of ECDSA P-256"
        default: return "name a PEM file with the right content in tls.certificate or tls.private_key"
        }
    }
}
