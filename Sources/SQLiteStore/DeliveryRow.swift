import GRDB
import RelayCore

/// Writes a ``DeliveryChange`` to the table `delivery`. This is the only place that does.
enum DeliveryRow {
    /// Each value of the change has a numbered parameter, so that the parameters of a condition begin with ?11.
    private static let update = """
        UPDATE delivery SET state = ?1, reason = CASE WHEN ?2 THEN ?3 ELSE reason END,
            next_attempt_at = COALESCE(?4, next_attempt_at), queued_since = COALESCE(?5, queued_since),
            attempts = attempts + ?6, pauses = CASE WHEN ?5 IS NULL THEN pauses + ?7 ELSE 0 END,
            maybe_duplicate = maybe_duplicate OR ?8, ses_message_id = COALESCE(?9, ses_message_id), ended_at = ?10,
            holder = NULL, claimed_at = NULL, lease_until = NULL, on_return = NULL
        """

    private static func arguments(_ change: DeliveryChange) -> StatementArguments {
        let (isSet, reason): (Bool, String?) =
            switch change.reason {
            case .kept: (false, nil)
            case .set(let reason): (true, reason)
            }
        return [
            change.state.rawValue, isSet, reason, change.due?.milliseconds, change.queuedSince?.milliseconds,
            change.attempt == nil ? 0 : 1, change.lengthensPause ? 1 : 0, change.mayBeDuplicate, change.sesMessageID,
            change.endedAt?.milliseconds,
        ]
    }

    private static let updateOne = update + " WHERE id = ?11"

    /// Applies a change to one delivery. Runs for each attempt.
    static func apply(_ change: DeliveryChange, to delivery: DeliveryID, in database: Database) throws {
        let statement = try DirectStatement(database, updateOne)
        statement.bind(change.state.rawValue, at: 1)
        switch change.reason {
        case .kept:
            statement.bind(0, at: 2)
            statement.bind(nil as String?, at: 3)
        case .set(let reason):
            statement.bind(1, at: 2)
            statement.bind(reason, at: 3)
        }
        statement.bind(change.due?.milliseconds, at: 4)
        statement.bind(change.queuedSince?.milliseconds, at: 5)
        statement.bind(change.attempt == nil ? 0 : 1, at: 6)
        statement.bind(change.lengthensPause ? 1 : 0, at: 7)
        statement.bind(change.mayBeDuplicate ? 1 : 0, at: 8)
        statement.bind(change.sesMessageID, at: 9)
        statement.bind(change.endedAt?.milliseconds, at: 10)
        statement.bind(delivery.rawValue, at: 11)
        try statement.run()
    }

    /// Applies a change to all of these deliveries. Returns how many deliveries were changed.
    static func apply(_ change: DeliveryChange, to deliveries: [Int64], in database: Database) throws -> Int {
        let list = deliveries.map(String.init).joined(separator: ",")
        try database.execute(sql: update + " WHERE id IN (\(list))", arguments: arguments(change))
        return database.changesCount
    }

    /// Applies a change to all deliveries of a key that have one of the states.
    static func apply(
        _ change: DeliveryChange, toThoseOf key: KeyID, in states: [DeliveryState], _ database: Database
    ) throws {
        try database.execute(
            sql: update + " WHERE key = ?11 AND \(isOne(of: states))", arguments: arguments(change) + [key.text])
    }

    /// Records an attempt, if there was one.
    static func record(
        _ attempt: DeliveryChange.Attempt?, of delivery: DeliveryID, after attempts: Int, from start: Timestamp,
        to end: Timestamp, in database: Database
    ) throws {
        guard let attempt else { return }
        let statement = try DirectStatement(database, insertAttempt)
        statement.bind(delivery.rawValue, at: 1)
        statement.bind(Int64(attempts + 1), at: 2)
        statement.bind(start.milliseconds, at: 3)
        statement.bind(end.milliseconds, at: 4)
        statement.bind(attempt.outcome, at: 5)
        statement.bind(attempt.reason, at: 6)
        try statement.run()
    }

    /// Reports the outcome for a delivery's recipients to webhooks and senders: the event that follows from the change
    /// itself, which the delivery's record already shows, and the events in `reported`.
    ///
    /// - Parameter isCounted: whether the delivery counts in the statistics.
    static func tell(
        _ change: DeliveryChange, of delivery: DeliveryID, at time: Timestamp, isCounted: Bool = false,
        reported: [ReportedEvent] = [], _ events: inout EventWriter, in database: Database
    ) throws {
        let own = change.event(at: time)
        let event = try own.flatMap { try events.isHeard($0) ? $0 : nil }
        let isCountedNow = isCounted && own?.kind == .sent
        guard event != nil || isCountedNow || !reported.isEmpty else { return }
        let statement = try DirectStatement(
            database, "SELECT message, recipients, suppressed, ses_message_id FROM delivery WHERE id = ?")
        statement.bind(delivery.rawValue, at: 1)
        let found = try statement.first { row in
            (
                message: row.integer(0).flatMap(MessageID.init(rawValue:)),
                recipients: RecipientList.recipients(row.text(1) ?? ""), suppressed: row.integer(2) ?? 0,
                sesMessageID: row.text(3)
            )
        }
        guard let found, let id = found.message, let message = try MessageFacts(id, in: database) else { return }
        if event != nil || isCountedNow {
            let suppressed = found.suppressed > 0 ? try EventRow.suppressed(of: id, in: database) : []
            let recipients = found.recipients.filter { !suppressed.contains($0) }
            if isCountedNow { events.countSent(recipients.count, of: message, at: time) }
            if let event { try events.tell(event, of: recipients, message, sesMessageID: found.sesMessageID) }
        }
        for told in reported {
            _ = try events.add(told.event, of: told.recipient, message, sesMessageID: found.sesMessageID)
        }
    }

    private static let insertAttempt = """
        INSERT OR REPLACE INTO attempt (delivery, number, started_at, finished_at, outcome, reason)
        VALUES (?, ?, ?, ?, ?, ?)
        """

    static func onReturn(_ text: String?) -> QueuedDisposition { text.flatMap(QueuedDisposition.init) ?? .deliver }

    /// The condition that a delivery has one of these states. It has literals, so that SQLite can use the indexes over
    /// one state.
    static func isOne(of states: [DeliveryState]) -> String {
        states.count == 1
            ? "state = '\(states[0].rawValue)'"
            : "state IN (\(states.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"
    }
}
