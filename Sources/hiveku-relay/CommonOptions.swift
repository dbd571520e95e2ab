import ArgumentParser
import Foundation
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The settings file. Settings can also come from the environment: HIVEKU_RELAY_DATABASE and so on.",
            discussion:
                "Without it HIVEKU_RELAY_CONFIG names the file; else \(RelaySettings.defaultFile) is read if it exists.",
            valueName: "file"))
    var configPath: String?

    /// The file to read: the one named, or the default one if it is there.
    var path: String? {
        RelaySettings.file(option: configPath, environment: ProcessInfo.processInfo.environment)
    }

    /// Reads the settings as this build can take them.
    func read() throws(SettingsErrors) -> RelaySettings {
        try RelaySettings.load(
            file: path, environment: ProcessInfo.processInfo.environment, offersPostgreSQL: KnownStores.hasPostgreSQL)
    }

    /// Prints every mistake and ends with status 78 when there are any.
    func settings() throws -> RelaySettings {
        do {
            return try read()
        } catch {
            printError("\(error)")
            throw ExitCode(78)
        }
    }

    /// The store of a relay that may be running or not.
    func store() throws -> any RelayStore {
        let settings = try settings()
        if let file = settings.database.file {
            let isThere =
                FileManager.default.fileExists(atPath: file)
                || FileManager.default.isWritableFile(atPath: settings.stateDirectory)
            guard isThere else {
                throw CommandError(
                    "there is no database at \(file); start the relay first, or name its settings with --config")
            }
        }
        try RelayUser.become(ownerOf: settings.stateDirectory)
        return try openStore(settings, for: .command, now: SystemClock().now())
    }
}

extension RelayStore {
    /// The clock that a command's times come from: the one that the relays on this store share, or this machine's.
    var commandClock: any RelayClock { clock ?? SystemClock() }
}

/// A failure that is told in one sentence; ends with status 1.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func printError(_ text: String) {
    Output.writeError(text + "\n")
}

extension KeyID: ExpressibleByArgument {
    /// Of a whole key too: it is at hand when it has leaked and is to be revoked.
    public init?(argument: String) {
        if let key = try? APIKey(parsing: Array(argument.utf8)) { self = key.id } else { self.init(argument) }
    }
}

extension MessageID: ExpressibleByArgument {
    /// As SMTP replies and logs write it, or as the HTTP API does, with `msg_` in front.
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

    /// Beyond it there is no calendar to reckon with.
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
