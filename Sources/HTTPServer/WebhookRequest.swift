import RelayCore
import StrictJSON

/// A request to create or change a webhook.
struct WebhookRequest: ResourceRequest {
    enum Purpose: Hashable, Sendable {
        case create
        case change(WebhookID)
    }

    let purpose: Purpose
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    func answer(_ document: JSON) async throws(EmailRequestFailure) -> HTTPAnswer {
        let webhooks = WebhookAPI(api: api)
        let wishes = try WebhookFields(document, isComplete: purpose == .create, policy: configuration.webhookAddresses)
        switch purpose {
        case .create: return await webhooks.create(wishes)
        case .change(let id): return await webhooks.change(id, wishes)
        }
    }
}

/// The fields of a webhook in a request. A field that is nil keeps its value, or gets its default.
struct WebhookFields: Hashable, Sendable {
    var url: String?
    /// The events; empty: all.
    var events: Set<WebhookEvent>?
    var tags: [String]?
    var enabled: Bool?

    /// - Parameter isComplete: whether a webhook is created from the document, so that `url` is required.
    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    init(_ document: JSON, isComplete: Bool, policy: WebhookAddressPolicy) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.webhook, "A webhook") else {
            throw .invalid(reader.errors.all)
        }
        url = WebhookFields.url(fields, isComplete: isComplete, policy, &reader.errors)
        events = WebhookFields.events(fields, &reader.errors)
        if fields.value("tags") != nil { tags = reader.tags(fields) }
        enabled = WebhookFields.enabled(fields, &reader.errors)
        guard reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
    }

    private static func url(
        _ fields: EmailReader.Fields, isComplete: Bool, _ policy: WebhookAddressPolicy, _ errors: inout ValidationErrors
    ) -> String? {
        let pointer = JSONPointer.root.appending("url")
        switch fields.value("url")?.value {
        case nil:
            if isComplete {
                errors.add("\"url\" is required: the address that events are sent to, with https://.", at: pointer)
            }
            return nil
        case .string(let string):
            do throws(WebhookURL.Mistake) {
                let url = try WebhookURL(string.text)
                guard let refusal = policy.refusal(of: url) else { return string.text }
                errors.add("\"url\" \(refusal).", at: pointer)
                return nil
            } catch {
                errors.add("\"url\" \(error.explanation).", at: pointer)
                return nil
            }
        case .some(let value):
            errors.add("\"url\" must be a string, not \(value.kind).", at: pointer)
            return nil
        }
    }

    private static func events(_ fields: EmailReader.Fields, _ errors: inout ValidationErrors) -> Set<WebhookEvent>? {
        guard let (value, pointer) = fields.value("events") else { return nil }
        guard case .array(let elements) = value else {
            errors.add("\"events\" must be an array of strings, not \(value.kind).", at: pointer)
            return nil
        }
        guard !elements.isEmpty else {
            errors.add("\"events\" is empty; leave it out, or send [\"*\"], for all events.", at: pointer)
            return nil
        }
        guard elements.count <= maximumEventElements else {
            errors.add("\"events\" has \(elements.count) elements; name each event once.", at: pointer)
            return nil
        }
        var events: Set<WebhookEvent> = []
        var all = false
        for (index, element) in elements.enumerated() {
            guard case .string(let string) = element else {
                errors.add("An event must be a string, not \(element.kind).", at: pointer.appending(index))
                continue
            }
            switch WebhookEventName(string.text) {
            case .all: all = true
            case .one(let event): events.insert(event)
            case .mistake(let sentence): errors.add(sentence, at: pointer.appending(index))
            }
        }
        return all ? [] : events
    }

    /// The largest number of elements of `events`. Names may occur twice.
    static let maximumEventElements = 40

    private static func enabled(_ fields: EmailReader.Fields, _ errors: inout ValidationErrors) -> Bool? {
        guard let (value, pointer) = fields.value("enabled") else { return nil }
        guard case .bool(let enabled) = value else {
            errors.add("\"enabled\" must be true or false, not \(value.kind).", at: pointer)
            return nil
        }
        return enabled
    }
}

extension FieldNames {
    static let webhook = FieldNames(
        known: ["url", "events", "tags", "enabled"],
        synonyms: [
            "endpoint": "url", "target": "url", "uri": "url", "event": "events", "eventtypes": "events",
            "types": "events",
            "tag": "tags", "active": "enabled", "disabled": "enabled",
        ],
        explanations: [
            "secret":
                "The field \"secret\" is not known; leave it out: the relay makes the secret and returns it as \"signing_secret\".",
            "signingsecret":
                "The field \"signing_secret\" can't be set; POST …/rotate-secret gives the webhook a new one.",
        ])
}
