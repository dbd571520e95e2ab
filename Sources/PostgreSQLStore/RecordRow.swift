import RelayCore

/// Reads messages with everything that is known about them, from all tables.
enum RecordRow {
    /// The condition on a message whose bytes are still stored.
    static let hasBody = "EXISTS (SELECT 1 FROM body WHERE body.message = message.id)"

    /// The messages of `ids` that exist, newest first.
    static func records(_ ids: [Int64], now: Timestamp, in connection: Connection) throws -> [MessageRecord] {
        guard !ids.isEmpty else { return [] }
        try connection.queue(
            """
            SELECT id, key, lane, client, reverse_path, subject, size, accepted_at, tags, \(hasBody),
                template
            FROM message WHERE id = ANY ($1) ORDER BY id DESC
            """, [ids])
        try connection.queue(
            """
            SELECT attempt.delivery, started_at, finished_at, outcome, attempt.reason
            FROM delivery JOIN attempt ON attempt.delivery = delivery.id
            WHERE delivery.message = ANY ($1) ORDER BY attempt.delivery, number
            """, [ids])
        try connection.queue(
            """
            SELECT message, id, recipients, state, attempts, next_attempt_at, ses_message_id, reason, maybe_duplicate,
                ended_at, scheduled_at
            FROM delivery WHERE message = ANY ($1) ORDER BY id
            """, [ids])
        let results = try connection.results().suffix(3).map { $0 }
        let history = try attempts(results[1])
        let (deliveries, scheduled) = try deliveries(results[2], history)
        let reported = try EventRow.reported(of: ids, in: connection)
        return try results[0].map { row in
            guard let id = row.integer(0).flatMap(MessageID.init(rawValue:)),
                let key = row.text(1).flatMap({ KeyID($0) }), let environment = row.text(2).flatMap(Environment.init),
                let size = row.integer(6),
                let acceptedAt = row.timestamp(7)
            else { throw StoreError.corrupt("a message's row can't be read") }
            return MessageRecord(
                id: id, key: key, environment: environment, client: row.bytes(3).flatMap(IPAddress.init),
                reversePath: row.text(4), subject: row.text(5), size: Int(size), acceptedAt: acceptedAt,
                hasBody: row.boolean(9) ?? false, tags: TagList.tags(row.text(8)),
                scheduledAt: scheduled[id.rawValue], template: row.text(10).flatMap { TemplateReference($0) },
                deliveries: deliveries[id.rawValue] ?? [],
                reported: reported[id.rawValue] ?? [], now: now)
        }
    }

    /// The attempts by delivery.
    private static func attempts(_ rows: QueryResult) throws -> [Int64: [MessageRecord.Attempt]] {
        var history: [Int64: [MessageRecord.Attempt]] = [:]
        for case let (delivery, attempt) in try rows.map(attempt) { history[delivery, default: []].append(attempt) }
        return history
    }

    private static func attempt(_ row: ResultRow) throws -> (delivery: Int64, MessageRecord.Attempt) {
        guard let delivery = row.integer(0), let startedAt = row.timestamp(1), let finishedAt = row.timestamp(2),
            let outcome = row.text(3)
        else { throw StoreError.corrupt("an attempt's row can't be read") }
        return (
            delivery,
            MessageRecord.Attempt(startedAt: startedAt, finishedAt: finishedAt, outcome: outcome, reason: row.text(4))
        )
    }

    /// The deliveries by message, and the scheduled times of messages.
    private static func deliveries(
        _ rows: QueryResult, _ history: [Int64: [MessageRecord.Attempt]]
    ) throws -> ([Int64: [MessageRecord.Delivery]], scheduled: [Int64: Timestamp]) {
        var deliveries: [Int64: [MessageRecord.Delivery]] = [:]
        var scheduled: [Int64: Timestamp] = [:]
        for index in 0..<rows.count {
            let row = rows[index]
            guard let message = row.integer(0), let id = row.integer(1), let recipients = row.text(2),
                let state = row.text(3).flatMap(DeliveryState.init), let attempts = row.integer(4)
            else { throw StoreError.corrupt("a delivery's row can't be read") }
            scheduled[message] = row.timestamp(10)
            deliveries[message, default: []].append(
                MessageRecord.Delivery(
                    recipients: RecipientList.recipients(recipients), state: state, attempts: Int(attempts),
                    nextAttemptAt: state == .queued ? row.timestamp(5) : nil, sesMessageID: row.text(6),
                    reason: row.text(7), maybeDuplicate: row.boolean(8) ?? false, endedAt: row.timestamp(9),
                    history: history[id] ?? []))
        }
        return (deliveries, scheduled)
    }
}
