import ArgumentParser
import RelayCore

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
            ("Repeats", key.detectsRepeats ? "a message that is sent twice is queued once" : "each message is queued"),
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
