import ArgumentParser
import RelayCore
import Settings

struct WebhooksCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a webhook and print its signing secret.",
        discussion: """
            The secret is the only line on standard output, and is printed only this once: SECRET=$(hiveku-relay \
            webhooks create --key ID --url https://app.example.com/hooks/email). 'hiveku-relay webhooks --help' says \
            how the receiver uses it.
            """)

    @Option(help: "The public id of the key whose messages the events are about.") var key: KeyID
    @Option(help: "The URL that events are posted to: https, at a public address or one in webhooks.private_networks.")
    var url: String
    @Option(
        name: .customLong("event"),
        help: ArgumentHelp(
            "An event to send: \(WebhookEventName.known.joined(separator: ", ")). May be repeated. (default: all events)",
            valueName: "event"))
    var events: [String] = []
    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only send events about messages with this tag. May be repeated.", valueName: "tag"))
    var tags: [String] = []
    @Flag(help: "Print the webhook and its secret as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func chosenEvents() throws -> Set<WebhookEvent> {
        var chosen: Set<WebhookEvent> = []
        var all = false
        for text in events {
            switch WebhookEventName(text) {
            case .all: all = true
            case .one(let event): chosen.insert(event)
            case .mistake(let sentence): throw ValidationError("--event: \(printable(sentence))")
            }
        }
        return all ? [] : chosen
    }

    func validate() throws {
        do throws(WebhookURL.Mistake) {
            _ = try WebhookURL(url)
        } catch {
            throw ValidationError("--url: the URL \(error.explanation)")
        }
        _ = try chosenEvents()
        if let refusal = MessageTags.refusal(of: MessageTags.unique(tags)) {
            throw ValidationError("--tag: \(refusal.explanation)")
        }
    }

    func run() async throws {
        let policy = WebhookAddressPolicy(try common.settings().webhooks)
        if let refusal = (try? WebhookURL(url)).flatMap({ policy.refusal(of: $0) }) {
            throw CommandError("the URL \(refusal)")
        }
        let store = try common.store()
        let now = store.commandClock.now()
        guard let record = try await store.keyRecord(key, now: now) else { throw StoreError.noSuchKey(key) }
        if record.key.revokedAt != nil {
            throw CommandError("the key \(key) is revoked, so there will be no events; name another key")
        }
        var generator = SystemRandomNumberGenerator()
        let webhook = Webhook(
            id: WebhookID(using: &generator), key: key, url: url, events: try chosenEvents(),
            tags: MessageTags.unique(tags), createdAt: now, secret: WebhookSecret(using: &generator))
        guard try await store.insert(webhook) else {
            throw CommandError(
                "the key \(key) already has \(Webhook.mostOfKey) webhooks; delete one, or let one receive more events")
        }
        try WebhooksCommand.reveal(webhook, json: json)
        if !json {
            printError("Created the webhook \(webhook.id). Its signing secret is shown only this once.")
            printError("To try it: hiveku-relay webhooks test \(webhook.id)")
        }
    }
}
