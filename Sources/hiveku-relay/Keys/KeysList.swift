import ArgumentParser
import RelayCore

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
