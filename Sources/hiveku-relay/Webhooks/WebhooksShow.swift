import ArgumentParser
import RelayCore

struct WebhooksShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a webhook, its statistics, and its last events.",
        discussion: "The signing secret is not shown again; 'hiveku-relay webhooks rotate' gives the webhook a new one."
    )

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let webhook = try await store.webhook(id) else { throw noSuchWebhook(id) }
        let statistics = try await store.statistics(of: id, now: now)
        if json { return try JSONValue(webhook, ["statistics": JSONValue(statistics)]).print() }
        func rate(_ part: Int, _ whole: Int) -> String {
            whole == 0
                ? "no events" : "\(WebhooksCommand.share(part, whole)) of \(counted(whole, "event", "events")) arrived"
        }
        printRows([
            ("Id", webhook.id.text), ("Key", webhook.key.text), ("URL", webhook.url),
            ("Events", webhook.eventNames == ["*"] ? "all" : webhook.eventNames.joined(separator: ", ")),
            ("Tags", webhook.tags.isEmpty ? "any" : webhook.tags.joined(separator: ", ")),
            ("State", WebhooksCommand.state(webhook, now: now)), ("Created", webhook.createdAt.rfc3339),
            ("24 hours", rate(statistics.delivered24Hours, statistics.calls24Hours)),
            ("7 days", rate(statistics.delivered7Days, statistics.calls7Days)),
            ("Answers within", statistics.latency.map { "\($0.wholeMilliseconds) ms on average" } ?? "-"),
            ("Waiting", String(statistics.waiting)),
            ("Last success", statistics.lastSuccess.map(line) ?? "none"),
            ("Last failure", statistics.lastFailure.map(line) ?? "none"),
        ])
        if let failure = statistics.lastFailure {
            printRows([
                ("  request", String(decoding: failure.call.body, as: UTF8.self)),
                (failure.lastStatus == nil ? "  error" : "  answer", failure.lastResponse ?? "-"),
            ])
        }
        let calls = try await store.calls(of: id, before: nil, limit: 5)
        guard !calls.isEmpty else { return }
        print("")
        WebhooksCommand.printCalls(calls)
    }

    private func line(_ record: WebhookCallRecord) -> String {
        "\(record.lastAttemptAt?.rfc3339 ?? "-"), \(record.call.type) \(record.call.event), \(WebhooksCommand.answer(record))"
    }
}
