import Foundation
import NIOOpenSSL
import TestSupport
import Testing

/// Certificates and keys from PEM, and the errors of those that cannot be used.
@Suite struct IdentityTests {
    private static func failure(_ identities: [TLSIdentity]) -> TLSConfigurationError? {
        do throws(TLSConfigurationError) {
            _ = try TLSServerContext(TLSConfiguration(identities: identities))
            return nil
        } catch {
            return error
        }
    }

    // MARK: - Certificates and keys that can be used

    @Test func `Files of every form that tools write are read`() async throws {
        let material = try await Material.shared
        let directory = try TemporaryDirectory()
        for (name, certificate, key, keyType) in [
            ("chain", material.ec + material.intermediate, material.ecKey, "EC"),
            ("rsa", material.rsa, material.rsaKey, "RSA"),
            ("traditional", material.rsa, material.rsaKeyTraditional, "RSA"),
            ("parameters", material.ec384, material.ec384Key, "EC"),
            ("ed25519", material.ed25519, material.ed25519Key, "ED25519"),
            // A file with everything: the key first, then other text, then the certificate.
            (
                "both", material.rsaKey + Array("words\n".utf8) + material.rsa, material.rsa + material.rsaKey, "RSA"
            ),
        ] {
            let identity = TLSIdentity(
                certificateChain: .file(try directory.write(certificate, to: name + ".pem")),
                privateKey: .file(try directory.write(key, to: name + ".key")))
            let context = try TLSServerContext(TLSConfiguration(identities: [identity]))
            #expect(context.certificates.map(\.keyType) == [keyType])
            #expect(context.certificates.map(\.source) == [directory.path(name + ".pem")])
            _ = try connect(to: context)
        }
    }

    @Test func `A certificate says what it is`() async throws {
        let material = try await Material.shared
        let context = try TLSServerContext(
            TLSConfiguration(identities: [material.rsaIdentity, material.ecIdentity]))
        #expect(context.certificates.map(\.keyType) == ["RSA", "EC"])
        let info = try #require(context.certificates.first)
        #expect(info.commonName == "rsa.example")
        #expect(info.dnsNames == ["mail.example", "*.relay.example"])
        #expect(info.source == "rsa.pem")
        #expect(info.notAfter - info.notBefore == 30 * 86_400)
        #expect(info.notBefore > testTime)
        let nameless = try TLSServerContext(
            TLSConfiguration(identities: [Material.identity(material.ec384, material.ec384Key, "nameless")]))
        #expect(nameless.certificates.map(\.commonName) == [nil])
    }

    @Test func `A certificate says who vouches for it`() async throws {
        let material = try await Material.shared
        let infos = try TLSServerContext(
            TLSConfiguration(identities: [material.rsaIdentity, material.ecIdentity])
        ).certificates
        #expect(infos.map(\.isSelfSigned) == [true, false])
        #expect(infos.map(\.intermediates) == [0, 1])
        #expect(infos.allSatisfy { $0.fingerprint.count == 64 && $0.fingerprint == $0.fingerprint.lowercased() })
        #expect(Set(infos.map(\.fingerprint)).count == 2)
    }

    @Test func `An expired certificate is used, and tells when it expired`() throws {
        let identity = try TLSIdentity.selfSigned(
            hostnames: ["mail.example"], now: 1_000_000_000, validity: .seconds(86_400))
        let context = try TLSServerContext(TLSConfiguration(identities: [identity]))
        let info = try #require(context.certificates.first)
        #expect(info.notBefore == 1_000_000_000 - 3_600)
        #expect(info.notAfter == 1_000_000_000 + 86_400)
        _ = try connect(to: context)
    }

    @Test func `Dates far away are told right`() throws {
        // After 2049, the dates of a certificate have another form (RFC 5280, section 4.1.2.5).
        for now in [Int64(0) + 3_600, 2_524_608_000, 4_102_444_800] {
            let identity = try TLSIdentity.selfSigned(hostnames: ["a.example"], now: now)
            let info = try #require(try TLSServerContext(TLSConfiguration(identities: [identity])).certificates.first)
            #expect(info.notBefore == now - 3_600)
            #expect(info.notAfter == now + 365 * 86_400)
        }
    }

    // MARK: - Certificates and keys that cannot be used

    @Test func `Each mistake has its own error`() async throws {
        let material = try await Material.shared
        let cut = Array(material.rsa.prefix(400))
        var damaged = material.rsa
        damaged[200] = UInt8(ascii: "!")
        var damagedKey = material.rsaKey
        damagedKey[200] = UInt8(ascii: "!")
        let table: [(String, [UInt8], [UInt8], TLSConfigurationError.Code, String, String)] = [
            ("empty certificate", [], material.rsaKey, .noCertificate, "x.pem", "certificate"),
            ("text", Array("hello\n".utf8), material.rsaKey, .noCertificate, "x.pem", "BEGIN CERTIFICATE"),
            ("DER", material.rsaDER, material.rsaKey, .noCertificate, "x.pem", "PEM"),
            ("key as certificate", material.rsaKey, material.rsaKey, .noCertificate, "x.pem", "certificate"),
            ("cut off", cut, material.rsaKey, .malformedCertificate, "x.pem", "certificate number 1"),
            ("damaged", damaged, material.rsaKey, .malformedCertificate, "x.pem", "certificate number 1"),
            (
                "second damaged", material.rsa + damaged, material.rsaKey, .malformedCertificate, "x.pem",
                "certificate number 2"
            ),
            ("empty key", material.rsa, [], .noPrivateKey, "x.key", "private key"),
            ("certificate as key", material.rsa, material.rsa, .noPrivateKey, "x.key", "BEGIN PRIVATE KEY"),
            ("DER key", material.rsa, material.rsaKeyDER, .noPrivateKey, "x.key", "PEM"),
            ("damaged key", material.rsa, damagedKey, .malformedPrivateKey, "x.key", "private key"),
            ("encrypted", material.rsa, material.rsaKeyEncrypted, .encryptedPrivateKey, "x.key", "openssl pkey -in"),
            (
                "encrypted, older form", material.rsa, material.rsaKeyTraditionalEncrypted, .encryptedPrivateKey,
                "x.key", "passphrase"
            ),
            ("other key", material.rsa, material.weakKey, .keyMismatch, "x.key", "not … certificate … x.pem"),
            ("other kind of key", material.rsa, material.ecKey, .keyMismatch, "x.key", "not … certificate … x.pem"),
            (
                "wrong order", material.intermediate + material.ec, material.ecKey, .keyMismatch, "x.key",
                "certificate number 2 … x.pem … first"
            ),
            ("short key", material.weak, material.weakKey, .refused, "x.pem", "too small"),
            (
                "too large", [UInt8](repeating: 10, count: 1_048_577), material.rsaKey, .tooLarge, "x.pem", "1 MiB"
            ),
        ]
        for (name, certificate, key, code, source, part) in table {
            let error = Self.failure([Material.identity(certificate, key, "x")])
            #expect(error?.code == code, "\(name): \(String(describing: error))")
            #expect(error?.source == source, "\(name)")
            let text = error?.description ?? ""
            #expect(text.reads("\(source): … \(part) …"), "\(name): \(text)")
        }
    }

    @Test func `No certificate at all`() {
        let error = Self.failure([])
        #expect(error?.code == .noIdentity)
        #expect(error?.description.mentions("TLS", "certificate", "private key") == true)
    }

    @Test func `Two certificates with the same kind of key`() async throws {
        let material = try await Material.shared
        let other = Material.identity(material.ec384, material.ec384Key, "other")
        let error = Self.failure([material.rsaIdentity, material.ecIdentity, other])
        #expect(error?.code == .sameKeyType)
        #expect(error?.source == "other.pem")
        #expect(error?.description.mentions("EC", "ec.pem") == true)
    }

    @Test func `Files that cannot be read`() async throws {
        let material = try await Material.shared
        let directory = try TemporaryDirectory()
        let certificate = try directory.write(material.rsa, to: "rsa.pem")
        let large = try directory.write([UInt8](repeating: 10, count: 1_048_577), to: "large")
        let missing = directory.path("missing")
        let pipe = directory.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let table: [(TLSPEMSource, TLSPEMSource, TLSConfigurationError.Code, String, String)] = [
            (.file(missing), .file(missing), .unreadable, missing, "No such file or directory"),
            (.file(certificate), .file(missing), .unreadable, missing, "No such file or directory"),
            (.file(directory.url.path), .file(missing), .unreadable, directory.url.path, "Is a directory"),
            (.file(large), .file(missing), .tooLarge, large, "1 MiB"),
            (.file(certificate), .file("/dev/zero"), .unreadable, "/dev/zero", "device"),
            (.file(certificate), .file("/dev/null"), .unreadable, "/dev/null", "device"),
            (.file(certificate), .file(pipe), .unreadable, pipe, "a pipe"),
        ]
        for (certificate, key, code, source, part) in table {
            let error = Self.failure([TLSIdentity(certificateChain: certificate, privateKey: key)])
            #expect(error?.code == code, "\(source)")
            #expect(error?.source == source)
            #expect(error?.description.contains(part) == true, "\(String(describing: error))")
        }
    }

    @Test func `No error and no description shows what a key file holds`() async throws {
        let material = try await Material.shared
        let secret = String(decoding: material.rsaKey.dropFirst(100).prefix(40), as: UTF8.self)
        let source = TLSPEMSource.bytes(material.rsaKey, name: "rsa.key")
        var text = "\(source) \(String(reflecting: source))"
        dump(TLSConfiguration(identities: [material.rsaIdentity]), to: &text)
        if let error = Self.failure([Material.identity(material.weak, material.rsaKey, "x")]) { dump(error, to: &text) }
        #expect(text.contains("rsa.key (\(material.rsaKey.count) octets)"))
        #expect(!text.contains(secret) && !text.contains("BEGIN"))
        #expect("\(TLSPEMSource.file("/etc/key.pem"))" == "file /etc/key.pem")
    }

    // MARK: - Self-signed certificates

    @Test(
        arguments: [
            (["mail.example"], ["DNS:mail.example"]),
            (
                ["localhost", "127.0.0.1", "::1"],
                ["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"]
            ),
            (["*.relay.example", "relay.example"], ["DNS:*.relay.example", "DNS:relay.example"]),
            (["2001:db8::25"], ["IP Address:2001:DB8:0:0:0:0:0:25"]),
        ])
    func `A self-signed certificate has the names asked for`(names: [String], listed: [String]) async throws {
        let identity = try TLSIdentity.selfSigned(hostnames: names, now: testTime)
        let context = try TLSServerContext(TLSConfiguration(identities: [identity]))
        let info = try #require(context.certificates.first)
        #expect(info.commonName == names.first)
        #expect(info.keyType == "EC")
        #expect(info.dnsNames == listed.compactMap { $0.hasPrefix("DNS:") ? String($0.dropFirst(4)) : nil })
        guard case .bytes(let certificate, _) = identity.certificateChain else {
            Issue.record("a self-signed certificate must be in memory")
            return
        }
        // The `openssl` command reads the certificate, too.
        let directory = try TemporaryDirectory()
        let path = try directory.write(certificate, to: "certificate.pem")
        let shown = try await OpenSSLTool.run(["x509", "-in", path, "-noout", "-text"])
        #expect(shown.status == 0)
        #expect(shown.output.contains(listed.joined(separator: ", ") + "\n"), "\(shown.output)")
        #expect(shown.output.contains("Version: 3 (0x2)") && shown.output.contains("CA:FALSE"))
        // The certificate verifies if it is itself the trusted certificate.
        let purpose = ["verify", "-purpose", "sslserver", "-attime", "\(testTime)", "-CAfile", path, path]
        #expect(try await OpenSSLTool.run(purpose).status == 0)
    }

    @Test func `Two self-signed certificates share nothing`() throws {
        let first = try TLSIdentity.selfSigned(hostnames: ["a.example"], now: testTime)
        let second = try TLSIdentity.selfSigned(hostnames: ["a.example"], now: testTime)
        let mixed = TLSIdentity(certificateChain: first.certificateChain, privateKey: second.privateKey)
        #expect(Self.failure([mixed])?.code == .keyMismatch)
    }

    @Test func `A name longer than a common name may be is an alternative name`() throws {
        let long = Array(repeating: "abcdefghi", count: 8).joined(separator: ".") + ".example"
        let identity = try TLSIdentity.selfSigned(hostnames: [long], now: testTime)
        let info = try #require(try TLSServerContext(TLSConfiguration(identities: [identity])).certificates.first)
        #expect(info.commonName == "self-signed")
        #expect(info.dnsNames == [long])
    }

    @Test(
        arguments: [
            [], [""], ["a.example", ""], ["mail example"], ["a.example,DNS:b.example"], ["a.example\nIP:1.2.3.4"],
            ["a..example"], ["a.*.example"], ["*"], ["mäil.example"], ["fe80::1%eth0"], ["1.2.3.4\0,DNS:b.example"],
            [String(repeating: "a", count: 64) + ".example"],
            [Array(repeating: "a", count: 150).joined(separator: ".")],
        ])
    func `What is no name gets no certificate`(names: [String]) {
        let error = #expect(throws: TLSConfigurationError.self) {
            try TLSIdentity.selfSigned(hostnames: names, now: testTime)
        }
        #expect(error?.code == .invalidHostname)
    }
}
