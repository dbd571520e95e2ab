import ArgumentParser
import Foundation
import Logging
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The options that every command has.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The settings file. Environment variables such as HIVEKU_RELAY_DATABASE also set them.",
            discussion:
                "Without --config, HIVEKU_RELAY_CONFIG names the file. Without both, \(RelaySettings.defaultFile) is read if it exists.",
            valueName: "file"))
    var configPath: String?

    /// The settings file to read: the one that is named, or the default one if it exists.
    var path: String? {
        RelaySettings.file(option: configPath, environment: ProcessInfo.processInfo.environment)
    }

    /// Reads the settings, and checks them against what this build supports.
    func read() throws(SettingsErrors) -> RelaySettings {
        try RelaySettings.load(
            file: path, environment: ProcessInfo.processInfo.environment, offersPostgreSQL: KnownStores.hasPostgreSQL)
    }

    /// Reads the settings. If there are mistakes, prints all of them and exits with status 78.
    func settings() throws -> RelaySettings {
        do {
            return try read()
        } catch {
            printFailure("\(error)")
            throw ExitCode(78)
        }
    }

    /// Opens the store, whether or not a relay is running on it.
    func store() throws -> any RelayStore {
        let settings = try settings()
        if let file = settings.database.file {
            let isThere =
                FileManager.default.fileExists(atPath: file)
                || FileManager.default.isWritableFile(atPath: settings.stateDirectory)
            guard isThere else {
                throw CommandError(
                    "there is no database at \(file); start the relay once, which creates it, or name the relay's settings with --config"
                )
            }
        }
        try RelayUser.become(ownerOf: settings.stateDirectory)
        return try openStore(settings, for: .command, now: SystemClock().now())
    }
}

extension RelayStore {
    /// The clock for a command's times: the one that the relays on this store share, or this machine's.
    var commandClock: any RelayClock { clock ?? SystemClock() }
}

/// A failure that one sentence explains. The command exits with status 1.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func printError(_ text: String) {
    Output.writeError(text + "\n")
}

/// Prints to standard error why the program ends. If the journal reads standard error, each line begins with the
/// severity of an error, in the form that the relay's log lines use (sd-daemon(3)).
func printFailure(_ text: String) {
    let isJournal = ServiceManager.readsStandardError(ProcessInfo.processInfo.environment)
    let severity = isJournal ? "<\(Logger.Level.error.priority)>" : ""
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { printError(severity + line) }
}

extension KeyID: ExpressibleByArgument {
    /// Accepts a key's id or a whole key: a person who wants to revoke a leaked key has the key at hand.
    public init?(argument: String) {
        if let key = try? APIKey(parsing: Array(argument.utf8)) { self = key.id } else { self.init(argument) }
    }
}

extension MessageID: ExpressibleByArgument {
    /// Accepts the id as SMTP replies and logs write it, or as the HTTP API writes it, with `msg_` in front.
    public init?(argument: String) { self.init(argument) }
}

extension RelayCore.Environment: ExpressibleByArgument {}
extension Scope: ExpressibleByArgument {}
extension QueuedDisposition: ExpressibleByArgument {}
extension MessageState: ExpressibleByArgument {}
extension RecipientStatus: ExpressibleByArgument {}

/// A length of time on the command line: `90d`, `24h`, `30s`.
struct TimeSpan: ExpressibleByArgument {
    let duration: Duration
    let text: String

    /// The longest span: 1000 years. A date that is a longer span away could be outside the calendar's range.
    private static let maximum = Duration.seconds(1000 * 365 * 86_400)

    init(_ duration: Duration, _ text: String) {
        self.duration = duration
        self.text = text
    }

    init?(argument: String) {
        guard let duration = Duration(written: argument), duration > .zero, duration <= TimeSpan.maximum else {
            return nil
        }
        self.duration = duration
        text = argument
    }

    var defaultValueDescription: String { text }
}
