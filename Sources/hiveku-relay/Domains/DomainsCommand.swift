import AWSClient
import ArgumentParser
import Domains
import Foundation
import InternetMessage
import Logging
import RelayCore
import Resolver
import SESTransport
import Settings
import StrictJSON

struct DomainsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "domains",
        abstract: "Add domains to send from, and compare the DNS records that they need with those in DNS.",
        discussion: """
            SES sends for a domain once it has found the domain's DKIM records in DNS. To set one up:

                hiveku-relay domains add example.com
                # Set the records at the domain's DNS provider, and wait some minutes.
                hiveku-relay domains verify example.com

            'add' prints the records, and 'verify' checks whether SES and DNS have them.

            The domains of live keys are identities of the SES account in the region of ses.region. For them the AWS \
            credentials need the permissions ses:CreateEmailIdentity, ses:GetEmailIdentity and \
            ses:ListEmailIdentities. The domains of test keys (--environment test) are simulated: SES and DNS are not \
            asked, and 'verify' sets a domain to verified.

            For each record the state in DNS is printed: 'found', 'missing', 'wrong' (DNS has another value) or \
            'unknown' (the look-up failed). Records that are not required for sending are recommendations.
            """,
        subcommands: [DomainsList.self, DomainsAdd.self, DomainsShow.self, DomainsVerify.self])
}

/// The options of all commands about domains.
struct DomainOptions: ParsableArguments {
    @Option(help: "Domains of test keys or of live keys: test or live.") var environment = RelayCore.Environment.live
    @OptionGroup var common: CommonOptions

    /// Runs `body` on the domains of the environment: the domains in SES for live keys, the domains in the store for
    /// test keys.
    func withDomains<T: Sendable>(
        _ body: (SendingDomains) async throws(DomainFailure) -> T
    ) async throws -> T {
        // A server that closes the connection must not end the command.
        signal(SIGPIPE, SIG_IGN)
        let transport: SESTransport?
        let authority: any DomainAuthority
        switch environment {
        case .test:
            transport = nil
            let store = try common.store()
            authority = SimulatedDomains(store: store, clock: store.commandClock)
        case .live:
            let settings = try common.settings()
            guard let ses = try SESTransport.forCommand(settings.ses) else { throw explained(.unconfigured) }
            transport = ses
            authority = SESDomains(ses)
        }
        let domains = SendingDomains(live: authority, test: authority, resolver: DNSResolver(clock: SystemClock()))
        let result: Result<T, DomainFailure>
        do throws(DomainFailure) { result = .success(try await body(domains)) } catch { result = .failure(error) }
        domains.shutdown()
        await transport?.shutdown()
        switch result {
        case .success(let value): return value
        case .failure(let failure): throw explained(failure)
        }
    }

    private func explained(_ failure: DomainFailure) -> any Error {
        switch failure {
        case .notFound:
            CommandError(
                "there is no such domain for \(environment.rawValue) keys; 'hiveku-relay domains list --environment \(environment.rawValue)' lists all domains, and 'add' adds one"
            )
        case .tooMany(let sentence): CommandError("no domain can be added: \(printable(sentence))")
        case .refused(let words): CommandError("SES does not accept this domain: \(printable(words))")
        case .denied(let permission):
            CommandError("the AWS credentials lack the permission \(permission); allow it to their user or role in IAM")
        case .unconfigured:
            CommandError("live domains need SES: set ses.region, or give --environment test to try it without")
        case .unavailable(let predicate): CommandError("SES does not answer: \(printable(predicate))")
        case .busy: CommandError("too many requests about domains are in progress")
        case .storage(let error): error
        }
    }
}

extension SESTransport {
    /// A transport with short time-outs, because a person waits. Nil if no region is set.
    fileprivate static func forCommand(_ settings: RelaySettings.SES) throws -> SESTransport? {
        guard let region = settings.region else { return nil }
        let logger = Logger(label: "hiveku-relay.domains") { _ in SwiftLogNoOpLogHandler() }
        do throws(SESConfigurationError) {
            let configuration = try SESConfiguration(
                region: region, endpoint: settings.endpoint, concurrency: 1, requestTimeout: .seconds(9),
                connectTimeout: .seconds(5))
            let credentials = CredentialsChain(
                environment: ProcessInfo.processInfo.environment, credentialsFile: settings.credentialsFile,
                profile: settings.profile, clock: SystemClock(), logger: logger)
            return SESTransport(
                configuration: configuration, credentials: credentials, clock: SystemClock(), logger: logger)
        } catch {
            throw CommandError("\(error)")
        }
    }
}

/// A domain on the command line.
struct DomainArgument: ExpressibleByArgument {
    let text: String

    init?(argument: String) { text = argument }

    func name() throws -> DomainName {
        switch SendingDomainName.read(text) {
        case .success(let name): return name
        case .failure(let mistake): throw ValidationError("'\(printable(text))' \(mistake.predicate)")
        }
    }
}

private func print(_ document: JSON) throws { try Output.write(document.bytes + [UInt8(ascii: "\n")]) }

extension SendingDomain {
    /// The name for people, such as `bücher.example (xn--bcher-kva.example)`.
    fileprivate var title: String { name.unicodeText == name.text ? name.text : "\(name.unicodeText) (\(name))" }
}

struct DomainsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List domains to send from.")

    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var options: DomainOptions

    func run() async throws {
        let domains = try await options.withDomains { domains async throws(DomainFailure) in
            try await domains.list(options.environment, limit: DomainsList.most)
        }
        if json {
            for domain in domains { try print(JSON(domain)) }
            return
        }
        guard !domains.isEmpty else { return printError("There are no domains: hiveku-relay domains add --help") }
        var table = Table(["DOMAIN", "STATUS", "SENDS", "ADDED"])
        for domain in domains {
            table.append([
                domain.title, domain.status.rawValue, domain.isSendingEnabled ? "yes" : "no",
                domain.createdAt.map { brief($0) } ?? "-",
            ])
        }
        table.print()
    }

    /// The most identities that an SES account can have in a region.
    private static let most = 10_000
}

/// The options for printing a domain and its records.
struct RecordOutput: ParsableArguments {
    @Flag(help: "Print only the records, as lines for a zone file.") var zone = false
    @Flag(help: "Print the domain as one JSON document.") var json = false

    func validate() throws {
        if zone, json { throw ValidationError("give --zone or --json, not both") }
    }

    func print(_ checked: CheckedDomain) throws {
        if json { return try hiveku_relay.print(JSON(checked)) }
        if zone {
            for checked in checked.records { Swift.print(checked.record.zoneLine) }
            return
        }
        let domain = checked.domain
        Swift.print(
            "\(domain.title): \(domain.status.rawValue), \(domain.isSendingEnabled ? "sends" : "does not send")")
        Swift.print("")
        var table = Table(["IN DNS", "NEEDED", "TYPE", "NAME", "VALUE"])
        for checked in checked.records {
            let record = checked.record
            table.append([
                checked.finding.word.rawValue, record.isRequired ? "yes" : "advice", record.type.name, record.name,
                record.value,
            ])
        }
        table.print()
        let notes = checked.records.compactMap(note)
        if !notes.isEmpty { Swift.print("") }
        for note in notes { Swift.print(printable(note)) }
    }

    private func note(_ checked: CheckedRecord) -> String? {
        let place = "\(checked.record.type.name) \(checked.record.name)"
        switch checked.finding {
        case .missing, .found: return nil
        case .unknown(let reason): return "\(place): \(reason)."
        case .wrong(let values, let reason):
            return "\(place): DNS has \(values.joined(separator: " | "))\(reason.map { "; \($0)" } ?? "")."
        }
    }
}

struct DomainsAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a domain and print the DNS records to set.",
        discussion: """
            A domain that exists already does not change, and is printed. With --zone only the records are printed, so \
            that they can go into a zone file: hiveku-relay domains add example.com --zone >> example.com.zone
            """)

    @Argument(help: ArgumentHelp("The domain, such as example.com.", valueName: "domain")) var domain: DomainArgument
    @OptionGroup var output: RecordOutput
    @OptionGroup var options: DomainOptions

    func validate() throws { _ = try domain.name() }

    func run() async throws {
        let name = try domain.name()
        let (checked, isNew) = try await options.withDomains { domains async throws(DomainFailure) in
            try await domains.add(name, options.environment, by: nil)
        }
        printError(isNew ? "Added \(checked.domain.title)." : "\(checked.domain.title) existed already.")
        try output.print(checked)
    }
}

struct DomainsShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a domain, its DNS records and their state in DNS.")

    @Argument(help: ArgumentHelp("The domain, such as example.com.", valueName: "domain")) var domain: DomainArgument
    @OptionGroup var output: RecordOutput
    @OptionGroup var options: DomainOptions

    func validate() throws { _ = try domain.name() }

    func run() async throws {
        let name = try domain.name()
        try output.print(
            try await options.withDomains { domains async throws(DomainFailure) in
                try await domains.show(name, options.environment)
            })
    }
}

struct DomainsVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check whether the relay can send from a domain.",
        discussion: """
            Asks SES for the state of the domain, and DNS for each record. SES finds the records without further \
            action, minutes to hours after they are set. Exits with 1 while SES does not send from the domain, so that \
            a script can wait for it.
            """)

    @Argument(help: ArgumentHelp("The domain, such as example.com.", valueName: "domain")) var domain: DomainArgument
    @OptionGroup var output: RecordOutput
    @OptionGroup var options: DomainOptions

    func validate() throws { _ = try domain.name() }

    func run() async throws {
        let name = try domain.name()
        let checked = try await options.withDomains { domains async throws(DomainFailure) in
            try await domains.verify(name, options.environment)
        }
        try output.print(checked)
        guard checked.domain.isSendingEnabled else {
            try Output.finish()
            throw ExitCode(1)
        }
    }
}
