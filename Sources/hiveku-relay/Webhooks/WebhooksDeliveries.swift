import ArgumentParser
import RelayCore

struct WebhooksDeliveries: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries",
        abstract: "List the events that were sent to a webhook or wait for it, newest first.",
        discussion: "Events are kept for 7 days. With --json they come with what was sent and what was answered.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Option(help: "The most events to list.") var limit = 20
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard 1...10_000 ~= limit else { throw ValidationError("--limit must be a number from 1 to 10000") }
    }

    func run() async throws {
        let store = try common.store()
        guard try await store.webhook(id) != nil else { throw noSuchWebhook(id) }
        let calls = try await store.calls(of: id, before: nil, limit: limit)
        if json { return try JSONValue.print(calls.lazy.map { JSONValue($0) }) }
        guard !calls.isEmpty else { return printError("There are no events yet: hiveku-relay webhooks test \(id)") }
        WebhooksCommand.printCalls(calls)
    }
}
