import Diagnosis
import Foundation
import NIOOpenSSL
import RelayCore
import Settings

/// Checks the certificates that the settings name.
struct CertificateCheck: Sendable {
    struct Result: Sendable {
        var findings: [Finding]
        /// The fingerprints of the certificates that could be loaded.
        var fingerprints: [String] = []
    }

    let settings: RelaySettings
    let clock: any RelayClock

    func look() async -> Result {
        let result = await within(Doctor.timeout) { await onOwnThread { read() } }
        return result ?? Result(findings: [Judge.failed(.certificate, "the files could not be read in time")])
    }

    /// Reads each pair of certificate and key separately, so that a pair with a mistake does not hide the others.
    private func read() -> Result {
        let pairs = Array(zip(settings.tls.certificates, settings.tls.privateKeys))
        guard !pairs.isEmpty else { return Result(findings: [Judge.certificateNotSet]) }
        var result = Result(findings: [])
        for (certificate, key) in pairs {
            do {
                for info in try load([(certificate, key)]) {
                    result.fingerprints.append(info.fingerprint)
                    result.findings += Judge.certificate(
                        info, hostname: settings.hostname, key: (key, ExposedFiles.isReadableByAll(key)),
                        now: clock.now())
                }
            } catch {
                result.findings.append(Judge.certificate(unusable: error))
            }
        }
        if let reach = ReachCheck(directory: settings.stateDirectory) {
            let files = settings.tls.certificates + settings.tls.privateKeys
            result.findings += files.compactMap { reach.look(.certificate, at: $0) }
        }
        guard pairs.count > 1, result.fingerprints.count == pairs.count else { return result }
        do {
            _ = try load(pairs)
        } catch {
            result.findings.append(Judge.certificate(unusable: error))
        }
        return result
    }

    private func load(_ pairs: [(String, String)]) throws(TLSConfigurationError) -> [TLSCertificateInfo] {
        let identities = pairs.map { TLSIdentity(certificateChain: .file($0.0), privateKey: .file($0.1)) }
        return try TLSServerContext(TLSConfiguration(identities: identities)).certificates
    }
}
