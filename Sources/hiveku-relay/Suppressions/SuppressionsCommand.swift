import ArgumentParser
import InternetMessage
import RelayCore

struct SuppressionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suppressions",
        abstract: "Show and change the list of addresses to which no mail is sent.",
        discussion: """
            A hard bounce or a complaint puts an address on the list; people can add others. A message to an address \
            on the list is accepted as usual, but this recipient gets the status 'suppressed' and is never handed to \
            SES. The message is still sent to its other recipients. There is a list for live keys and one for test keys. Upper and \
            lower case make no difference.

            A change takes effect at once, also for messages that wait in the queue.
            """,
        subcommands: [
            SuppressionsList.self, SuppressionsAdd.self, SuppressionsRemove.self, SuppressionsImport.self,
            SuppressionsExport.self,
        ])
}

extension SuppressionReason: ExpressibleByArgument {}

/// An address in the form that a message's recipients have.
func canonicalAddress(_ text: String) -> Result<String, SuppressionFile.LineMistake> {
    do throws(AddressError) {
        return .success(try AddrSpec(parsing: text.utf8).text)
    } catch {
        let sentence = error.explanation
        return .failure(.init(sentence.prefix(1).lowercased() + sentence.dropFirst()))
    }
}

extension SuppressionStore {
    /// Passes all entries that match to `tell`, one page at a time, so that a long list needs little memory.
    func forEachPage(_ filter: SuppressionFilter, _ tell: ([Suppression]) throws -> Void) async throws {
        var page = filter
        var left = filter.limit
        while left > 0 {
            page.limit = min(left, Suppression.pageOfCommands)
            let found = try await suppressions(page)
            try tell(found)
            left -= found.count
            guard found.count == page.limit, let last = found.last else { return }
            page.after = SuppressionFilter.Cursor(last)
        }
    }
}

extension Suppression {
    /// The number of entries that a command reads or writes at a time. A batch of this size does not delay mail.
    static let pageOfCommands = 1000
}

extension JSONValue {
    init(_ entry: Suppression) {
        self = .object([
            "address": .string(entry.address), "environment": .string(entry.environment.rawValue),
            "reason": .string(entry.reason.rawValue), "created_at": JSONValue(entry.createdAt),
            "message": JSONValue(entry.message?.description), "note": JSONValue(entry.note),
        ])
    }
}

struct SuppressionsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List suppressed addresses.")

    @Option(help: "Only the list for test keys or the list for live keys: test or live.") var environment:
        RelayCore.Environment?
    @Option(help: "Only for this reason: hard_bounce, complaint or manual.") var reason: SuppressionReason?
    @Option(help: ArgumentHelp("Only addresses that contain this text.", valueName: "text")) var search: String?
    @Option(help: "The most entries to list.") var limit = 100
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit must be 1 or more") }
    }

    func run() async throws {
        let store = try common.store()
        let filter = SuppressionFilter(environment: environment, reason: reason, search: search, limit: limit)
        var table = Table(["ADDRESS", "KEYS", "REASON", "SINCE", "MESSAGE", "NOTE"])
        var count = 0
        try await store.forEachPage(filter) { page in
            count += page.count
            if json { return try JSONValue.print(page.lazy.map { JSONValue($0) }) }
            for entry in page {
                table.append([
                    entry.address, entry.environment.rawValue, entry.reason.rawValue, brief(entry.createdAt),
                    entry.message?.description ?? "-", entry.note ?? "-",
                ])
            }
        }
        guard !json else { return }
        guard count > 0 else { return printError("No suppressed address matches.") }
        table.print()
        if count == limit { printError("There may be more: use --limit or --search.") }
    }
}

struct SuppressionsAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Put addresses on the list, for the reason 'manual'.",
        discussion: "The entry of an address that is already on the list does not change.")

    @Argument(help: ArgumentHelp("Addresses, such as user@example.com.", valueName: "address")) var addresses: [String]
    @Option(help: "Which list: test (for test keys) or live (for live keys).") var environment = RelayCore.Environment
        .live
    @Option(help: "A note that says why, of at most \(Suppression.longestNote) characters.") var note: String?
    @Flag(help: "Print the entries as one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    private func canonical() throws -> [String] {
        try addresses.map { address in
            switch canonicalAddress(address) {
            case .success(let canonical): return canonical
            case .failure(let mistake): throw ValidationError("'\(printable(address))': \(mistake.explanation)")
            }
        }
    }

    func validate() throws {
        _ = try canonical()
        if let note, note.count > Suppression.longestNote {
            throw ValidationError("--note is longer than \(Suppression.longestNote) characters")
        }
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let entries = try canonical().map {
            Suppression(environment: environment, address: $0, reason: .manual, createdAt: now, note: note)
        }
        let added = try await store.add(entries)
        if json {
            var listed: [Suppression] = []
            for entry in entries {
                if let found = try await store.suppression(of: entry.address, in: environment) { listed.append(found) }
            }
            return try JSONValue.print(listed.map { JSONValue($0) })
        }
        let before = entries.count - added
        printError(
            "Added \(counted(added, "address", "addresses")) to the list for \(environment.rawValue) keys."
                + (before > 0 ? " \(before) \(before == 1 ? "was" : "were") already on it." : ""))
    }
}

struct SuppressionsRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take addresses off the list, so that they get mail again.",
        discussion: """
            If one of them is not on the list, nothing is removed. A recipient who complained does not want more mail, \
            and more complaints can make SES stop the account's sending. To remove a complaint, confirm it at the \
            terminal or give --yes.
            """)

    @Argument(help: ArgumentHelp("Addresses, in upper or lower case.", valueName: "address")) var addresses: [String]
    @Option(help: "Which list: test (for test keys) or live (for live keys).") var environment = RelayCore.Environment
        .live
    @Flag(help: "Don't ask before a complaint is removed.") var yes = false
    @Flag(help: "Print the removed entries as one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        var entries: [String: Suppression] = [:]
        for text in addresses {
            // An address that SES reported may be invalid by the relay's rules.
            let address = (try? canonicalAddress(text).get()) ?? text
            guard let entry = try await store.suppression(of: address, in: environment) else {
                throw CommandError(
                    "\(printable(address)) is not on the list for \(environment.rawValue) keys; nothing was removed")
            }
            entries[entry.address] = entry
        }
        try confirm(entries.values.filter { $0.reason == .complaint }.map(\.address).sorted())
        var removed: [Suppression] = []
        for (address, entry) in entries.sorted(by: { $0.key < $1.key }) {
            switch try await store.removeSuppression(
                of: address, in: environment, evenComplaint: yes || entry.reason == .complaint)
            {
            case .removed(let entry): removed.append(entry)
            case .notListed: continue
            case .isComplaint:
                throw CommandError(
                    "\(printable(address)) has complained in the meantime and stays on the list; check which addresses are still on it, and try again"
                )
            }
        }
        if json { return try JSONValue.print(removed.map { JSONValue($0) }) }
        printError(
            "Removed \(counted(removed.count, "address", "addresses")) from the list for \(environment.rawValue) keys.")
    }

    private func confirm(_ complaints: [String]) throws {
        guard let first = complaints.first, !yes else { return }
        let what =
            complaints.count == 1
            ? "\(printable(first)) has complained about a message"
            : "\(complaints.count) of the addresses have complained"
        guard Confirmation.isPossible else {
            throw CommandError("\(what); give --yes to remove it anyway. Nothing was removed")
        }
        guard Confirmation.of("\(what). Remove it from the list anyway?") else {
            printError("Nothing was removed.")
            throw ExitCode(1)
        }
    }
}

struct SuppressionsExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print the list as CSV.",
        discussion: """
            The columns are address, environment, reason, created_at, message and note. Lines end with LF; cells with \
            commas, quotes or line ends are quoted (RFC 4180).

            A spreadsheet treats a cell that begins with = + - or @ as a formula, and the text of notes comes from \
            other people's servers. Such a cell gets an apostrophe in front. The command \
            'hiveku-relay suppressions import' removes the apostrophe again.
            """)

    @Option(help: "Only the list for test keys or the list for live keys: test or live. Without it, both.")
    var environment: RelayCore.Environment?
    @Option(help: "Only for this reason: hard_bounce, complaint or manual.") var reason: SuppressionReason?
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        try Output.write(Array(Suppression.csvHeading.utf8))
        try await store.forEachPage(SuppressionFilter(environment: environment, reason: reason, limit: .max)) { page in
            try Output.write(Array(page.map(\.csvLine).joined().utf8))
        }
    }
}
