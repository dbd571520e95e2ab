import Listening
import Logging
import NIOOpenSSL
import RelayCore
import Settings
import Synchronization
import TestSupport
import Testing
import UnixSignals

@testable import hiveku_relay

@Suite struct ReloadPartTests {
    /// A part that records the settings that it gets at SIGHUP.
    private final class Follower: RelayPart {
        private let settings = Mutex<[RelaySettings]>([])
        var told: [RelaySettings] { settings.withLock { $0 } }

        func run(among _: RelayParts) async {}
        func reconfigure(_ settings: RelaySettings) { self.settings.withLock { $0.append(settings) } }
    }

    private let directory: TemporaryDirectory
    private let files: CertificateFiles
    private let settings: RelaySettings
    private let certificates: Certificates
    private let log: LogSettings
    private let current: Current<RelaySettings>
    private let follower = Follower()

    init() throws {
        directory = try TemporaryDirectory()
        files = try CertificateFiles(in: directory)
        var settings = RelaySettings.demo(directory: directory.path)
        (settings.tls.certificates, settings.tls.privateKeys) = ([files.certificate], [files.key])
        self.settings = settings
        certificates = try Certificates(settings: settings, isDemo: false, now: SystemClock().now())
        log = LogSettings(settings.log)
        current = Current(settings)
    }

    private var fingerprints: [String] { certificates.context.current.certificates.map(\.fingerprint) }

    private func reload(_ read: (@Sendable () throws(SettingsErrors) -> RelaySettings)?) async {
        let part = ReloadPart(
            settings: current, read: read, certificates: certificates, log: log,
            hangups: await UnixSignalsSequence(trapping: []), clock: SystemClock(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        part.reload(RelayParts([part, follower]))
    }

    private func expectNothingChanged(_ before: [String]) {
        #expect(current.value == settings && follower.told.isEmpty && fingerprints == before && log.level == .info)
    }

    @Test func everyPartReceivesNewSettings() async throws {
        var new = settings
        new.submission.maximumRecipients = 7
        new.log.level = .debug
        let before = fingerprints
        try files.renew()
        await reload { [new] () throws(SettingsErrors) in new }
        #expect(current.value == new && follower.told == [new] && fingerprints != before && log.level == .debug)
    }

    @Test func settingsThatNeedARestartAreNotApplied() async {
        var new = settings
        new.submission.maximumRecipients = 7
        new.hostname = "other.example.com"
        new.database = .sqlite("/elsewhere")
        await reload { [new] () throws(SettingsErrors) in new }
        #expect(follower.told.map(\.submission.maximumRecipients) == [7])
        #expect(follower.told.map(\.database) == [settings.database])
    }

    @Test func aMistakeInTheSettingsChangesNothing() async throws {
        let before = fingerprints
        try files.renew()
        await reload { () throws(SettingsErrors) in throw SettingsErrors([]) }
        expectNothingChanged(before)
    }

    @Test func aMistakeInTheCertificatesChangesNothing() async {
        var new = settings
        new.submission.maximumRecipients = 7
        new.log.level = .debug
        new.tls.privateKeys = [directory.file("missing.pem")]
        let before = fingerprints
        await reload { [new] () throws(SettingsErrors) in new }
        expectNothingChanged(before)
    }

    /// The demo has no file of settings to read again.
    @Test func withoutSettingsOnlyCertificatesAreRead() async throws {
        let before = fingerprints
        try files.renew()
        await reload(nil)
        #expect(fingerprints != before && follower.told.isEmpty && current.value == settings)
    }
}
