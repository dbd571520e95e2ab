import Foundation
import NIOOpenSSL
import RelayCore
import Settings
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The relay's TLS identity. It comes from the files that the settings name; for the demo it is self-signed.
final class Certificates: Sendable {
    /// Certificates that were read and checked, and that can be used.
    struct Reading: Sendable {
        fileprivate let tls: RelaySettings.TLS
        fileprivate let configuration: TLSConfiguration
        fileprivate let context: TLSServerContext
        /// The modification times of the files, noted before the files were read. If a file has another time now, this
        /// reading may lack its latest change.
        fileprivate let modificationTimes: [Date?]

        var certificates: [TLSCertificateInfo] { context.certificates }
    }

    let context: ReloadableTLSContext
    private let inUse: Mutex<Reading>

    /// - Throws: ``CertificateMistake``.
    init(settings: RelaySettings, isDemo: Bool, now: Timestamp) throws(CertificateMistake) {
        var identities = Certificates.identities(settings.tls)
        if identities.isEmpty {
            guard isDemo else { throw CertificateMistake.notSet }
            do {
                identities = [
                    try TLSIdentity.selfSigned(
                        hostnames: ["localhost", "127.0.0.1", "::1"], now: now.milliseconds / 1000)
                ]
            } catch {
                throw CertificateMistake(error)
            }
        }
        let reading = try Certificates.read(settings.tls, identities, ticketKeys: nil)
        context = ReloadableTLSContext(reading.context)
        inUse = Mutex(reading)
    }

    /// Reads the files that `tls` names. The certificates in use do not change until ``use(_:)`` is called. Blocks
    /// while it reads files.
    func read(_ tls: RelaySettings.TLS) throws(CertificateMistake) -> Reading {
        let identities = Certificates.identities(tls)
        guard !identities.isEmpty else { throw CertificateMistake.notSet }
        return try Certificates.read(tls, identities, ticketKeys: context.current.ticketKeys)
    }

    /// Reads again the files that the certificates in use were read from. The result is not in use until ``use(_:)`` is
    /// called.
    func readAgain() throws(CertificateMistake) -> Reading {
        let last = inUse.withLock { $0 }
        return try Certificates.read(
            last.tls, last.configuration.identities, ticketKeys: context.current.ticketKeys)
    }

    /// Uses these certificates for new connections.
    func use(_ reading: Reading) {
        inUse.withLock { $0 = reading }
        context.current = reading.context
    }

    /// The present modification times of the files that the certificates in use were read from.
    var modificationTimes: [Date?] { Certificates.modificationTimes(inUse.withLock { $0.tls }) }

    var modificationTimesAtReading: [Date?] { inUse.withLock { $0.modificationTimes } }

    private static func identities(_ tls: RelaySettings.TLS) -> [TLSIdentity] {
        zip(tls.certificates, tls.privateKeys).map { certificate, key in
            TLSIdentity(certificateChain: .file(certificate), privateKey: .file(key))
        }
    }

    private static func read(
        _ tls: RelaySettings.TLS, _ identities: [TLSIdentity], ticketKeys: TLSTicketKeys?
    ) throws(CertificateMistake) -> Reading {
        let times = modificationTimes(tls)
        let configuration = TLSConfiguration(
            identities: identities, minimumVersion: tls.minimumVersion == .tls13 ? .tls13 : .tls12,
            compatibility: tls.compatibility == .oldDevices ? .oldDevices : .modern)
        do {
            let context = try TLSServerContext(configuration, ticketKeys: ticketKeys)
            return Reading(tls: tls, configuration: configuration, context: context, modificationTimes: times)
        } catch {
            throw CertificateMistake(error)
        }
    }

    /// Returns the modification time of each file. The time is nil if the file is missing, for example while it is
    /// being replaced.
    private static func modificationTimes(_ tls: RelaySettings.TLS) -> [Date?] {
        (tls.certificates + tls.privateKeys).map { path in
            (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
        }
    }
}

/// What is wrong with the certificates that the settings name.
struct CertificateMistake: Error, CustomStringConvertible {
    let description: String

    init(description: String) { self.description = description }

    init(_ error: TLSConfigurationError) {
        let isDenied = error.description.hasSuffix(String(cString: strerror(EACCES)))
        let user =
            "; the relay runs as the user \(NSUserName()), which must be able to read the file and search its directories"
        description = "\(error)" + (isDenied ? user : "")
    }

    static let notSet = CertificateMistake(
        description:
            "tls.certificate and tls.private_key are not set, but clients can log in only under TLS. Name PEM files "
            + "that the relay's user may read, such as /etc/hiveku-relay/tls/fullchain.pem and privkey.pem")
}
