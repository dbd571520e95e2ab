import RelayCore
import StrictJSON

/// The status of a message, in the words of the HTTP API.
///
/// They are the words of the relay's records, with one exception: a test key's message is `sent` where the records say
/// `simulated`, so that an application sees the same words with both kinds of key.
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

    /// The state in the records of this environment's keys.
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
    /// A message as its key sees it.
    ///
    /// - Parameter events: whether each recipient includes its events.
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

    /// One event of a recipient's copy.
    private init(_ event: RecipientEvent) {
        self = [
            "type": JSON(event.kind.rawValue), "at": JSON(event.at.rfc3339), "detail": JSON(event.sentence),
        ]
    }
}
