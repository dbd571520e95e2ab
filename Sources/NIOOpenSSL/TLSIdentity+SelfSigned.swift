internal import COpenSSL

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension TLSIdentity {
    /// Makes an ECDSA P-256 key and a certificate that is signed with the same key, for demonstrations and tests.
    ///
    /// - Parameters:
    ///   - hostnames: at least one DNS name or IP address. The first label of a DNS name may be `*`. The first entry is
    ///     the common name; all entries are subject alternative names.
    ///   - now: the beginning of validity, in seconds since 1970-01-01 UTC. The certificate itself is valid from an
    ///     hour earlier, for clients whose clock is slow.
    ///   - validity: how long after `now` the certificate is valid.
    /// - Returns: certificate and key as PEM bytes in memory.
    /// - Throws: ``TLSConfigurationError`` for a name that is neither a host name nor an IP address.
    public static func selfSigned(
        hostnames: [String], now: Int64, validity: Duration = .seconds(365 * 86_400)
    ) throws(TLSConfigurationError) -> TLSIdentity {
        guard let first = hostnames.first else {
            throw TLSConfigurationError(.invalidHostname, "a self-signed certificate needs at least one host name")
        }
        var names: [String] = []
        for hostname in hostnames {
            // The names become part of OpenSSL's own notation, where a comma would begin a name of another kind.
            if Self.isAddress(hostname) {
                names.append("IP:" + hostname)
            } else if Self.isHostname(hostname) {
                names.append("DNS:" + hostname)
            } else {
                throw TLSConfigurationError(
                    .invalidHostname, "\"\(hostname)\" is neither a host name nor an IP address")
            }
        }
        OpenSSLErrorQueue.clear()
        guard let key = COpenSSL_EVP_EC_gen("P-256") else { throw Self.failure() }
        defer { EVP_PKEY_free(key) }
        guard let certificate = X509_new() else { throw Self.failure() }
        defer { X509_free(certificate) }
        let end = now + validity.components.seconds
        guard Self.fill(certificate, key, commonName: first, from: now - 3_600, to: end),
            COpenSSL_X509_add_extension(certificate, NID_subject_alt_name, names.joined(separator: ",")) == 1,
            COpenSSL_X509_add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") == 1,
            COpenSSL_X509_add_extension(certificate, NID_key_usage, "critical,digitalSignature") == 1,
            COpenSSL_X509_add_extension(certificate, NID_ext_key_usage, "serverAuth") == 1,
            COpenSSL_X509_add_extension(certificate, NID_subject_key_identifier, "hash") == 1,
            X509_sign(certificate, key, EVP_sha256()) > 0
        else { throw Self.failure() }
        let name = "the self-signed certificate for \(first)"
        return TLSIdentity(
            certificateChain: .bytes(try Self.pem { PEM_write_bio_X509($0, certificate) }, name: name),
            privateKey: .bytes(
                try Self.pem { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }, name: "the key of " + name))
    }

    private static func fill(
        _ certificate: OpaquePointer, _ key: OpaquePointer, commonName: String, from: Int64, to: Int64
    ) -> Bool {
        // 159 random bits: the number is positive and fits into the 20 octets of RFC 5280, section 4.1.2.2.
        guard let number = BN_new() else { return false }
        defer { BN_free(number) }
        guard BN_rand(number, 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1,
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil,
            X509_set_version(certificate, 2) == 1,  // counted from 0: version 3
            ASN1_TIME_set(X509_getm_notBefore(certificate), Int(from)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(certificate), Int(to)) != nil,
            X509_set_pubkey(certificate, key) == 1,
            let subject = X509_get_subject_name(certificate)
        else { return false }
        // A common name has at most 64 characters (RFC 5280, appendix A). The alternative names have no such limit.
        let shown = commonName.utf8.count <= 64 ? commonName : "self-signed"
        return X509_NAME_add_entry_by_NID(
            subject, NID_commonName, MBSTRING_UTF8, Array(shown.utf8), Int32(shown.utf8.count), -1, 0) == 1
            && X509_set_issuer_name(certificate, subject) == 1
    }

    private static func pem(_ write: (OpaquePointer) -> Int32) throws(TLSConfigurationError) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { throw Self.failure() }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { throw Self.failure() }
        var bytes: UnsafePointer<UInt8>?
        let count = COpenSSL_BIO_get_mem_data(bio, &bytes)
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    private static func isAddress(_ text: String) -> Bool {
        // This excludes NUL, which would end the text in C.
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return false }
        var storage = in6_addr()  // the larger of the two address types
        return inet_pton(AF_INET, text, &storage) == 1 || inet_pton(AF_INET6, text, &storage) == 1
    }

    private static func isHostname(_ text: String) -> Bool {
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard text.utf8.count <= 253, labels.count > 0 else { return false }
        return labels.enumerated().allSatisfy { index, label in
            if index == 0, labels.count > 1, label.elementsEqual("*".utf8) { return true }
            return (1...63).contains(label.count)
                && label.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
        }
    }

    private static func failure() -> TLSConfigurationError {
        TLSConfigurationError(
            .internalFailure, "cannot make a self-signed certificate: \(OpenSSLErrorQueue.drainedText())")
    }
}
