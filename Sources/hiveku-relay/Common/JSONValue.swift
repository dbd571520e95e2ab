import RelayCore
import StrictJSON

/// A JSON document, built by hand so that the names are those of the contract and null members are written too.
enum JSONValue {
    case string(String)
    case integer(Int)
    case number(Double)
    case bool(Bool)
    case array([JSONValue])
    /// An object. Its members are written in the order of their names.
    case object([String: JSONValue])
    /// A document that is written unchanged.
    case json(JSON)
    case null

    /// The document in UTF-8.
    var bytes: [UInt8] { json.bytes }

    private var json: JSON {
        switch self {
        case .string(let value): JSON(value)
        case .integer(let value): JSON(value)
        case .number(let value): JSONNumber(value).map { .number($0) } ?? .null
        case .bool(let value): .bool(value)
        case .array(let values): .array(values.map(\.json))
        case .object(let values):
            .object(
                JSONObject(
                    values.sorted { $0.key < $1.key }.map { .init(JSONString($0.key), $0.value.json) }))
        case .json(let value): value
        case .null: .null
        }
    }

    init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    init(_ number: Int?) { self = number.map { .integer($0) } ?? .null }
    init(_ time: Timestamp?) { self = time.map { .string($0.rfc3339) } ?? .null }
    init(_ texts: [String]) { self = .array(texts.map { .string($0) }) }

    /// Prints the document in one line, with members in the order of their names.
    func print() throws { try JSONValue.print(CollectionOfOne(self)) }

    /// Prints one line for each document.
    static func print(_ values: some Sequence<JSONValue>) throws {
        var lines: [UInt8] = []
        for value in values {
            lines += value.bytes
            lines.append(0x0A)
            guard lines.count >= linesAtOnce else { continue }
            try Output.write(lines)
            lines.removeAll(keepingCapacity: true)
        }
        try Output.write(lines)
    }

    /// How many octets are gathered before they are written.
    private static let linesAtOnce = 64 * 1024
}

extension JSONValue {
    /// A key with its usage. `revealed` is the key itself; it is given only at creation and rotation.
    init(_ record: KeyRecord, revealed: String? = nil) {
        let key = record.key
        var members: [String: JSONValue] = [
            "id": .string(key.id.text), "name": .string(key.name), "environment": .string(key.environment.rawValue),
            "scopes": JSONValue(key.scopes.map(\.rawValue).sorted()), "per_second": .number(key.limits.perSecond),
            "burst": .number(key.limits.capacity), "per_day": JSONValue(key.limits.perDay),
            "domains": JSONValue(key.domains.map(\.description)),
            "networks": JSONValue(key.networks.map(\.description)), "detect_repeats": .bool(key.detectsRepeats),
            "webhooks_for_all": .bool(key.webhooksForAll), "created_at": JSONValue(key.createdAt),
            "expires_at": JSONValue(key.expiresAt), "revoked_at": JSONValue(key.revokedAt),
            "last_used_at": JSONValue(record.usage.lastUsedAt), "emails_total": .integer(record.usage.emailsTotal),
            "emails_30d": .integer(record.usage.emails30Days), "emails_today": .integer(record.usage.emailsToday),
            "rate_limit_hits": .integer(record.usage.rateLimitHits),
            "auth_failures": .integer(record.usage.authFailures),
        ]
        members.merge(JSONValue.members(SendingStanding(record.usage.feedback))) { own, _ in own }
        if let revealed { members["key"] = .string(revealed) }
        self = .object(members)
    }

    /// The outcome of emails in the last 30 days, and the rates that SES watches; null if nothing is known.
    static func members(_ standing: SendingStanding) -> [String: JSONValue] {
        let counts = standing.counts
        return [
            "deliveries_30d": .integer(counts.deliveries), "bounces_30d": .integer(counts.bounces),
            "hard_bounces_30d": .integer(counts.hardBounces), "complaints_30d": .integer(counts.complaints),
            "bounce_rate": standing.bounceRate.map { .number($0) } ?? .null,
            "complaint_rate": standing.complaintRate.map { .number($0) } ?? .null,
        ]
    }

    /// A message. Its attempts are included if a single message is shown.
    init(_ message: MessageRecord, attempts: Bool = false) {
        self = .object([
            "id": .string(message.id.description), "key": .string(message.key.text),
            "environment": .string(message.environment.rawValue), "state": .string(message.state.rawValue),
            "from": .string(message.reversePath ?? ""), "recipients": JSONValue(message.recipients),
            "subject": JSONValue(message.subject), "size": .integer(message.size),
            "accepted_at": JSONValue(message.acceptedAt), "scheduled_at": JSONValue(message.scheduledAt),
            "tags": JSONValue(message.tags), "template": JSONValue(message.template?.description),
            "deliveries": .array(message.deliveries.map { JSONValue($0, attempts: attempts) }),
            "statuses": .array(message.recipientRecords.map { JSONValue($0, events: attempts) }),
        ])
    }

    private init(_ recipient: RecipientRecord, events: Bool) {
        var members: [String: JSONValue] = [
            "recipient": .string(recipient.address), "status": .string(recipient.status.rawValue),
            "at": JSONValue(recipient.at), "detail": JSONValue(recipient.detail),
        ]
        if events {
            members["events"] = .array(
                recipient.events.map { event in
                    .object([
                        "type": .string(event.kind.rawValue), "at": JSONValue(event.at),
                        "detail": JSONValue(event.sentence),
                    ])
                })
        }
        self = .object(members)
    }

    private init(_ delivery: MessageRecord.Delivery, attempts: Bool) {
        var members: [String: JSONValue] = [
            "recipients": JSONValue(delivery.recipients), "state": .string(delivery.state.rawValue),
            "attempts": .integer(delivery.attempts), "next_attempt_at": JSONValue(delivery.nextAttemptAt),
            "ses_message_id": JSONValue(delivery.sesMessageID), "reason": JSONValue(delivery.reason),
            "maybe_duplicate": .bool(delivery.maybeDuplicate),
        ]
        if attempts {
            members["history"] = .array(
                delivery.history.map { attempt in
                    .object([
                        "started_at": JSONValue(attempt.startedAt), "finished_at": JSONValue(attempt.finishedAt),
                        "outcome": .string(attempt.outcome), "reason": JSONValue(attempt.reason),
                    ])
                })
        }
        self = .object(members)
    }
}
