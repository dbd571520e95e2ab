/// What can happen to one recipient's copy of a message. Events are only added: a later one never changes an earlier
/// one.
public enum EventKind: String, CaseIterable, Sendable, Hashable {
    case queued, scheduled, sent, delivered, delayed, bounced, complained, rejected, failed, suppressed, cancelled
}

/// Whether an address can never work, as SES reports for a bounce (`bounceType`).
public enum BounceType: String, CaseIterable, Sendable, Hashable {
    /// `Permanent`: there is no such mailbox or domain.
    case hard
    /// `Transient` and `Undetermined`: another message may arrive.
    case soft
}

/// An event about one recipient's copy.
public struct RecipientEvent: Hashable, Sendable {
    /// Details of the event. All of it comes from outside: its length is limited, and it must not be trusted.
    public struct Detail: Hashable, Sendable {
        /// The type of a bounce.
        public var bounceType: BounceType?
        /// SES's `bounceSubType`, `complaintFeedbackType` or `delayType`: `Suppressed`, `abuse`, `MailboxFull`.
        public var subtype: String?
        /// What the receiving server said, or why the message was not sent: `550 5.1.1 user unknown`.
        public var diagnostic: String?
        /// The server that the diagnostic comes from: `mx1.example.com`.
        public var server: String?
        /// SES's id of the complaint or bounce.
        public var feedbackID: String?

        public init(
            bounceType: BounceType? = nil, subtype: String? = nil, diagnostic: String? = nil, server: String? = nil,
            feedbackID: String? = nil
        ) {
            self.bounceType = bounceType
            self.subtype = subtype
            self.diagnostic = diagnostic
            self.server = server
            self.feedbackID = feedbackID
        }

        /// The most characters of each text that are kept.
        public static let longestText = 500

        /// The details with each text cut to ``longestText``.
        public var bounded: Detail {
            func cut(_ text: String?) -> String? { text.map { String($0.prefix(Detail.longestText)) } }
            return Detail(
                bounceType: bounceType, subtype: cut(subtype), diagnostic: cut(diagnostic), server: cut(server),
                feedbackID: cut(feedbackID))
        }
    }

    /// What happened.
    public var kind: EventKind
    /// When it happened, as it was reported.
    public var at: Timestamp
    /// What was reported about it. All fields are nil if nothing was.
    public var detail: Detail

    public init(_ kind: EventKind, at: Timestamp, _ detail: Detail = Detail()) {
        self.kind = kind
        self.at = at
        self.detail = detail
    }

    /// The details in one line for people; nil if there is nothing to add to the kind.
    public var sentence: String? {
        var parts: [String] = []
        if let type = detail.bounceType {
            parts.append(type.rawValue + (detail.subtype.map { ", \($0)" } ?? ""))
        } else if let subtype = detail.subtype {
            parts.append(subtype)
        }
        if let diagnostic = detail.diagnostic { parts.append(diagnostic) }
        if let server = detail.server { parts.append("reported by \(server)") }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// How much the event counts for the recipient's status. Events arrive twice, late and out of order, so the one
    /// with the greatest weight decides, and never simply the last to arrive.
    ///
    /// A hard bounce weighs more than a delivery, because a server can still send one after it has accepted the
    /// message. A soft bounce weighs less, because after a delivery it is an automatic reply.
    var weight: Int {
        switch kind {
        case .queued, .scheduled: 0
        case .sent: 2
        case .delayed: 3
        case .bounced: detail.bounceType == .hard ? 10 : 4
        case .delivered: 5
        case .cancelled: 6
        case .failed: 7
        case .rejected: 8
        case .suppressed: 9
        case .complained: 11
        }
    }
}

/// The status of a recipient: the event with the greatest weight, or the state of its delivery.
public enum RecipientStatus: String, CaseIterable, Sendable, Hashable {
    case queued, scheduled, sending, held, sent, delivered, delayed, bounced, complained, rejected, failed, suppressed,
        cancelled

    init(_ kind: EventKind) {
        self =
            switch kind {
            case .queued: .queued
            case .scheduled: .scheduled
            case .sent: .sent
            case .delivered: .delivered
            case .delayed: .delayed
            case .bounced: .bounced
            case .complained: .complained
            case .rejected: .rejected
            case .failed: .failed
            case .suppressed: .suppressed
            case .cancelled: .cancelled
            }
    }

    /// The kind of the stored events by which messages with this status are found; nil if the status follows from a
    /// delivery alone.
    public var storedKind: EventKind? {
        switch self {
        case .delivered: .delivered
        case .delayed: .delayed
        case .bounced: .bounced
        case .complained: .complained
        case .rejected: .rejected
        case .suppressed: .suppressed
        case .queued, .scheduled, .sending, .held, .sent, .failed, .cancelled: nil
        }
    }
}

/// An event and the recipient that it is about, with the address as in the envelope.
public struct ReportedEvent: Hashable, Sendable {
    /// The address as in the envelope.
    public var recipient: String
    /// What happened to this recipient's copy.
    public var event: RecipientEvent

    public init(_ event: RecipientEvent, of recipient: String) {
        self.recipient = recipient
        self.event = event
    }
}

/// One recipient of a message, with everything that is known about its copy.
public struct RecipientRecord: Sendable, Hashable {
    /// The address as in the envelope.
    public var address: String
    /// What is known about the recipient's copy, in one word.
    public var status: RecipientStatus
    /// When the recipient got this status.
    public var at: Timestamp
    /// What is known about the status, in one line for people; nil if there is nothing to add.
    public var detail: String?
    /// The events in the order of time. They follow from the message's records and from what was reported. Reports
    /// about a copy that was sent come after the sending, whatever their time.
    public var events: [RecipientEvent]
}

extension MessageRecord {
    /// The record of each recipient, in the order of the envelope.
    ///
    /// Events of the relay itself follow from the records of the message and its deliveries. Events that others
    /// reported are in ``reported``. So no fact is stored twice.
    public var recipientRecords: [RecipientRecord] {
        let told = Dictionary(grouping: reported, by: \.recipient)
        return deliveries.flatMap { delivery in
            delivery.recipients.map { address in
                record(of: address, delivery, (told[address] ?? []).map(\.event))
            }
        }
    }

    /// The events in the order of time. Reports about a copy that was sent come after the sending, even if the
    /// reporter's clock is behind the relay's, or if SES had finished with the mail before the relay read SES's
    /// response.
    private static func inOrder(_ own: [RecipientEvent], told: [RecipientEvent]) -> [RecipientEvent] {
        let sentAt = own.last { $0.kind == .sent }?.at
        let placed =
            own.map { (moment: $0.at, place: 0, event: $0) }
            + told.map { (moment: max($0.at, sentAt ?? $0.at), place: 1, event: $0) }
        return placed.sorted {
            ($0.moment, $0.place, $0.event.at, $0.event.weight) < ($1.moment, $1.place, $1.event.at, $1.event.weight)
        }.map(\.event)
    }

    private func record(of address: String, _ delivery: Delivery, _ told: [RecipientEvent]) -> RecipientRecord {
        let isSuppressed = told.contains { $0.kind == .suppressed }
        let own = isSuppressed ? [] : ownEvents(delivery)
        let beginning = RecipientEvent(state == .scheduled ? .scheduled : .queued, at: acceptedAt)
        let events = MessageRecord.inOrder([beginning] + own, told: told)
        // An operator may have queued the message again after it failed. Then the failure does not count, because the
        // delivery's present state is a different one.
        let counted = events.filter { $0.kind != .failed || delivery.state == .failed || told.contains($0) }
        let weightiest = counted.max { ($0.weight, $0.at) < ($1.weight, $1.at) } ?? beginning
        var status = RecipientStatus(weightiest.kind)
        var at = weightiest.at
        var detail = weightiest.sentence
        if weightiest.weight <= 2, !isSuppressed {
            switch delivery.state {
            case .sending: status = .sending
            case .held: status = .held
            case .queued where state != .scheduled: status = .queued
            default: break
            }
            if !delivery.state.isFinal { at = delivery.history.last?.finishedAt ?? acceptedAt }
            if detail == nil { detail = delivery.reason }
        }
        return RecipientRecord(address: address, status: status, at: at, detail: detail, events: events)
    }

    /// The events of the relay itself for a delivery.
    private func ownEvents(_ delivery: Delivery) -> [RecipientEvent] {
        var events: [RecipientEvent] = delivery.history.compactMap { attempt in
            switch attempt.outcome {
            case "sent", "simulated":
                RecipientEvent(.sent, at: attempt.finishedAt, .init(diagnostic: attempt.reason))
            case "failed": RecipientEvent(.failed, at: attempt.finishedAt, .init(diagnostic: attempt.reason))
            default: nil
            }
        }
        let last = events.last?.kind
        switch delivery.state {
        case .sent, .simulated:
            guard last != .sent else { break }
            events.append(RecipientEvent(.sent, at: delivery.endedAt ?? acceptedAt, .init(diagnostic: delivery.reason)))
        case .failed where last != .failed || delivery.reason == droppedReason:
            // The delivery was dropped, which no attempt records.
            events.append(
                RecipientEvent(.failed, at: delivery.endedAt ?? acceptedAt, .init(diagnostic: delivery.reason)))
        case .cancelled:
            events.append(
                RecipientEvent(.cancelled, at: delivery.endedAt ?? acceptedAt, .init(diagnostic: delivery.reason)))
        default: break
        }
        return events
    }
}
