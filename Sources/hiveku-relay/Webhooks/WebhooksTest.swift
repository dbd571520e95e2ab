import ArgumentParser
import RelayCore

struct WebhooksTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Send a test event to a webhook.",
        discussion: """
            The event has the type test, and the running relay sends it like any other. Afterwards \
            'hiveku-relay webhooks deliveries ID' shows the receiver's response.
            """)

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let webhook = try await store.webhook(id) else { throw noSuchWebhook(id) }
        let event: (id: String, type: String)
        switch try await store.queueTest(of: webhook, now: now) {
        case .success(let queued): event = queued
        case .failure(.disabled):
            throw CommandError("the webhook \(id) is disabled; enable it first: hiveku-relay webhooks enable \(id)")
        case .failure(.busy):
            throw CommandError(
                "many events already wait for the webhook \(id), and a test event would wait behind them; to list them: "
                    + "hiveku-relay webhooks deliveries \(id)")
        }
        if json {
            try JSONValue.object(["event_id": .string(event.id), "webhook": .string(id.text)]).print()
        } else {
            printError("Queued the test event \(event.id). To see the result: hiveku-relay webhooks deliveries \(id)")
        }
    }
}
