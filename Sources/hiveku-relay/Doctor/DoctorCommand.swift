import ArgumentParser
import Diagnosis
import Foundation
import RelayCore
import Settings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check everything that the relay depends on, and say what to do.",
        discussion: """
            Looks at settings, certificate, host name, listeners, database, disk, queue and keys. If keys send through \
            SES, also looks at credentials, clock, account, quota, and the identity of each domain that they send \
            from. Nothing is changed and no mail is sent. A running relay is not disturbed.

            Run it as root or as the relay's user: other users can't read the relay's files. Exits with 1 if there is \
            a problem. Warnings do not change the exit status.
            """)

    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        // A listener that closes the connection must not end the command.
        signal(SIGPIPE, SIG_IGN)
        let report = Report(await findings())
        if json {
            try JSONValue(report).print()
        } else {
            let legible = Report(report.findings.map { $0.rewording(printable) })
            print(legible.text(width: terminalWidth()), terminator: "")
        }
        if !report.isOK { throw ExitCode(1) }
    }

    private func findings() async -> [Finding] {
        let environment = ProcessInfo.processInfo.environment
        let settings: RelaySettings
        do {
            settings = try common.read()
        } catch {
            return Judge.settings(file: common.path, mistakes: error.mistakes) + Judge.withoutSettings
        }
        let doctor = Doctor(settings: settings, environment: environment, clock: SystemClock())
        return Judge.settings(file: common.path, mistakes: [])
            + ExposedFiles.ownFile(settings, common.path, environment) + (await doctor.findings())
    }

    /// The width in characters. Nil if the output is not a terminal, or if the terminal does not report its width.
    private func terminalWidth() -> Int? {
        var size = winsize()
        guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }
}

extension JSONValue {
    fileprivate init(_ report: Report) {
        self = .object([
            "ok": .bool(report.isOK),
            "checks": .array(
                report.findings.map { finding in
                    .object([
                        "name": .string(finding.subject.rawValue), "outcome": .string(finding.outcome.rawValue),
                        "found": .string(finding.found), "remedy": JSONValue(finding.remedy),
                    ])
                }),
        ])
    }
}
