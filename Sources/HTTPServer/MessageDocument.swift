import RelayCore
import StrictJSON

/// How a message stands, in the words of the HTTP API.
///
/// Those of the relay's own records, but for one: a test key's message is `sent` where the records say `simulated`, so that an
/// application sees the same words with both kinds of key.
enum MessageStatus: String, CaseIterable, Hashable, Sendable {
    case scheduled, queued, sending, held, sent, failed, cancelled, suppressed
    case partlyFailed = "partly-failed"

    init(_ state: MessageState) {
        self =
            switch state {
            case .scheduled: .scheduled
            case .queued: .queued
            case .sending: .sending
            case .held: .held
            case .sent, .simulated: .sent
            case .failed: .failed
            case .cancelled: .cancelled
            case .suppressed: .suppressed
            case .partlyFailed: .partlyFailed
            }
    }

    /// In the records of keys of this environment.
    func state(in environment: Environment) -> MessageState {
        switch self {
        case .scheduled: .scheduled
        case .queued: .queued
        case .sending: .sending
        case .held: .held
        case .sent: environment == .test ? .simulated : .sent
        case .failed: .failed
        case .cancelled: .cancelled
        case .suppressed: .suppressed
        case .partlyFailed: .partlyFailed
        }
    }
}

extension JSON {
    /// A message as its key is told of it.
    ///
    /// - Parameter events: whether each recipient comes with its events.
    init(_ record: MessageRecord, events: Bool = false) {
        let recipients = record.recipientRecords.map { recipient -> JSON in
            var members: [JSONObject.Member] = [
                .init("email", JSON(recipient.address)), .init("status", JSON(recipient.status.rawValue)),
                .init("at", JSON(recipient.at.rfc3339)), .init("detail", JSON(recipient.detail)),
            ]
            if events { members.append(.init("events", .array(recipient.events.map { JSON($0) }))) }
            return .object(JSONObject(members))
        }
        self = [
            "messageId": JSON(record.id.external), "status": JSON(MessageStatus(record.state).rawValue),
            "from": JSON(record.reversePath), "subject": JSON(record.subject),
            "tags": .array(record.tags.map { JSON($0) }), "template": JSON(record.template?.description),
            "created_at": JSON(record.acceptedAt.rfc3339), "scheduled_at": JSON(record.scheduledAt?.rfc3339),
            "recipients": .array(recipients),
        ]
    }

    /// One thing that happened to a recipient's copy.
    private init(_ event: RecipientEvent) {
        self = [
            "type": JSON(event.kind.rawValue), "at": JSON(event.at.rfc3339), "detail": JSON(event.sentence),
        ]
    }
}
