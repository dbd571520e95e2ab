/// The text that names an event for a webhook.
public enum WebhookEventName: Hashable, Sendable {
    /// All events: `*`.
    case all
    case one(WebhookEvent)
    /// The text names no event. The value explains the mistake in a sentence, with its final full stop or question
    /// mark.
    case mistake(String)

    /// Reads `*` or the name of an event. Any other text is a ``mistake(_:)``.
    public init(_ text: String) {
        if text == "*" {
            self = .all
        } else if let event = WebhookEvent(rawValue: text) {
            self = .one(event)
        } else {
            self = .mistake(WebhookEventName.sentence(about: text))
        }
    }

    /// The names that are accepted.
    public static let known = WebhookEvent.allCases.map(\.rawValue) + ["*"]

    private static let synonyms = [
        "delivered": "delivery", "bounced": "bounce", "complained": "complaint", "spam": "complaint",
        "delayed": "delay",
        "rejected": "reject", "failure": "failed", "fail": "failed", "suppression": "suppressed", "send": "sent",
        "all": "*",
    ]

    private static func sentence(about text: String) -> String {
        if text == "open" || text == "click" {
            return
                "This relay has no event \"\(text)\": it does not change messages to track their readers. Leave it out."
        }
        let name = String(
            text.unicodeScalars.prefix(40).map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
        let plain = (name.lowercased().split(separator: ".").last).map(String.init) ?? ""
        let meant =
            WebhookEvent(rawValue: plain)?.rawValue ?? synonyms[plain] ?? Spelling.nearest(to: plain, among: known)
        return "The event \"\(name)\" is not known; "
            + (meant.map { "did you mean \"\($0)\"?" } ?? "the events are: \(known.joined(separator: ", ")).")
    }
}

extension Webhook {
    /// The names of the events that the webhook receives; `*` for all.
    public var eventNames: [String] {
        events.isEmpty ? ["*"] : WebhookEvent.allCases.filter(events.contains).map(\.rawValue)
    }
}
