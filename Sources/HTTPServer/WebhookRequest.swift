import HTTPTypes
import RelayCore
import StrictJSON

/// A request to create or change a webhook.
struct WebhookRequest: RequestWithBody {
    enum Purpose: Hashable, Sendable {
        case create
        case change(WebhookID)
    }

    let purpose: Purpose
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// The most octets of a body. It is small enough to stay in memory.
    static let maximumBodySize = 64 << 10

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: WebhookRequest.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: { _ in nil })
    }

    var tooLarge: Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(WebhookRequest.maximumBodySize) octets.")
    }

    func refusal(of fields: HTTPFields) -> Problem? { refusalOfBody(fields) }

    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer { answer }

    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            return api.refuse(.notJSON(error))
        }
        let webhooks = WebhookAPI(api: api)
        do throws(EmailRequestFailure) {
            let wishes = try WebhookFields(
                document, isComplete: purpose == .create, policy: configuration.webhookAddresses)
            switch purpose {
            case .create: return await webhooks.create(wishes)
            case .change(let id): return await webhooks.change(id, wishes)
            }
        } catch {
            return api.refuse(Problem(error))
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

    /// - Parameter isComplete: whether the webhook is created from it, so that `url` is required.
    /// - Throws: ``EmailRequestFailure`` with all mistakes at once.
    init(_ document: JSON, isComplete: Bool, policy: WebhookAddressPolicy) throws(EmailRequestFailure) {
        var reader = EmailReader(.init(now: Timestamp(milliseconds: 0), maximumRecipients: 0))
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

    /// The most elements of `events`. Names may occur twice.
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
