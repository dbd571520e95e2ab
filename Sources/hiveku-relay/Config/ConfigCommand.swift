import ArgumentParser
import Diagnosis
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
            Reads the file and the HIVEKU_RELAY_ variables as the relay does, and the certificates that they name. \
            Exits with 78 if there is a mistake. Warns about files with secrets that every user can read. A running \
            relay is not affected, and no connections are made.
            """)

    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let (mistakes, warnings) = findings()
        if json {
            try JSONValue.object([
                "ok": .bool(mistakes.isEmpty), "file": JSONValue(common.path),
                "mistakes": .array(mistakes.map { JSONValue($0) }),
                "warnings": .array(warnings.map { .string($0) }),
            ]).print()
        } else if mistakes.isEmpty {
            for warning in warnings { printError("warning: \(warning)") }
            print("\(common.path ?? "no settings file, the defaults"): no mistakes")
        } else {
            for mistake in mistakes { printFailure("\(mistake)") }
        }
        if !mistakes.isEmpty { throw ExitCode(78) }
    }

    private func findings() -> (mistakes: [SettingsMistake], warnings: [String]) {
        let settings: RelaySettings
        do {
            settings = try common.read()
        } catch {
            return (error.mistakes, [])
        }
        do {
            _ = try Certificates(settings: settings, isDemo: false, now: SystemClock().now())
            let exposed =
                ExposedFiles.findings(settings)
                + ExposedFiles.ownFile(settings, common.path, ProcessInfo.processInfo.environment)
            return ([], exposed.map { "\($0.found); \($0.remedy ?? "")" })
        } catch {
            let place = SettingsMistake.Place.file(common.path ?? "the defaults", line: nil, column: nil)
            return ([SettingsMistake(place, nil, "\(error)")], [])
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
