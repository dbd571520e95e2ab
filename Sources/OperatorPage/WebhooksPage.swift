import HTTPServer
import HTTPTypes
import RelayCore

/// The list of webhooks.
enum WebhooksPage {
    private static let most = 100

    static func make(
        _ page: OperatorPage, _ query: Form, _ visitor: Visitor, mistake: FormMistake?
    ) async throws -> PageContent {
        var (key, mistakeOfFilter): (KeyID?, FormMistake?) = (nil, nil)
        if mistake == nil {
            switch try await KeyText.find(query["key"], page, now: visitor.now) {
            case .none: break
            case .key(let id): key = id
            case .mistake(let mistake): mistakeOfFilter = mistake
            }
        }
        let webhooks = try await page.store.webhooks(of: key)
        let list: HTML =
            webhooks.isEmpty
            ? "<p class=\"empty\">\(key == nil ? "There are no webhooks yet." : "This key has no webhook.")</p>"
            : table(webhooks.suffix(most).reversed(), visitor)
        let rest: HTML =
            webhooks.count > most
            ? "<p class=\"more\">The newest \(most) of \(grouped(webhooks.count)) are shown. To see others, search for a key.</p>"
            : .empty
        return PageContent(
            title: "Webhooks", section: .webhooks, done: Done(query)?.html,
            body: """
                <h1>Webhooks</h1>
                <p>A webhook sends an application events about its messages: each event is posted to the webhook's URL.</p>
                \(Part.mistake(mistakeOfFilter))<form class="filter" method="get" action="\(Path.webhooks)" role="search">
                \(Part.field("Key", Part.input("key", query["key"], "placeholder=\"name or id\" spellcheck=\"false\"")))
                <button class="quiet">Show</button></form>
                \(list)\(rest)
                <h2 id="add">Create a webhook</h2>\(Part.mistake(mistake))\(form(mistake == nil ? Form() : query, visitor))
                """)
    }

    static func state(_ webhook: Webhook, _ visitor: Visitor) -> HTML {
        guard webhook.isEnabled else {
            return "\(Part.badge("disabled", .bad)) \(webhook.disabledBecause ?? "")"
        }
        guard let since = webhook.failingSince else { return Part.badge("enabled", .good) }
        return "\(Part.badge("fails", .bad)) \(visitor.ago(since))"
    }

    private static func table(_ webhooks: [Webhook], _ visitor: Visitor) -> HTML {
        Part.table(
            "Webhooks, newest first", ["URL", "Key", "Events", "State"],
            webhooks.map { webhook in
                [
                    "<a class=\"address\" href=\"\(Path.webhook(webhook.id))\">\(String(webhook.url.prefix(120)))</a>",
                    "<a class=\"code\" href=\"\(Path.key(webhook.key))\">\(webhook.key.text)</a>",
                    "\(webhook.events.isEmpty ? "all" : webhook.eventNames.joined(separator: ", "))",
                    state(webhook, visitor),
                ]
            })
    }

    private static func form(_ form: Form, _ visitor: Visitor) -> HTML {
        let events = WebhookEvent.allCases.map {
            Part.check("event", $0.rawValue, form.all("event").contains($0.rawValue), "\($0.rawValue)")
        }
        return visitor.form(
            Path.webhooks, class: "panel",
            """
            \(FormID.field)<div class="columns">\(Part.field("Key", Part.input("key", form.raw("key"), "required spellcheck=\"false\""), hint: "The public id of the key whose messages the events are about."))\
            \(Part.field("URL", Part.input("url", form.raw("url"), type: "url", "required spellcheck=\"false\""), hint: "https, at a public address."))\
            \(Part.field("Tags", Part.input("tags", form.raw("tags")), hint: "Only events about messages with one of these tags. Empty: all."))</div>\
            <fieldset class="wide"><legend>Events (none checked: all)</legend>\(events)</fieldset>
            <p class="actions"><button>Create the webhook</button></p>
            """)
    }

    static func create(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let webhook: Webhook
        do throws(FormMistake) {
            webhook = try read(page, form, visitor)
        } catch {
            return visitor.page(try await make(page, form, visitor, mistake: error), .unprocessableContent)
        }
        func refused(_ field: String, _ sentence: String) async throws -> HTTPAnswer {
            visitor.page(
                try await make(page, form, visitor, mistake: FormMistake(field, sentence)), .unprocessableContent)
        }
        guard let record = try await page.store.keyRecord(webhook.key, now: visitor.now) else {
            return try await refused("key", "No key has this id")
        }
        guard record.key.revokedAt == nil else {
            return try await refused("key", "The key is revoked, so there will be no events; name another key")
        }
        let formID = form.raw("form")
        let path = link(Path.webhook(webhook.id), [("of", formID)])
        if let earlier = await page.secrets.begin(formID, path) { return .redirect(to: earlier) }
        let isNew: Bool
        do {
            isNew = try await page.store.insert(webhook)
        } catch {
            await page.secrets.forget(formID)
            throw error
        }
        guard isNew else {
            await page.secrets.forget(formID)
            return try await refused(
                "key", "The key already has \(Webhook.mostOfKey) webhooks; delete one, or let one receive more events")
        }
        await page.secrets.finish(formID, at: path, .webhook(webhook.secret))
        return .redirect(to: path)
    }

    private static func read(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) throws(FormMistake) -> Webhook {
        guard let key = KeyText.id(form["key"]) else {
            throw FormMistake("key", "The key's id has 8 letters and digits: those after hk_live_ or hk_test_")
        }
        let text = form["url"]
        let url: WebhookURL
        do throws(WebhookURL.Mistake) {
            url = try WebhookURL(text)
        } catch {
            throw FormMistake("url", "The URL \(error.explanation)")
        }
        if let refusal = page.configuration.webhookAddresses.refusal(of: url) {
            throw FormMistake("url", "The URL \(refusal)")
        }
        let tags = MessageTags.unique(form.list("tags"))
        if let refusal = MessageTags.refusal(of: tags) { throw FormMistake("tags", refusal.explanation) }
        let events = Set(form.all("event").compactMap { WebhookEvent(rawValue: $0) })
        var generator = SystemRandomNumberGenerator()
        return Webhook(
            id: WebhookID(using: &generator), key: key, url: text, events: events, tags: tags, createdAt: visitor.now,
            secret: WebhookSecret(using: &generator))
    }
}
