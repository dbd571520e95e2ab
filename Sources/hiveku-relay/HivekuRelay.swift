import ArgumentParser

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

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
        await main(nil)
    }
}

let relayVersion = "0.1.0"
