import ArgumentParser
import RelayCore

struct WebhooksList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List webhooks, with how many of their events arrived.")

    @Option(help: "Only those of the key with this public id.") var key: KeyID?
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let webhooks = try await store.webhooks(of: key)
        if json {
            for webhook in webhooks {
                let statistics = try await store.statistics(of: webhook.id, now: now)
                try JSONValue(webhook, ["statistics": JSONValue(statistics)]).print()
            }
            return
        }
        guard !webhooks.isEmpty else { return printError("There are no webhooks: hiveku-relay webhooks create --help") }
        var table = Table(
            ["ID", "KEY", "URL", "EVENTS", "TAGS", "24 HOURS", "WAITING", "STATE"], rightAligned: [5, 6])
        for webhook in webhooks {
            let statistics = try await store.statistics(of: webhook.id, now: now)
            table.append([
                webhook.id.text, webhook.key.text, webhook.url, webhook.eventNames.joined(separator: ","),
                webhook.tags.joined(separator: ","),
                WebhooksCommand.share(statistics.delivered24Hours, statistics.calls24Hours),
                String(statistics.waiting), WebhooksCommand.state(webhook, now: now),
            ])
        }
        table.print()
    }
}
