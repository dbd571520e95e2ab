import ArgumentParser
import CMemory
import Foundation
import Logging
import RelayCore
import Settings
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct Serve: RootCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the relay.",
        discussion: """
            Runs in the foreground until SIGTERM or SIGINT. Then it stops listening, lets clients finish their \
            messages (at most 30 s), and ends. SIGHUP reads settings and certificates again; the log says what \
            changed, and what needs a restart.

            With --demo it needs no configuration: it keeps its state in ./.hiveku-relay, makes a certificate and a \
            test key, listens on 127.0.0.1:2587 (STARTTLS), 127.0.0.1:2465 (TLS) and 127.0.0.1:2580 (HTTP), and serves \
            the operator's page at 127.0.0.1:2581. It prints what to try: a command that sends over SMTP, one that \
            sends over HTTP, and a link to the page.
            """)

    @Flag(help: "Try the relay without any configuration.") var demo = false
    @OptionGroup var common: CommonOptions

    /// What was read and bound before the first asynchronous step.
    private struct Start {
        var demo: Demo?
        var settings: RelaySettings
        /// The sockets that root has bound; nil if the server binds its sockets itself.
        var sockets: ListenPlaces?
    }
    private var started: Start?

    /// The properties that are options of the command line. `started` is not one of them.
    private enum CodingKeys: CodingKey { case demo, common }

    func validate() throws {
        if demo, common.configPath != nil { throw ValidationError("--demo has its own settings; leave --config out") }
    }

    mutating func leaveRoot() throws {
        let start = try start()
        started = start
        // The operator's page rarely needs much memory, and the process should not keep it.
        if start.settings.admin.listen != nil { cmemory_keep_little() }
    }

    /// If root starts the relay, binds the sockets and becomes the relay's user. The settings are then read again, so
    /// that a file that this user can't read is reported now and not at the first SIGHUP.
    private func start() throws -> Start {
        if demo {
            let demo = try Demo(environment: ProcessInfo.processInfo.environment)
            return Start(demo: demo, settings: demo.settings)
        }
        let settings = try common.settings()
        guard RelayUser.isAnother(thanOwnerOf: settings.stateDirectory) else { return Start(settings: settings) }
        let sockets = try ListenPlaces.bound(settings)
        try RelayUser.become(ownerOf: settings.stateDirectory)
        return Start(settings: try common.settings(), sockets: sockets)
    }

    func run() async throws {
        // A client that has closed the connection must not end the relay: writing to it fails instead.
        signal(SIGPIPE, SIG_IGN)
        let environment = ProcessInfo.processInfo.environment
        // Signals are trapped from the start, so that a relay that is stopped while it starts also stops in order.
        let ending = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        let clock = SystemClock()
        let start = try started ?? start()
        let (demo, settings) = (start.demo, start.settings)
        let manager = ServiceManager(
            environment: environment, processID: ProcessInfo.processInfo.processIdentifier)
        let log = LogSettings(settings.log, level: demo == nil ? nil : .warning)
        let destination: RelayLogHandler.Destination =
            ServiceManager.readsStandardError(environment) ? .journal : .standardError
        LoggingSystem.bootstrap { _ in
            RelayLogHandler(settings: log, to: destination, clock: clock)
        }
        let relay = try await Relay.assemble(
            settings: settings, exposed: demo == nil ? ExposedFiles.ownFile(settings, common.path, environment) : [],
            sockets: start.sockets, rereading: demo == nil ? rereading(environment) : nil,
            demo: demo,
            environment: environment, manager: manager, hangups: hangups, clock: clock, log: log,
            logger: Logger(label: "hiveku-relay"))
        try await relay.run(until: ending)
    }

    /// Returns a function that reads the settings again, in the same way as at the start.
    private func rereading(
        _ environment: [String: String]
    ) -> @Sendable () throws(SettingsErrors) -> RelaySettings {
        let option = common.configPath
        return { () throws(SettingsErrors) in
            try RelaySettings.load(
                file: RelaySettings.file(option: option, environment: environment), environment: environment,
                offersPostgreSQL: KnownStores.hasPostgreSQL)
        }
    }
}
