import Foundation
import RelayCore
import StrictJSON

/// How a message stands, in the words of the HTTP API.
///
/// Those of the relay's own records, but for one: a test key's message is `sent` where the records say `simulated`, so that an
/// application sees the same words with both kinds of key.
enum MessageStatus: String, CaseIterable, Hashable, Sendable {
    case scheduled, queued, sending, held, sent, failed, cancelled
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
        case .partlyFailed: .partlyFailed
        }
    }
}

extension JSON {
    /// A message as its key is told of it.
    init(_ record: MessageRecord) {
        let recipients = record.deliveries.flatMap { delivery in
            let status = MessageStatus(MessageState(of: [delivery.state])).rawValue
            let isScheduled = record.state == .scheduled
            let time = delivery.endedAt ?? delivery.history.last?.finishedAt ?? record.acceptedAt
            return delivery.recipients.map { address -> JSON in
                [
                    "email": JSON(address), "status": JSON(isScheduled ? "scheduled" : status),
                    "at": JSON(time.rfc3339), "detail": JSON(delivery.detail(for: address)),
                ]
            }
        }
        self = [
            "messageId": JSON(record.id.external), "status": JSON(MessageStatus(record.state).rawValue),
            "from": JSON(record.reversePath), "subject": JSON(record.subject),
            "tags": .array(record.tags.map { JSON($0) }),
            "created_at": JSON(record.acceptedAt.rfc3339), "scheduled_at": JSON(record.scheduledAt?.rfc3339),
            "recipients": .array(recipients),
        ]
    }
}

extension MessageRecord.Delivery {
    /// What there is to say of one recipient. The note on a delivery that was sent may be about others of it.
    fileprivate func detail(for address: String) -> String? {
        guard state == .sent || state == .simulated, recipients.count > 1 else { return reason }
        let own = reason?.components(separatedBy: "; ").filter { $0.contains(address) } ?? []
        return own.isEmpty ? nil : own.joined(separator: "; ")
    }
}
