import RelayCore
import ServiceLifecycle
import Settings
import Telemetry
import Webhooks

/// Calls the webhooks.
struct WebhooksPart: RelayPart {
    let dispatcher: WebhookDispatcher
    let store: any RelayStore

    func run(among _: RelayParts) async { await cancelWhenGracefulShutdown { await dispatcher.run() } }

    func reconfigure(_ settings: RelaySettings) { dispatcher.reconfigure(WebhookAddressPolicy(settings.webhooks)) }

    var scrapeSources: [ScrapeSource] {
        let store = store
        return [.webhooks { try await store.webhookBacklog() }]
    }
}
