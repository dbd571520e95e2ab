import Foundation
import NIOOpenSSL
import RelayCore
import Settings

/// The relay's TLS identity: from the files that the settings name, or self-signed for the demo.
struct Certificates: Sendable {
    let context: ReloadableTLSContext
    private let configuration: TLSConfiguration
    private let paths: [String]
    /// Of the files before they were read: what changed since then has not been seen.
    let modificationTimesAtStart: [Date?]

    /// - Throws: ``CertificateMistake``.
    init(settings: RelaySettings, isDemo: Bool, now: Timestamp) throws(CertificateMistake) {
        paths = settings.tls.certificates + settings.tls.privateKeys
        modificationTimesAtStart = Certificates.modificationTimes(paths)
        do {
            var identities = zip(settings.tls.certificates, settings.tls.privateKeys).map { certificate, key in
                TLSIdentity(certificateChain: .file(certificate), privateKey: .file(key))
            }
            if identities.isEmpty {
                guard isDemo else { throw CertificateMistake.notSet }
                identities = [
                    try TLSIdentity.selfSigned(
                        hostnames: ["localhost", "127.0.0.1", "::1"], now: now.milliseconds / 1000)
                ]
            }
            configuration = TLSConfiguration(
                identities: identities, minimumVersion: settings.tls.minimumVersion == .tls13 ? .tls13 : .tls12)
            context = ReloadableTLSContext(try TLSServerContext(configuration))
        } catch let error as CertificateMistake {
            throw error
        } catch {
            throw CertificateMistake(description: "\(error)")
        }
    }

    /// Those in use stay when the new ones are no good.
    func reload() throws { try context.reload(configuration) }

    var modificationTimes: [Date?] { Certificates.modificationTimes(paths) }

    /// A file that is gone for a moment (it is being replaced) has none.
    private static func modificationTimes(_ paths: [String]) -> [Date?] {
        paths.map { path in
            (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
        }
    }
}

/// What is wrong with the certificates that the settings name.
struct CertificateMistake: Error, CustomStringConvertible {
    let description: String

    static let notSet = CertificateMistake(
        description:
            "tls.certificate and tls.private_key are not set, but clients log in under TLS only: name PEM files, "
            + "for example certbot's /etc/letsencrypt/live/NAME/fullchain.pem and privkey.pem")
}
