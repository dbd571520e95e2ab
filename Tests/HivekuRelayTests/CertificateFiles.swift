import Foundation
import NIOOpenSSL
import RelayCore
import TestSupport
import Testing

/// The files of a certificate and its key.
struct CertificateFiles {
    let certificate: String
    let key: String

    init(in directory: TemporaryDirectory) throws {
        certificate = directory.file("certificate.pem")
        key = directory.file("key.pem")
        try renew()
    }

    /// Writes another certificate to the same files.
    func renew() throws {
        let identity = try TLSIdentity.selfSigned(
            hostnames: ["relay.example.com"], now: SystemClock().now().milliseconds / 1000)
        for (source, path) in [(identity.certificateChain, certificate), (identity.privateKey, key)] {
            guard case .bytes(let bytes, _) = source else {
                Issue.record("a self-signed certificate must be in memory")
                return
            }
            try Data(bytes).write(to: URL(filePath: path))
        }
    }
}
