import Admission
import ArgumentParser
import Foundation
import InternetMessage
import RelayCore
import Settings

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create, list, change, check and revoke API keys.",
        discussion: "Changes take effect at once, in a running relay too.",
        subcommands: [
            KeysCreate.self, KeysList.self, KeysShow.self, KeysUpdate.self, KeysRotate.self, KeysRevoke.self,
            KeysCheck.self,
        ])
}

struct KeysCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create an API key and print it.",
        discussion: """
            The key is the only line on standard output, and is printed only this once: KEY=$(hiveku-relay keys create \
            --name shop --environment live --scope email:send). Only its hash is stored.
            """)

    @Option(help: "What the key is for, up to 100 characters.") var name: String
    @Option(help: "test: sends are simulated. live: mail is sent through SES.") var environment: RelayCore.Environment
    @OptionGroup var rules: KeyRuleOptions
    @Flag(help: "Print the key and its rules as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        try validateName(name)
        try rules.validate()
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(generating: environment, using: &generator)
        var key = Key(id: secret.id, name: name, environment: environment, scopes: [], createdAt: now)
        try rules.change(now: now)(&key)
        try await store.insertKey(StoredKey(key: key, digest: secret.digest))
        try reveal(secret, of: KeyRecord(key: key, usage: KeyUsage()), json: json)
        if !json {
            printError(
                "Created the \(environment.rawValue) key \(key.id) '\(printable(name))'. It is shown only this once.")
        }
        if !key.canSend {
            let scopes = key.scopes.union([.send]).map { " --scope \($0.rawValue)" }.sorted().joined()
            printError(
                "It has no scope and can't send yet. To let it send: hiveku-relay keys update \(key.id)\(scopes)")
        }
    }
}

/// The rules of a key, as `create` and `update` take them.
struct KeyRuleOptions: ParsableArguments {
    @Option(
        name: .customLong("scope"),
        help: ArgumentHelp(
            "What the key may do: \(Scope.allCases.map(\.rawValue).joined(separator: ", ")). May be repeated.",
            valueName: "scope"))
    var scopes: [String] = []
    @Option(help: "Emails per second; one recipient of one message is one email. (default: 10)") var perSecond: Double?
    @Option(help: "Emails that may be sent at once after a pause. (default: one second's worth)") var burst: Int?
    @Option(help: "Emails per UTC day. (default: no cap)") var perDay: Int?
    @Option(
        name: .customLong("allow-domain"),
        help: ArgumentHelp(
            "A domain to send from, or *.example.com for subdomains. May be repeated. (default: any)",
            valueName: "domain"))
    var domains: [String] = []
    @Option(
        name: .customLong("allow-network"),
        help: ArgumentHelp(
            "An address or CIDR block that may use the key. May be repeated. (default: any)", valueName: "cidr"))
    var networks: [String] = []
    @Flag(
        inversion: .prefixedNo,
        help: "Whether a message that is submitted twice within a day is queued only once. (default: yes)")
    var detectRepeats: Bool?
    @Flag(
        inversion: .prefixedNo,
        help: "Whether the key's webhooks get events about the messages of all keys of its environment. (default: no)")
    var webhooksForAll: Bool?
    @Option(help: "How long the key works from now on, for example 90d or 12h. (default: no expiry)")
    var expiresIn: TimeSpan?

    func validate() throws {
        _ = try parsedScopes()
        _ = try parsedDomains()
        _ = try parsedNetworks()
        if let perSecond { _ = try checked("--per-second ", try KeyRules.perSecond(perSecond)) }
        if let burst { _ = try checked("--burst ", try KeyRules.burst(burst)) }
        if let perDay { _ = try checked("--per-day ", try KeyRules.perDay(perDay)) }
        if let expiresIn, expiresIn.duration > KeyRules.longestLife {
            throw ValidationError("--expires-in must be at most 100 years")
        }
    }

    /// Returns a change that applies the given options and leaves all other rules as they are.
    func change(now: Timestamp) throws -> @Sendable (inout Key) -> Void {
        let scopes = scopes.isEmpty ? nil : try parsedScopes()
        let domains = domains.isEmpty ? nil : try parsedDomains()
        let networks = networks.isEmpty ? nil : try parsedNetworks()
        let (perSecond, burst, perDay, detectsRepeats) = (perSecond, burst, perDay, detectRepeats)
        let webhooksForAll = webhooksForAll
        let expiresAt = expiresIn.map { now + $0.duration }
        return { key in
            if let scopes { key.scopes = scopes }
            if let perSecond { key.limits.perSecond = perSecond }
            if let burst { key.limits.burst = burst }
            if let perDay { key.limits.perDay = perDay }
            if let domains { key.domains = domains }
            if let networks { key.networks = networks }
            if let detectsRepeats { key.detectsRepeats = detectsRepeats }
            if let webhooksForAll { key.webhooksForAll = webhooksForAll }
            if let expiresAt { key.expiresAt = expiresAt }
        }
    }

    private func parsedScopes() throws -> Set<Scope> {
        Set(try scopes.map { text in try checked("--scope: ", try KeyRules.scope(text)) })
    }

    private func parsedDomains() throws -> [DomainPattern] {
        try domains.map { text in try checked("--allow-domain: ", try KeyRules.domain(text)) }
    }

    private func parsedNetworks() throws -> [NetworkBlock] {
        try networks.map { text in try checked("--allow-network: ", try KeyRules.network(text)) }
    }
}

private func validateName(_ name: String) throws {
    try checked("--name ", try KeyRules.name(name))
}

/// Returns what `rule` returns. If the rule finds a mistake, throws it as a mistake of the option that `prefix` names.
@discardableResult
private func checked<Value>(_ prefix: String, _ rule: @autoclosure () throws -> Value) throws -> Value {
    do {
        return try rule()
    } catch let mistake as KeyRules.Mistake {
        throw ValidationError(prefix + mistake.description)
    }
}

/// Prints a key. This is the only time that it is shown.
private func reveal(_ secret: APIKey, of record: KeyRecord, json: Bool) throws {
    if json {
        try JSONValue(record, revealed: secret.revealed).print()
    } else {
        print(secret.revealed)
    }
}

struct KeysList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List keys with their usage.",
        discussion:
            """
            BOUNCES and COMPLAINTS are rates of the last 30 days, as far as SES has reported the outcome. SES reviews \
            accounts with 5 % hard bounces or 0.1 % complaints. The last column says what needs attention: keys that \
            are unused, failing, at their limits or about to expire, or with too many bounces or complaints.
            """)

    @Option(
        help:
            "Only keys that have not been used for this long, such as 30d. A key that was never used counts from its creation."
    ) var unused: TimeSpan?
    @Flag(help: "Revoked keys too.") var all = false
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var records = try await store.keyRecords(includingRevoked: all, now: now)
        if let unused {
            let limit = now - unused.duration
            records.removeAll { ($0.usage.lastUsedAt ?? $0.key.createdAt) >= limit }
        }
        if json {
            try JSONValue.print(records.lazy.map { JSONValue($0) })
            return
        }
        guard !records.isEmpty else {
            let what =
                unused == nil
                ? "There are no keys yet: hiveku-relay keys create --help" : "No key has been unused for that long."
            return printError(what)
        }
        var table = Table(
            [
                "ID", "NAME", "ENV", "LIMITS", "LAST USED", "30 DAYS", "TOTAL", "BOUNCES", "COMPLAINTS", "LIMITED",
                "FAILED AUTH", "NOTE",
            ], rightAligned: [5, 6, 7, 8, 9, 10])
        for record in records {
            let (key, usage) = (record.key, record.usage)
            table.append([
                key.id.text, key.name, key.environment.rawValue, key.limits.description,
                usage.lastUsedAt.map { approximate(now - $0) + " ago" } ?? "never", String(usage.emails30Days),
                String(usage.emailsTotal), percent(record.standing.bounceRate), percent(record.standing.complaintRate),
                String(usage.rateLimitHits), String(usage.authFailures),
                record.notes(at: now).map(\.text).joined(separator: ", "),
            ])
        }
        table.print()
    }
}

struct KeysShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a key's rules and usage.",
        discussion: "The key itself can't be shown: only its hash is kept.")

    @Argument(help: "The key's public id: the 8 characters after hk_live_ or hk_test_.") var id: KeyID
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let record = try await store.keyRecord(id, now: now) else { throw StoreError.noSuchKey(id) }
        if json { return try JSONValue(record).print() }
        let (key, usage) = (record.key, record.usage)
        func list(_ texts: [String], none: String) -> String { texts.isEmpty ? none : texts.joined(separator: ", ") }
        var rows = [
            ("Id", key.id.text), ("Name", key.name), ("Environment", key.environment.rawValue),
            ("Scopes", list(key.scopes.map(\.rawValue).sorted(), none: "none")), ("Limits", key.limits.description),
            ("Domains", list(key.domains.map(\.description), none: "any")),
            ("Networks", list(key.networks.map(\.description), none: "any")),
            ("Repeats", key.detectsRepeats ? "queued once" : "queued again"),
            ("Created", key.createdAt.rfc3339),
            ("Expires", key.expiresAt?.rfc3339 ?? "never"),
        ]
        if key.webhooksForAll {
            rows.append(("Webhooks", "get events about the messages of all \(key.environment.rawValue) keys"))
        }
        if let revokedAt = key.revokedAt { rows.append(("Revoked", revokedAt.rfc3339)) }
        rows += [
            ("Last used", usage.lastUsedAt?.rfc3339 ?? "never"),
            ("Emails", "\(usage.emailsToday) today, \(usage.emails30Days) in 30 days, \(usage.emailsTotal) in total"),
            ("Outcome", record.standing.summary), ("Limits hit", String(usage.rateLimitHits)),
            ("Failed authentications", String(usage.authFailures)),
        ]
        let notes = record.notes(at: now)
        if !notes.isEmpty { rows.append(("Note", notes.map(\.text).joined(separator: ", "))) }
        printRows(rows)
    }
}

/// Prints names and values, with the values aligned.
func printRows(_ rows: [(String, String)]) {
    let width = rows.map(\.0.count).max() ?? 0
    for (name, value) in rows {
        print("\(name):\(String(repeating: " ", count: width - name.count + 1))\(printable(value))")
    }
}

struct KeysUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a key's rules.",
        discussion: "Rules that no option names stay as they are. A list that is given replaces the previous list.")

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "A new name.") var name: String?
    @OptionGroup var rules: KeyRuleOptions
    @Flag(help: "Lift the daily cap.") var noPerDay = false
    @Flag(help: "Reset the burst to one second's worth.") var noBurst = false
    @Flag(help: "Allow any domain.") var anyDomain = false
    @Flag(help: "Allow any network.") var anyNetwork = false
    @Flag(help: "Remove the expiry: the key does not expire.") var noExpiry = false
    @Flag(help: "Take all scopes from the key.") var noScopes = false
    @Flag(help: "Print the key as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let name { try validateName(name) }
        try rules.validate()
        let pairs: [(Bool, Bool, String)] = [
            (noPerDay, rules.perDay != nil, "--no-per-day and --per-day"),
            (noBurst, rules.burst != nil, "--no-burst and --burst"),
            (anyDomain, !rules.domains.isEmpty, "--any-domain and --allow-domain"),
            (anyNetwork, !rules.networks.isEmpty, "--any-network and --allow-network"),
            (noExpiry, rules.expiresIn != nil, "--no-expiry and --expires-in"),
            (noScopes, !rules.scopes.isEmpty, "--no-scopes and --scope"),
        ]
        for (lift, set, names) in pairs where lift && set { throw ValidationError("\(names) exclude each other") }
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let change = try rules.change(now: now)
        let (noPerDay, noBurst, anyDomain, anyNetwork) = (noPerDay, noBurst, anyDomain, anyNetwork)
        try await store.updateKey(id) { [name, noExpiry, noScopes] key in
            if let name { key.name = name }
            change(&key)
            if noPerDay { key.limits.perDay = nil }
            if noBurst { key.limits.burst = nil }
            if anyDomain { key.domains = [] }
            if anyNetwork { key.networks = [] }
            if noExpiry { key.expiresAt = nil }
            if noScopes { key.scopes = [] }
        }
        if json, let record = try await store.keyRecord(id, now: now) {
            try JSONValue(record).print()
        } else {
            printError("Updated the key \(id).")
        }
    }
}

struct KeysRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Give a key a new secret and print it.",
        discussion: """
            Limits, usage and id stay. The old secret keeps working for the grace period, so that there is time to \
            change the application. A second rotation within that period ends the oldest secret at once.
            """)

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "How long the old secret keeps working, for example 24h; 0s ends it at once.") var grace: String =
        "24h"
    @Flag(help: "Print the key and its rules as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func period() throws -> Duration {
        guard let duration = Duration(written: grace), duration >= .zero, duration <= .seconds(365 * 86_400) else {
            throw ValidationError("--grace must be a length of time up to 365d, for example 24h")
        }
        return duration
    }

    func validate() throws { _ = try period() }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let record = try await store.keyRecord(id, now: now) else { throw StoreError.noSuchKey(id) }
        if record.key.revokedAt != nil {
            throw CommandError("the key \(id) is revoked, which can't be undone; create a new key")
        }
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(rotating: id, record.key.environment, using: &generator)
        let end = now + (try period())
        try await store.rotateKey(id, digest: secret.digest, previousUntil: end)
        try reveal(secret, of: record, json: json)
        if !json {
            printError(
                "The key \(id) has a new secret, which is shown only this once. The old one works until \(end.rfc3339)."
            )
        }
    }
}

struct KeysRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a key, at once and permanently.",
        discussion:
            "Once this command returns, no message of the key is accepted, not even on a connection that is open.")

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "What to do with the key's queued messages: deliver, hold or drop.")
    var queued: QueuedDisposition = .deliver
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let log = try common.settings().log
        let store = try common.store()
        let dropped = try await store.revokeKey(id, queued: queued, clock: store.commandClock)
        await DropLog(log).write(dropped, of: store)
        let rest =
            switch queued {
            case .deliver: "Its queued messages are still delivered."
            case .hold: "Its queued messages are held: 'hiveku-relay messages release --key \(id)' sends them."
            case .drop: "Its queued messages are dropped."
            }
        printError("Revoked the key \(id). \(rest)")
    }
}

struct KeysCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check whether a key would be accepted, or which rule would refuse it, without sending.",
        discussion: """
            Exits with 0 if the key would be accepted, with 1 if not. To keep the key out of the shell's history, pass \
            - and give it on standard input; on a terminal, press Enter and Ctrl-D after it.
            """)

    @Argument(help: "The key, or - to read it from standard input.") var key: String
    @Option(help: "What the key is to be used for. Checked against the key's scopes.") var scope = Scope.send
    @Option(help: "An address to send from. Checked against the key's domains.") var from: String?
    @Option(help: "A client's IP address. Checked against the key's networks.") var client: String?
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func clientAddress() throws -> IPAddress? {
        guard let client else { return nil }
        guard let address = IPAddress(client) else {
            throw ValidationError("--client: '\(printable(client))' is not an IP address")
        }
        return address
    }

    func validate() throws { _ = try clientAddress() }

    func run() async throws {
        var text = Array(key.utf8)
        if key == "-" {
            text = Array(FileHandle.standardInput.readData(ofLength: 4096))
            // The line end comes from the pipe and is not part of the key. Any other white space is kept, because it
            // may be the mistake that the check should find.
            if text.last == 0x0A { text.removeLast() }
            if text.last == 0x0D { text.removeLast() }
        }
        let store = try common.store()
        let (refusal, record) = try await verdict(text, store)
        if json {
            try JSONValue.object([
                "accepted": .bool(refusal == nil), "reason": JSONValue(refusal?.reason.rawValue),
                "explanation": JSONValue(refusal?.explanation), "id": JSONValue(record?.key.id.text),
            ]).print()
        } else if let refusal {
            print("refused: \(refusal.explanation) [\(refusal.reason.rawValue)]")
        } else if let record {
            print("accepted: the key \(record.key.id) '\(printable(record.key.name))' may send")
        }
        if refusal != nil { throw ExitCode(1) }
    }

    private func verdict(_ text: [UInt8], _ store: any RelayStore) async throws -> (Refusal?, KeyRecord?) {
        let candidate: APIKey
        switch KeyVerdict.key(password: text) {
        case .success(let key): candidate = key
        case .failure(let refusal): return (refusal, nil)
        }
        let now = store.commandClock.now()
        let stored = try await store.storedKey(candidate.id)
        if let refusal = KeyVerdict.ofUse(candidate, for: scope, stored: stored, client: try clientAddress(), now: now)
        {
            return (refusal, nil)
        }
        guard let record = try await store.keyRecord(candidate.id, now: now) else { return (KeyVerdict.unknown, nil) }
        if let from {
            do {
                let (path, _) = try SMTPPath.parsePath(Array("<\(from)>".utf8))
                if let refusal = KeyVerdict.ofSender(path, key: record.key) { return (refusal, record) }
            } catch {
                return (Refusal(.address, error.explanation), record)
            }
        }
        return (KeyVerdict.ofDay(record, now: now), record)
    }
}
