import ArgumentParser
import Dispatch
import Foundation
import Glibc
import RelayCore

struct HivekuRelay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hiveku-relay",
        abstract: "A relay for the Hiveku email API: it takes mail over SMTP and HTTP.",
        discussion: """
            Over SMTP, applications log in with the user name 'apikey' and a Hiveku API key as the password. Over \
            HTTP, they send the same key in the header Authorization; http.listen switches the HTTP API on. Messages \
            of hk_live_ keys are sent through AWS SES. Messages of hk_test_ keys are simulated and kept for \
            inspection.

            To try it without any configuration:   hiveku-relay serve --demo
            To give an application a key:          hiveku-relay keys create --name shop --environment live --scope email:send
            To see the outcome of its mail:        hiveku-relay messages list --since 1h
            To see whether mail waits, and why:    hiveku-relay status
            To check everything it depends on:     hiveku-relay doctor
            To do this in a browser:               hiveku-relay admin login

            Exit status: 0, 64 for wrong usage, 78 for a wrong configuration, 1 for anything else.
            """,
        version: relayVersion,
        subcommands: [
            Serve.self, Keys.self, Messages.self, TemplatesCommand.self, StatisticsCommand.self,
            SuppressionsCommand.self, WebhooksCommand.self, DomainsCommand.self, FeedbackCommand.self, Status.self,
            AdminCommand.self, ConfigCommand.self, DatabaseCommand.self, DoctorCommand.self,
        ])

    /// Prints help, or the message of an error, and exits with its status. A wrong argument is not repeated: it may be
    /// a key, given where the key's id was meant.
    static func end(with error: any Error) -> Never {
        let status = exitCode(for: error)
        let message = LikelySecret.withheld(in: fullMessage(for: error))
        guard !message.isEmpty else { Glibc.exit(status.rawValue) }
        if status.isSuccess {
            // The user asked for help.
            guard (try? Output.write(Data((message + "\n").utf8))) != nil else { Glibc.exit(1) }
        } else {
            printFailure(message)
        }
        Glibc.exit(status.rawValue)
    }
}

/// A command that root may start. It first does what only root can do, and then becomes another user.
protocol RootCommand: AsyncParsableCommand {
    /// Called before any other thread exists. Afterwards the process runs as the relay's user.
    mutating func leaveRoot() throws
}

/// Asynchronous code does not run on the first thread. When such code begins, Dispatch parks the first thread
/// permanently, with the user that this thread has at that moment. So the process gives up root's rights before any
/// asynchronous code runs: no thread may keep these rights.
@main
enum Program {
    static func main() {
        // Dispatch tries to raise the priority of threads, which only root can do. For another user it would log an
        // error to syslog for every thread, if this variable were not set.
        setenv("LIBDISPATCH_LOG", "NO", 0)
        do {
            let command = try prepared()
            Task.detached { await run(command) }
        } catch {
            HivekuRelay.end(with: error)
        }
        dispatchMain()
    }

    private static func prepared() throws -> sending any ParsableCommand {
        let command = try HivekuRelay.parseAsRoot()
        guard var command = command as? any RootCommand else { return command }
        try command.leaveRoot()
        return command
    }

    private static func run(_ command: any ParsableCommand) async {
        do {
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                var command = command
                try command.run()
            }
            try Output.finish()
            Glibc.exit(0)
        } catch {
            HivekuRelay.end(with: error)
        }
    }
}

let relayVersion = "0.2.0"
