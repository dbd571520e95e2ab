import RelayCore

/// Writes a ``DeliveryChange`` to the table `delivery`. This is the only place that does.
enum DeliveryRow {
    /// Each value of the change has a numbered parameter, so that the parameters of a condition begin with $11.
    private static let update = """
        UPDATE delivery SET state = $1, reason = CASE WHEN $2 THEN $3 ELSE reason END,
            next_attempt_at = coalesce($4, next_attempt_at), queued_since = coalesce($5, queued_since),
            attempts = attempts + $6, pauses = CASE WHEN $5 IS NULL THEN pauses + $7 ELSE 0 END,
            maybe_duplicate = maybe_duplicate OR $8, ses_message_id = coalesce($9, ses_message_id), ended_at = $10,
            holder = NULL, claimed_at = NULL, lease_until = NULL, claim = NULL, on_return = NULL
        """

    private static func parameters(_ change: DeliveryChange) -> [any ParameterValue] {
        let (isSet, reason): (Bool, String?) =
            switch change.reason {
            case .kept: (false, nil)
            case .set(let reason): (true, reason)
            }
        return [
            change.state.rawValue, isSet, reason, change.due, change.queuedSince, change.attempt == nil ? 0 : 1,
            change.lengthensPause ? 1 : 0, change.mayBeDuplicate, change.sesMessageID, change.endedAt,
        ]
    }

    /// Writes one change for each delivery. The statement is only queued, and sent with the next one or with COMMIT.
    static func apply(_ changes: [(change: DeliveryChange, delivery: DeliveryID)], in connection: Connection) throws {
        guard !changes.isEmpty else { return }
        let reasons = changes.map { entry -> (isSet: Bool, text: String?) in
            if case .set(let text) = entry.change.reason { (true, text) } else { (false, nil) }
        }
        try connection.queue(
            """
            UPDATE delivery SET state = changed.state, reason = CASE WHEN has_reason THEN changed.reason ELSE delivery.reason END,
                next_attempt_at = coalesce(due, next_attempt_at), queued_since = coalesce(since, queued_since),
                attempts = attempts + tried, pauses = CASE WHEN since IS NULL THEN pauses + pause ELSE 0 END,
                maybe_duplicate = maybe_duplicate OR duplicate, ses_message_id = coalesce(ses_id, ses_message_id),
                ended_at = ended, holder = NULL, claimed_at = NULL, lease_until = NULL, claim = NULL, on_return = NULL
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS changed
                (id, state, has_reason, reason, due, since, tried, pause, duplicate, ses_id, ended)
            WHERE delivery.id = changed.id
            """,
            [
                changes.map(\.delivery.rawValue), changes.map(\.change.state.rawValue), reasons.map(\.isSet),
                reasons.map(\.text), changes.map(\.change.due), changes.map(\.change.queuedSince),
                changes.map { $0.change.attempt == nil ? 0 : 1 }, changes.map { $0.change.lengthensPause ? 1 : 0 },
                changes.map(\.change.mayBeDuplicate), changes.map(\.change.sesMessageID), changes.map(\.change.endedAt),
            ])
    }

    static func apply(_ change: DeliveryChange, to delivery: DeliveryID, in connection: Connection) throws {
        try apply([(change, delivery)], in: connection)
    }

    /// Applies a change to all of these deliveries. Returns how many deliveries were changed.
    static func apply(_ change: DeliveryChange, to deliveries: [Int64], in connection: Connection) throws -> Int {
        try connection.execute(update + " WHERE id = ANY ($11)", parameters(change) + [deliveries])
    }

    /// Applies a change to all deliveries of a key that have one of the states.
    static func apply(
        _ change: DeliveryChange, toThoseOf key: KeyID, in states: [DeliveryState], _ connection: Connection
    ) throws {
        for state in states {
            try connection.execute(
                update + " WHERE key = $11 AND lane IN ('live', 'test') AND state = '\(state.rawValue)'",
                parameters(change) + [key.text])
        }
    }

    /// Records attempts, if there were any. The statement is only queued, and sent with the next one or with COMMIT.
    static func record(
        _ attempts: [(
            attempt: DeliveryChange.Attempt?, delivery: DeliveryID, before: Int, start: Timestamp, end: Timestamp
        )],
        in connection: Connection
    ) throws {
        let made = attempts.compactMap { entry in entry.attempt.map { (attempt: $0, entry: entry) } }
        guard !made.isEmpty else { return }
        try connection.queue(
            """
            INSERT INTO attempt (delivery, number, started_at, finished_at, outcome, reason)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
            ON CONFLICT (delivery, number) DO UPDATE SET started_at = excluded.started_at,
                finished_at = excluded.finished_at, outcome = excluded.outcome, reason = excluded.reason
            """,
            [
                made.map(\.entry.delivery.rawValue), made.map { $0.entry.before + 1 }, made.map(\.entry.start),
                made.map(\.entry.end), made.map(\.attempt.outcome), made.map(\.attempt.reason),
            ])
    }

    static func onReturn(_ text: String?) -> QueuedDisposition { text.flatMap(QueuedDisposition.init) ?? .deliver }

    /// The condition that a delivery has one of these states. It has literals, so that the indexes over one state can
    /// be used.
    static func isOne(of states: [DeliveryState]) -> String {
        states.count == 1
            ? "state = '\(states[0].rawValue)'"
            : "state IN (\(states.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"
    }
}
