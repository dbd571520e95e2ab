import ArgumentParser
import Foundation
import Glibc

@main
struct HivekuRelay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hiveku-relay",
        abstract: "An SMTP submission relay for the Hiveku email API.",
        discussion: """
            Applications log in with the user name 'apikey' and a Hiveku API key as password. Messages of hk_live_ keys \
            are sent through AWS SES, those of hk_test_ keys are simulated and kept for inspection.

            To try it without any configuration:   hiveku-relay serve --demo
            To give an application a key:          hiveku-relay keys create --name shop --environment live --scope email:send
            To see what became of its mail:        hiveku-relay messages list --since 1h

            Exit status: 0, 64 for wrong usage, 78 for a wrong configuration, 1 for anything else.
            """,
        version: relayVersion,
        subcommands: [
            Serve.self, Keys.self, Messages.self, Status.self, ConfigCommand.self, DoctorCommand.self,
        ])

    static func main() async {
        // Dispatch tells syslog, as an error, of every thread whose priority it may not raise, which as no user but root it may.
        setenv("LIBDISPATCH_LOG", "NO", 0)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            try Output.finish()
        } catch {
            end(with: error)
        }
    }

    /// Prints what is to be said of an error, or help, and ends with its status. An argument that is wrong is repeated, which may
    /// be a key where its id was meant.
    private static func end(with error: any Error) -> Never {
        let status = exitCode(for: error)
        let message = withoutKeys(fullMessage(for: error))
        guard !message.isEmpty else { Glibc.exit(status.rawValue) }
        if status.isSuccess {
            // Help that was asked for.
            guard (try? Output.write(Data((message + "\n").utf8))) != nil else { Glibc.exit(1) }
        } else {
            Output.writeError(message + "\n")
        }
        Glibc.exit(status.rawValue)
    }
}

let relayVersion = "0.1.0"
