import NIOOpenSSL

/// Certificates and keys, made by `openssl` once for all tests that need more than a self-signed certificate. They are
/// PEM unless the name says otherwise. They are kept only in memory.
struct Material: Sendable {
    var root: [UInt8]
    var intermediate: [UInt8]
    /// ECDSA P-256, issued by `intermediate`.
    var ec: [UInt8]
    var ecKey: [UInt8]
    /// ECDSA P-384, self-signed. The key is in the older form, after a block with its parameters.
    var ec384: [UInt8]
    var ec384Key: [UInt8]
    /// RSA, 2,048 bits, self-signed.
    var rsa: [UInt8]
    var rsaKey: [UInt8]
    /// `rsaKey` in the older form (PKCS #1).
    var rsaKeyTraditional: [UInt8]
    var rsaKeyEncrypted: [UInt8]
    var rsaKeyTraditionalEncrypted: [UInt8]
    var rsaDER: [UInt8]
    var rsaKeyDER: [UInt8]
    /// RSA, 1,024 bits: too short for OpenSSL at the level in use.
    var weak: [UInt8]
    var weakKey: [UInt8]
    var ed25519: [UInt8]
    var ed25519Key: [UInt8]

    private static let task = Task { try await Self.make() }
    static var shared: Material { get async throws { try await Self.task.value } }

    var ecIdentity: TLSIdentity { Self.identity(self.ec + self.intermediate, self.ecKey, "ec") }
    var rsaIdentity: TLSIdentity { Self.identity(self.rsa, self.rsaKey, "rsa") }
    /// The certificates with which a client can verify either of the two identities.
    var trusted: [UInt8] { self.root + self.rsa }

    static func identity(_ certificate: [UInt8], _ key: [UInt8], _ name: String) -> TLSIdentity {
        TLSIdentity(
            certificateChain: .bytes(certificate, name: name + ".pem"), privateKey: .bytes(key, name: name + ".key"))
    }

    private static let configuration = """
        [req]
        distinguished_name = names
        [names]
        [authority]
        basicConstraints = critical, CA:TRUE
        keyUsage = critical, keyCertSign
        subjectKeyIdentifier = hash
        [server]
        subjectAltName = DNS:mail.example, DNS:*.relay.example, IP:127.0.0.1, email:postmaster@mail.example
        extendedKeyUsage = serverAuth
        """

    private static func make() async throws -> Material {
        let directory = try TemporaryDirectory()
        try directory.write(Array(Self.configuration.utf8), to: "openssl.cnf")
        func certificate(_ name: String, _ key: [String], _ section: String, issuer: String? = nil) async throws {
            try await OpenSSLTool.succeed(
                ["req", "-x509", "-config", "openssl.cnf", "-extensions", section, "-nodes", "-days", "30"]
                    + ["-subj", "/O=Test/CN=\(name).example", "-keyout", "\(name).key", "-out", "\(name).pem"]
                    + (issuer.map { ["-CA", "\($0).pem", "-CAkey", "\($0).key"] } ?? []) + key,
                in: directory)
        }
        let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        try await certificate("root", p256, "authority")
        try await certificate("intermediate", p256, "authority", issuer: "root")
        try await certificate("ec", p256, "server", issuer: "intermediate")
        try await certificate("rsa", ["-newkey", "rsa:2048"], "server")
        try await certificate("weak", ["-newkey", "rsa:1024"], "server")
        try await certificate("ed25519", ["-newkey", "ed25519"], "server")
        for command in [
            "ecparam -name secp384r1 -genkey -out ec384.key",
            "req -x509 -config openssl.cnf -extensions server -key ec384.key -subj /O=Test -days 30 -out ec384.pem",
            "pkey -in rsa.key -traditional -out traditional.key",
            "pkey -in rsa.key -aes256 -passout pass:secret -out encrypted.key",
            "pkey -in rsa.key -traditional -aes256 -passout pass:secret -out traditional-encrypted.key",
            "x509 -in rsa.pem -outform DER -out rsa.der",
            "pkey -in rsa.key -outform DER -out rsa-key.der",
        ] {
            try await OpenSSLTool.succeed(command.split(separator: " ").map(String.init), in: directory)
        }
        return Material(
            root: try directory.read("root.pem"), intermediate: try directory.read("intermediate.pem"),
            ec: try directory.read("ec.pem"), ecKey: try directory.read("ec.key"),
            ec384: try directory.read("ec384.pem"), ec384Key: try directory.read("ec384.key"),
            rsa: try directory.read("rsa.pem"), rsaKey: try directory.read("rsa.key"),
            rsaKeyTraditional: try directory.read("traditional.key"),
            rsaKeyEncrypted: try directory.read("encrypted.key"),
            rsaKeyTraditionalEncrypted: try directory.read("traditional-encrypted.key"),
            rsaDER: try directory.read("rsa.der"), rsaKeyDER: try directory.read("rsa-key.der"),
            weak: try directory.read("weak.pem"), weakKey: try directory.read("weak.key"),
            ed25519: try directory.read("ed25519.pem"), ed25519Key: try directory.read("ed25519.key"))
    }
}
