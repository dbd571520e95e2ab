import Hashing
import StrictJSON

/// The document that is sent to a webhook for an event, in the vendor's first envelope format.
public struct WebhookPayload: Sendable {
    /// What a document says about the message.
    public struct Message: Sendable {
        public var id: MessageID
        /// The envelope sender; nil for the null reverse-path.
        public var from: String?
        /// The subject of the message, decoded, at most 200 characters; nil if it has none.
        public var subject: String?
        /// The tags of the message.
        public var tags: [String]
        /// The id that SES gave the message, if it is known.
        public var sesMessageID: String?

        public init(id: MessageID, from: String?, subject: String?, tags: [String], sesMessageID: String?) {
            self.id = id
            self.from = from
            self.subject = subject
            self.tags = tags
            self.sesMessageID = sesMessageID
        }
    }

    /// `evt_…`. It is derived from the message, the recipient and the event, so an event has the same id however often
    /// it is recorded.
    public let id: String
    /// The event. The member `type` of the document is its raw value.
    public let type: WebhookEvent
    /// The JSON document that is posted, in UTF-8.
    public let body: [UInt8]

    /// Nil for an event that no webhook receives.
    public init?(_ event: RecipientEvent, of recipient: String, _ message: Message) {
        guard let type = WebhookEvent(event.kind) else { return nil }
        self.type = type
        id = WebhookPayload.id("\(message.id) \(event.kind.rawValue) \(event.at.milliseconds) \(recipient)")
        let document = WebhookPayload.document(
            id: id, type: type.rawValue, at: event.at,
            data: WebhookPayload.data(event, recipient, message))
        body = document.bytes
    }

    /// A document for testing a webhook. `nonce` makes the document's id unique.
    public static func test(
        webhook: WebhookID, at now: Timestamp, nonce: UInt64
    ) -> (id: String, type: String, body: [UInt8]) {
        let id = id("test \(webhook) \(now.milliseconds) \(nonce)")
        let data: JSON = [
            "webhook_id": JSON(webhook.text), "message": "This is a test event. It is not about a message.",
        ]
        return (id, testType, document(id: id, type: testType, at: now, data: data).bytes)
    }

    /// The type of a test event.
    public static let testType = "test"

    private static func document(id: String, type: String, at time: Timestamp, data: JSON) -> JSON {
        ["id": JSON(id), "type": JSON(type), "created_at": JSON(time.rfc3339), "data": data]
    }

    private static func data(_ event: RecipientEvent, _ recipient: String, _ message: Message) -> JSON {
        let detail = event.detail
        var members: [JSONObject.Member] = [
            .init("email_id", JSON(message.id.external)), .init("to", JSON(recipient)),
            .init("from", JSON(message.from)), .init("subject", JSON(message.subject)),
            .init("tags", .array(message.tags.map { JSON($0) })),
        ]
        switch event.kind {
        case .bounced:
            members += [
                .init("bounce_type", JSON((detail.bounceType ?? .soft).rawValue)),
                .init("bounce_subtype", JSON(detail.subtype)), .init("diagnostic_code", JSON(detail.diagnostic)),
            ]
        case .complained:
            members += [
                .init("complaint_type", JSON(detail.subtype)), .init("feedback_id", JSON(detail.feedbackID)),
            ]
        case .delayed:
            members += [
                .init("delay_type", JSON(detail.subtype)), .init("diagnostic_code", JSON(detail.diagnostic)),
            ]
        case .rejected, .failed, .suppressed: members.append(.init("reason", JSON(event.sentence)))
        case .sent, .delivered, .queued, .scheduled, .cancelled: break
        }
        members.append(
            .init(
                "metadata",
                [
                    "provider_message_id": JSON(message.sesMessageID),
                    "smtp_response": JSON(event.kind == .delivered ? detail.diagnostic : nil),
                    "mta": JSON(detail.server),
                ]))
        return .object(JSONObject(members))
    }

    /// `evt_` and 26 digits of base 32: 130 bits of SHA-256.
    private static func id(_ text: String) -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        let hash = SHA256.digest(of: text.utf8)
        return "evt_" + String(decoding: hash.prefix(26).map { digits[Int($0 & 31)] }, as: UTF8.self)
    }
}
