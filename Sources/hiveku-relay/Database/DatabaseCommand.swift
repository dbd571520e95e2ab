import ArgumentParser
import Foundation
import RelayCore
import SQLiteStore

struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database", abstract: "Copy the relay's database to PostgreSQL, or back to SQLite.",
        subcommands: [DatabaseCopy.self])
}

struct DatabaseCopy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy", abstract: "Copy all of a relay's data into another database.",
        discussion: """
            Keys, usage, messages with their content, the queue, suppressions, webhooks and their calls are copied. \
            Clients keep their keys, and messages keep their ids. Sessions of the operator's page are not copied.

            1. Stop all relays on both databases. During the copy no relay can start, and no command can change anything.

                 systemctl stop hiveku-relay

            2. Copy. The target must be new: an SQLite file that does not exist yet, or a PostgreSQL database that is \
            empty.

                 hiveku-relay database copy --from /var/lib/hiveku-relay/relay.db \\
                   --to postgresql://relay@db.example.com/relay

            3. Name the new database in the settings, check them, and start the relay.

                 hiveku-relay doctor
                 systemctl start hiveku-relay

            The database that is copied stays as it was. Do not start a relay on it again: it would send the messages \
            in its queue a second time. A copy does not migrate the SQLite database of an older relay: start this \
            relay on it once before the copy.

            A copy that is interrupted leaves an unfinished database, and no relay starts on it. Run the same command \
            again: it compares and keeps the rows that are already there. An SQLite file's name ends in .unfinished \
            until it is complete. To abandon a copy, remove that file, or drop the PostgreSQL database.

            Other users of this machine can see a command's arguments, so leave the password out of the URI. libpq \
            takes it from the file ~/.pgpass, from the file that PGPASSFILE or passfile=/path in the URI names, or \
            from PGPASSWORD. If root starts the command, it switches to the user who owns the SQLite file's directory. \
            That user must be able to read the password file.
            """)

    @Option(
        help: ArgumentHelp(
            "What to copy: the path of an SQLite file, or postgresql://user@host/name.", valueName: "database"))
    var from: String
    @Option(help: ArgumentHelp("What to copy to: a path or a URI, as for --from.", valueName: "database")) var to:
        String
    @Flag(help: "Print what was copied as one JSON document.") var json = false

    func validate() throws {
        let (from, to) = (try location(from, "--from"), try location(to, "--to"))
        guard from != to else { throw ValidationError("--from and --to name the same database") }
    }

    func run() async throws {
        let (from, to) = (try location(from, "--from"), try location(to, "--to"))
        if let file = from.file, !FileManager.default.fileExists(atPath: file) {
            throw CommandError("there is no database at \(printable(file))")
        }
        if let file = from.file ?? to.file {
            let directory = (file as NSString).deletingLastPathComponent
            try RelayUser.become(ownerOf: directory.isEmpty ? "." : directory)
        }
        let source = try await DatabaseCopy.source(from)
        defer { try? source.close() }
        // Create no file until it is certain that there is data to copy.
        try await source.holdForCopy()
        switch to {
        case .sqlite(let path):
            let target = try UnfinishedDatabase(path, now: SystemClock().now())
            let result = try await copy(source, target.store)
            try target.finish()
            try tell(result, from, to)
        case .postgresql(let place):
            let target = try KnownStores.copyableServer(place)
            defer { try? target.close() }
            try tell(try await copy(source, target), from, to)
        }
    }

    /// Opens a source only if it already has this relay's tables. In any other source, opening it would create or
    /// migrate the tables.
    private static func source(_ location: DatabaseLocation) async throws -> any CopyableStore {
        switch location {
        case .sqlite(let path):
            let examined = try SQLiteStore(examining: path)
            let found = try await examined.schemaVersion()
            try examined.close()
            try check(found, SQLiteStore.knownSchemaVersion, location)
            return try SQLiteStore(path: path, role: .tool, now: SystemClock().now())
        case .postgresql(let place):
            let found = try KnownStores.examineServer(place)
            try check(found.schema ?? 0, found.knownSchema, location)
            return try KnownStores.copyableServer(place)
        }
    }

    private static func check(_ found: Int, _ known: Int, _ location: DatabaseLocation) throws {
        guard found <= known else { throw StoreError.newerSchema(found: found, known: known) }
        guard found != 0 else { throw CommandError("\(printable("\(location)")) has no tables of a relay") }
        guard found == known else {
            throw CommandError(
                "\(printable("\(location)")) has the tables of an older relay (version \(found), this one knows \(known)); start this relay on it once to migrate them"
            )
        }
    }

    private func copy(_ source: any CopyableStore, _ target: any CopyableStore) async throws -> StoreCopy.Result {
        let line = ProgressLine()
        defer { line.clear() }
        do {
            return try await StoreCopy(from: source, to: target).run { progress in
                let what = progress.table?.title ?? "contents of messages"
                line.show("copied: \(grouped(progress.done))\(progress.all.map { " of \(grouped($0))" } ?? "") \(what)")
            }
        } catch let error as StoreError {
            line.clear()
            throw CommandError("\(error). The copy is not complete.")
        }
    }

    private func tell(_ result: StoreCopy.Result, _ from: DatabaseLocation, _ to: DatabaseLocation) throws {
        if json {
            let rows = Dictionary(
                uniqueKeysWithValues: result.rows.map { ($0.key.rawValue, JSONValue.integer($0.value)) })
            return try JSONValue.object([
                "from": .string("\(from)"), "to": .string("\(to)"), "rows": .object(rows),
                "bodies": .integer(result.bodies),
                "rows_already_there": .integer(result.rowsKept), "bodies_already_there": .integer(result.bodiesKept),
            ]).print()
        }
        var table = Table(["COPIED", ""], rightAligned: [1])
        for kind in CopiedTable.allCases {
            guard let count = result.rows[kind], count > 0 else { continue }
            table.append([kind.title, grouped(count)])
        }
        table.append(["contents of messages", grouped(result.bodies)])
        table.print()
        if result.rowsKept > 0 {
            printError("\(grouped(result.rowsKept)) rows were already there from an interrupted copy.")
        }
        printError("The copy is complete. Name \(printable("\(to)")) as database in the settings, and start the relay.")
    }

    /// Reads the value of an option. The error for a wrong value says what is wrong without quoting the value, which
    /// may hold a password.
    private func location(_ text: String, _ option: String) throws -> DatabaseLocation {
        if text.contains("://") {
            do throws(PostgreSQLPlace.ParseError) {
                return .postgresql(try PostgreSQLPlace(text))
            } catch {
                throw ValidationError("\(option) is not a URI that can be used: \(error)")
            }
        }
        let word = text.prefix { $0.isLetter || $0 == "_" }
        guard !text.isEmpty, text.dropFirst(word.count).drop(while: { $0 == " " }).first != "=" else {
            throw ValidationError("\(option) must be the path of an SQLite file, or a URI: postgresql://user@host/name")
        }
        return .sqlite(text)
    }
}

extension CopiedTable {
    /// The table's name, as people read it.
    fileprivate var title: String {
        switch self {
        case .repeatKey: "keys of fingerprints"
        case .key: "API keys"
        case .usage: "days of usage"
        case .feedbackByDay: "days of feedback"
        case .message: "messages"
        case .tag: "tags of messages"
        case .delivery: "deliveries"
        case .attempt: "attempts"
        case .repeated: "fingerprints of messages"
        case .event: "events"
        case .waitingEvent: "events that wait for their message"
        case .suppression: "suppressions"
        case .undelivered: "failures to report to the sender"
        case .webhook: "webhooks"
        case .webhookCall: "calls of webhooks"
        case .template: "templates"
        case .templateVersion: "versions of templates"
        case .statistic: "days of statistics"
        case .simulatedDomain: "simulated domains"
        }
    }
}
