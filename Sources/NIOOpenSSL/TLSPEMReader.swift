internal import COpenSSL

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Reads certificates and keys from PEM text, with a separate error for each possible mistake.
///
/// It owns the OpenSSL objects of one identity and frees them.
final class TLSPEMReader {
    /// The largest PEM text that is read, in octets. Every real chain is far smaller. The limit keeps a wrong path (a
    /// log, a device) from filling the memory.
    static let maximumSize = 1_048_576

    private(set) var certificates: [OpaquePointer] = []
    private(set) var privateKey: OpaquePointer?

    deinit {
        for certificate in self.certificates { X509_free(certificate) }
        if let key = self.privateKey { EVP_PKEY_free(key) }
    }

    /// Reads both parts of `identity` and checks that they belong together.
    init(_ identity: TLSIdentity) throws(TLSConfigurationError) {
        try self.readCertificates(identity.certificateChain)
        try self.readPrivateKey(identity.privateKey)
        try self.checkMatch(identity)
    }

    private func readCertificates(_ source: TLSPEMSource) throws(TLSConfigurationError) {
        let certificates = try Self.withPEM(source) { (bio: OpaquePointer) throws(TLSConfigurationError) in
            var found: [OpaquePointer] = []
            while true {
                OpenSSLErrorQueue.clear()
                if let certificate = PEM_read_bio_X509(bio, nil, nil, nil) {
                    found.append(certificate)
                    continue
                }
                let errors = OpenSSLErrorQueue.drain()
                // OpenSSL reports the end of the text as "no start line".
                if errors.contains(where: Self.isNoStartLine) { return found }
                for certificate in found { X509_free(certificate) }
                throw TLSConfigurationError(
                    .malformedCertificate, source: source.name,
                    "certificate number \(found.count + 1) in it cannot be decoded: \(Self.text(errors))")
            }
        }
        self.certificates = certificates
        guard certificates.isEmpty else { return }
        throw TLSConfigurationError(
            .noCertificate, source: source.name,
            "there is no certificate in it (expected PEM text with a line -----BEGIN CERTIFICATE-----)")
    }

    private func readPrivateKey(_ source: TLSPEMSource) throws(TLSConfigurationError) {
        self.privateKey = try Self.withPEM(source) { (bio: OpaquePointer) throws(TLSConfigurationError) in
            // OpenSSL reports "unsupported" both for a missing and for a damaged key.
            guard Self.mentionsPrivateKey(bio) else {
                throw TLSConfigurationError(
                    .noPrivateKey, source: source.name,
                    "there is no private key in it (expected PEM text with a line -----BEGIN PRIVATE KEY-----)")
            }
            OpenSSLErrorQueue.clear()
            var passphraseWanted = false
            // Without this callback, OpenSSL would ask for the passphrase on the terminal.
            let key = withUnsafeMutablePointer(to: &passphraseWanted) { wanted in
                PEM_read_bio_PrivateKey(
                    bio, nil,
                    { _, _, _, wanted in
                        wanted?.assumingMemoryBound(to: Bool.self).pointee = true
                        return -1
                    }, wanted)
            }
            if let key { return key }
            let errors = OpenSSLErrorQueue.drain()
            if passphraseWanted {
                throw TLSConfigurationError(
                    .encryptedPrivateKey, source: source.name,
                    "the private key is encrypted with a passphrase; store it without one "
                        + "(openssl pkey -in FILE -out NEWFILE)")
            }
            throw TLSConfigurationError(
                .malformedPrivateKey, source: source.name,
                "the private key in it cannot be decoded: \(Self.text(errors))")
        }
    }

    private func checkMatch(_ identity: TLSIdentity) throws(TLSConfigurationError) {
        OpenSSLErrorQueue.clear()
        guard let key = self.privateKey, let own = self.certificates.first else { return }
        if X509_check_private_key(own, key) == 1 { return }
        var message = "the private key does not belong to the certificate in \(identity.certificateChain.name)"
        for (index, other) in self.certificates.enumerated().dropFirst() where X509_check_private_key(other, key) == 1 {
            message = """
                the private key belongs to certificate number \(index + 1) in \(identity.certificateChain.name); \
                the server's own certificate must come first
                """
            break
        }
        OpenSSLErrorQueue.clear()
        throw TLSConfigurationError(.keyMismatch, source: identity.privateKey.name, message)
    }

    /// Whether the text contains the end of a line such as `-----BEGIN EC PRIVATE KEY-----`.
    private static func mentionsPrivateKey(_ bio: OpaquePointer) -> Bool {
        var start: UnsafePointer<UInt8>?
        let count = COpenSSL_BIO_get_mem_data(bio, &start)
        let text = UnsafeBufferPointer(start: start, count: count)
        let label = Array("PRIVATE KEY-----".utf8)
        return text.indices.dropLast(label.count - 1).contains { text[$0...].starts(with: label) }
    }

    private static func isNoStartLine(_ entry: OpenSSLErrorQueue.Entry) -> Bool {
        COpenSSL_ERR_GET_LIB(entry.code) == ERR_LIB_PEM && entry.reason == PEM_R_NO_START_LINE
    }

    private static func text(_ errors: [OpenSSLErrorQueue.Entry]) -> String {
        errors.isEmpty ? "unknown OpenSSL error" : errors.map(\.text).joined(separator: "; ")
    }

    // MARK: - Sources

    /// Calls `body` with a BIO that reads the text of `source`. Afterwards it wipes its own copy of the text.
    private static func withPEM<Result>(
        _ source: TLSPEMSource, _ body: (OpaquePointer) throws(TLSConfigurationError) -> Result
    ) throws(TLSConfigurationError) -> Result {
        switch source {
        case .bytes(let bytes, _):
            guard bytes.count <= Self.maximumSize else { throw Self.tooLarge(source.name) }
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
            defer { Self.wipe(copy) }
            copy.copyBytes(from: bytes)
            return try Self.withBIO(UnsafeRawBufferPointer(rebasing: copy[..<bytes.count]), source.name, body)
        case .file(let path):
            let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.maximumSize + 1, alignment: 1)
            defer { Self.wipe(storage) }
            let count = try Self.readFile(path, into: storage)
            return try Self.withBIO(UnsafeRawBufferPointer(rebasing: storage[..<count]), path, body)
        }
    }

    private static func wipe(_ storage: UnsafeMutableRawBufferPointer) {
        OPENSSL_cleanse(storage.baseAddress, storage.count)
        storage.deallocate()
    }

    private static func withBIO<Result>(
        _ text: UnsafeRawBufferPointer, _ name: String,
        _ body: (OpaquePointer) throws(TLSConfigurationError) -> Result
    ) throws(TLSConfigurationError) -> Result {
        OpenSSLErrorQueue.clear()
        // The text has at most `maximumSize` octets, so its length fits an Int32.
        guard let bio = BIO_new_mem_buf(text.baseAddress, Int32(text.count)) else {
            throw TLSConfigurationError(.internalFailure, source: name, OpenSSLErrorQueue.drainedText())
        }
        defer { BIO_free(bio) }
        return try body(bio)
    }

    private static func readFile(
        _ path: String, into storage: UnsafeMutableRawBufferPointer
    ) throws(TLSConfigurationError) -> Int {
        // O_NONBLOCK: a FIFO at the path must not block the caller forever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.unreadable(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.unreadable(path, errno) }
        // Reading a directory fails later, with a better error.
        guard [S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) else {
            throw TLSConfigurationError(
                .unreadable, source: path, "cannot be read: it is a pipe, a socket or a device, not a regular file")
        }
        var filled = 0
        while filled < storage.count {
            let count = Self.readOnce(descriptor, UnsafeMutableRawBufferPointer(rebasing: storage[filled...]))
            if count == 0 { return filled }
            if count > 0 {
                filled += count
            } else if errno != EINTR {
                throw Self.unreadable(path, errno)
            }
        }
        throw Self.tooLarge(path)
    }

    private static func readOnce(_ descriptor: Int32, _ target: UnsafeMutableRawBufferPointer) -> Int {
        read(descriptor, target.baseAddress, target.count)
    }

    private static func unreadable(_ path: String, _ number: Int32) -> TLSConfigurationError {
        let reason = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        return TLSConfigurationError(.unreadable, source: path, "cannot be read: \(reason)")
    }

    private static func tooLarge(_ name: String) -> TLSConfigurationError {
        TLSConfigurationError(.tooLarge, source: name, "is larger than 1 MiB, which no certificate or key is")
    }
}

extension TLSCertificateInfo {
    /// Reads the properties of `certificate` (an `X509*`) with the key `key`.
    init(_ certificate: OpaquePointer, key: OpaquePointer, source: String, intermediates: Int) {
        OpenSSLErrorQueue.clear()
        self.source = source
        self.commonName = Self.commonName(of: certificate)
        self.dnsNames = Self.dnsNames(of: certificate)
        self.notBefore = Self.seconds(X509_get0_notBefore(certificate))
        self.notAfter = Self.seconds(X509_get0_notAfter(certificate))
        self.keyType = OBJ_nid2sn(EVP_PKEY_get_base_id(key)).map { String(cString: $0) } ?? "unknown"
        if self.keyType == "rsaEncryption" { self.keyType = "RSA" }
        if self.keyType == "id-ecPublicKey" { self.keyType = "EC" }
        self.isSelfSigned = X509_get_extension_flags(certificate) & UInt32(EXFLAG_SS) != 0
        self.intermediates = intermediates
        self.fingerprint = Self.fingerprint(of: certificate)
    }

    private static func fingerprint(of certificate: OpaquePointer) -> String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &digest, &count) == 1 else { return "" }
        return digest.prefix(Int(count)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func commonName(of certificate: OpaquePointer) -> String? {
        guard let subject = X509_get_subject_name(certificate) else { return nil }
        let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard index >= 0, let entry = X509_NAME_get_entry(subject, index) else { return nil }
        var utf8: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry))
        guard count >= 0, let utf8 else { return nil }
        defer { CRYPTO_free(utf8, #fileID, #line) }
        return String(decoding: UnsafeBufferPointer(start: utf8, count: Int(count)), as: UTF8.self)
    }

    private static func dnsNames(of certificate: OpaquePointer) -> [String] {
        var names: [String] = []
        withUnsafeMutablePointer(to: &names) { names in
            COpenSSL_X509_visit_alternative_names(certificate, names) { names, kind, bytes, count in
                guard kind == GEN_DNS, let names, let bytes, count > 0 else { return }
                let name = UnsafeBufferPointer(start: bytes, count: Int(count))
                names.assumingMemoryBound(to: [String].self).pointee.append(String(decoding: name, as: UTF8.self))
            }
        }
        return names
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        guard let epoch = ASN1_TIME_set(nil, 0) else { return 0 }
        defer { ASN1_TIME_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return 0 }
        return Int64(days) * 86_400 + Int64(seconds)
    }
}
