import ArgumentParser
import Foundation
import NIOOpenSSL
import RelayCore
import Settings

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check the settings.", subcommands: [ConfigCheck.self])
}

struct ConfigCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Find every mistake in the settings at once.",
        discussion: """
            Reads the file and the HIVEKU_RELAY_ variables as the relay would, and the certificates that they name. Exits \
            with 78 if there is a mistake. A running relay is not touched.
            """)

    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let mistakes = self.mistakes()
        if json {
            try JSONValue.object([
                "ok": .bool(mistakes.isEmpty), "file": JSONValue(common.path),
                "mistakes": .array(mistakes.map { JSONValue($0) }),
            ]).print()
        } else if mistakes.isEmpty {
            print("\(common.path ?? "no settings file, the defaults"): no mistakes")
        } else {
            for mistake in mistakes { printError("\(mistake)") }
        }
        if !mistakes.isEmpty { throw ExitCode(78) }
    }

    private func mistakes() -> [SettingsMistake] {
        let settings: RelaySettings
        do {
            settings = try RelaySettings.load(file: common.path, environment: ProcessInfo.processInfo.environment)
        } catch {
            return error.mistakes
        }
        do {
            _ = try Certificates(settings: settings, isDemo: false, now: SystemClock().now())
            return []
        } catch {
            let place = SettingsMistake.Place.file(common.path ?? "the defaults", line: nil, column: nil)
            return [SettingsMistake(place, nil, "\(error)")]
        }
    }
}

extension JSONValue {
    init(_ mistake: SettingsMistake) {
        var members: [String: JSONValue] = [
            "setting": JSONValue(mistake.name), "problem": .string(mistake.problem), "file": .null, "line": .null,
            "column": .null, "variable": .null,
        ]
        switch mistake.place {
        case .file(let file, let line, let column):
            members["file"] = .string(file)
            members["line"] = JSONValue(line)
            members["column"] = JSONValue(column)
        case .environment(let variable): members["variable"] = .string(variable)
        }
        self = .object(members)
    }
}
