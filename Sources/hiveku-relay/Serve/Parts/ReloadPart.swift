import Listening
import Logging
import NIOOpenSSL
import RelayCore
import ServiceLifecycle
import Settings
import UnixSignals

/// Reads settings and certificates again on SIGHUP. Also reads certificates when their files have changed, and renews
/// the key of session tickets.
///
/// A reload is all or nothing: after any mistake, everything stays as it was. Changed settings that need a restart are
/// named in the log.
struct ReloadPart: RelayPart {
    /// The settings that the relay runs with.
    let settings: Current<RelaySettings>
    /// Nil for the demo, which has its own settings.
    let read: (@Sendable () throws(SettingsErrors) -> RelaySettings)?
    /// The certificates belong to no single part. They are read with the settings, and a mistake in them prevents the
    /// reload.
    let certificates: Certificates
    /// The log belongs to the process and to no part: it exists before the parts.
    let log: LogSettings
    let hangups: UnixSignalsSequence
    let clock: any RelayClock
    let logger: Logger

    func run(among parts: RelayParts) async {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in hangups { reload(parts) }
                }
                group.addTask { await watchFiles() }
                group.addTask { await rotateTicketKeys() }
            }
        }
    }

    func reload(_ parts: RelayParts) {
        guard let read else { return reloadCertificates(because: "SIGHUP") }
        let found: RelaySettings
        do {
            found = try read()
        } catch {
            for mistake in error.mistakes {
                logger.error("settings not reloaded, nothing was changed", metadata: ["error": "\(mistake)"])
            }
            return
        }
        let revision = settings.value.revised(by: found)
        do {
            use(try certificates.read(revision.settings.tls), because: "SIGHUP")
        } catch {
            logger.error(
                "certificates not reloaded; nothing was changed, not even the settings",
                metadata: ["error": "\(error)"])
            return
        }
        settings.value = revision.settings
        parts.reconfigure(revision.settings)
        log.use(revision.settings.log)
        tell(revision)
    }

    private func tell(_ revision: RelaySettings.Revision) {
        if revision.changed.isEmpty {
            logger.notice("settings read, nothing to change without a restart")
        } else {
            logger.notice("settings changed", metadata: ["settings": "\(revision.changed.joined(separator: ", "))"])
        }
        if !revision.awaitingRestart.isEmpty {
            logger.warning(
                "some changed settings take effect only after a restart",
                metadata: ["settings": "\(revision.awaitingRestart.joined(separator: ", "))"])
        }
    }

    private func watchFiles() async {
        var tried = certificates.modificationTimesAtReading
        while !Task.isCancelled {
            do { try await clock.sleep(until: clock.now() + .seconds(10)) } catch { break }
            let now = certificates.modificationTimes
            // A mistake in the files is reported once, until the files change again.
            guard now != certificates.modificationTimesAtReading, now != tried else { continue }
            tried = now
            reloadCertificates(because: "the files have changed")
        }
    }

    /// Renews the key of session tickets at intervals: an attacker who takes a key from the relay's memory must not be
    /// able to decrypt weeks of recorded sessions (RFC 5077 section 5.6). The previous key is still accepted, for
    /// longer than a ticket is valid.
    private func rotateTicketKeys() async {
        while !Task.isCancelled {
            do { try await clock.sleep(until: clock.now() + ReloadPart.ticketKeyTime) } catch { break }
            do {
                try certificates.context.current.ticketKeys.rotate()
            } catch {
                logger.error("the key of session tickets could not be renewed", metadata: ["error": "\(error)"])
            }
        }
    }

    static let ticketKeyTime = Duration.seconds(12 * 3600)

    private func reloadCertificates(because reason: String) {
        do {
            use(try certificates.readAgain(), because: reason)
        } catch {
            logger.error("certificates not reloaded, the old ones stay in use", metadata: ["error": "\(error)"])
        }
    }

    private func use(_ reading: Certificates.Reading, because reason: String) {
        certificates.use(reading)
        for certificate in reading.certificates {
            logger.notice(
                "certificate loaded",
                metadata: [
                    "file": "\(certificate.source)", "names": "\(certificate.dnsNames.joined(separator: ","))",
                    "until": "\(Timestamp(milliseconds: certificate.notAfter * 1000))",
                    "sha256": "\(certificate.fingerprint)",
                    "because": "\(reason)",
                ])
        }
    }
}
