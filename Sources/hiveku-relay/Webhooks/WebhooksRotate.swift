import ArgumentParser
import RelayCore

struct WebhooksRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Give a webhook a new signing secret and print it.",
        discussion: """
            For 24 hours webhook-signature has a signature with each of the two secrets, so that there is time to \
            change the receiver. X-Hiveku-Signature has room for only one signature, which uses the new secret at \
            once.
            """)

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print the webhook and its secret as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var generator = SystemRandomNumberGenerator()
        let secret = WebhookSecret(using: &generator)
        guard let webhook = try await store.update(id, { $0.rotate(to: secret, now: now) }) else {
            throw noSuchWebhook(id)
        }
        try WebhooksCommand.reveal(webhook, json: json)
        if !json {
            let until = webhook.previousSecretUntil?.rfc3339 ?? "now"
            printError(
                "The webhook \(id) has a new secret, which is shown only this once. The old one also signs until \(until)."
            )
        }
    }
}
