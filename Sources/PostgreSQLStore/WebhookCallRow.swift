import RelayCore

/// Reads and writes the table `webhook_call`.
enum WebhookCallRow {
    /// The rows deleted by one statement.
    static let pruneBatch = 1000

    /// An event for which webhooks are to be called.
    struct NewCall {
        var webhooks: [WebhookID]
        var payload: WebhookPayload
    }

    /// Queues the insertion of the calls of events, in the order of the events.
    static func queueInsert(_ calls: [NewCall], due: Timestamp, in connection: Connection) throws {
        guard !calls.isEmpty else { return }
        // Each document is sent to the server once, however many webhooks receive it.
        let places = calls.enumerated().flatMap { place, call in call.webhooks.map { _ in place + 1 } }
        try connection.queue(
            """
            INSERT INTO webhook_call (webhook, event, type, body, created_at, state, next_attempt_at)
            SELECT webhook, event, type, body, $6, 'waiting', $6
            FROM unnest($1, $2) WITH ORDINALITY AS called (webhook, place, number)
            JOIN unnest($3, $4, $5) WITH ORDINALITY AS told (event, type, body, place) ON told.place = called.place
            ORDER BY number
            """,
            [
                calls.flatMap { $0.webhooks.map(\.text) }, places, calls.map(\.payload.id),
                calls.map(\.payload.type.rawValue), calls.map { Bytes($0.payload.body) }, due,
            ])
    }

    /// Common table expressions. `waiting`: the webhooks with waiting calls, and a null at the end. It goes from
    /// webhook to webhook in the index, however many calls wait for each. `due`: the active webhooks among them, and
    /// when the first call of each is due.
    static let waiting = """
        WITH RECURSIVE waiting (id) AS (
            SELECT min(webhook) FROM webhook_call WHERE state = 'waiting'
            UNION ALL
            SELECT (SELECT min(webhook) FROM webhook_call WHERE state = 'waiting' AND webhook > waiting.id)
            FROM waiting WHERE waiting.id IS NOT NULL
        ),
        due AS (
            SELECT webhook.id, webhook.failing_since IS NOT NULL AS is_failing, (
                SELECT min(next_attempt_at) FROM webhook_call WHERE state = 'waiting' AND webhook = waiting.id
            ) AS first_due
            FROM waiting JOIN webhook ON webhook.id = waiting.id WHERE \(WebhookRow.isActive)
        )
        """

    /// The webhooks with due calls. The one whose call has been due longest comes first.
    static func due(_ now: Timestamp, in connection: Connection) throws -> [(id: WebhookID, isFailing: Bool)] {
        try connection.rows(
            "\(waiting) SELECT id, is_failing FROM due WHERE first_due <= $1 ORDER BY first_due, id", [now]
        ) { row in
            guard let id = row.text(0).flatMap({ WebhookID($0) }) else {
                throw StoreError.corrupt("a webhook's call can't be read")
            }
            return (id, row.boolean(1) ?? false)
        }
    }

    /// Claims calls under a lease: at most a given number for each webhook, and at most `limit` in total, in the order
    /// of the webhooks.
    ///
    /// Calls that another relay is claiming at the moment are skipped, and calls that it has claimed are not due any
    /// more.
    static func claim(
        _ wanted: [(id: WebhookID, most: Int)], limit: Int, leaseUntil: Timestamp, now: Timestamp,
        in connection: Connection
    ) throws -> [(call: WebhookCall, webhook: Webhook)] {
        let ids = wanted.map(\.id.text)
        try connection.queue(
            """
            WITH taken AS (
                SELECT call.id, place, row_number() OVER (PARTITION BY place ORDER BY call.next_attempt_at, call.id) AS number
                FROM unnest($1, $2) WITH ORDINALITY AS wanted (id, most, place)
                CROSS JOIN LATERAL (
                    SELECT webhook_call.id, next_attempt_at FROM webhook_call
                    WHERE state = 'waiting' AND webhook = wanted.id AND next_attempt_at <= $3
                    ORDER BY next_attempt_at, webhook_call.id LIMIT wanted.most FOR UPDATE SKIP LOCKED
                ) AS call
            ),
            chosen AS (SELECT id, place, number FROM taken ORDER BY place, number LIMIT $4),
            leased AS (
                UPDATE webhook_call SET next_attempt_at = $5 FROM chosen WHERE webhook_call.id = chosen.id
                RETURNING place, number, webhook_call.id, webhook, event, type, body, created_at, attempts
            )
            SELECT id, webhook, event, type, body, created_at, attempts FROM leased ORDER BY place, number
            """, [ids, wanted.map(\.most), now, limit, leaseUntil])
        // A webhook that was disabled or deleted in the meantime is not called. Its calls are not claimed again.
        try connection.queue(
            "SELECT \(WebhookRow.columns) FROM webhook WHERE id = ANY ($1) AND \(WebhookRow.isActive)", [ids])
        let results = Array(try connection.results().suffix(2))
        guard results.count == 2 else { return [] }
        let webhooks = Dictionary(try results[1].map { try WebhookRow.webhook($0) }.map { ($0.id, $0) }) { first, _ in
            first
        }
        return try results[0].map { try call($0) }.compactMap { call in webhooks[call.webhook].map { (call, $0) } }
    }

    private static let callColumns = "id, webhook, event, type, body, created_at, attempts"

    /// Reads the columns ``callColumns``.
    private static func call(_ row: ResultRow) throws -> WebhookCall {
        guard let id = row.integer(0), let webhook = row.text(1).flatMap({ WebhookID($0) }), let event = row.text(2),
            let type = row.text(3), let body = row.bytes(4), let createdAt = row.timestamp(5),
            let attempts = row.integer(6)
        else { throw StoreError.corrupt("a webhook's call can't be read") }
        return WebhookCall(
            id: id, webhook: webhook, event: event, type: type, body: body, createdAt: createdAt,
            attempts: Int(attempts))
    }

    /// - Parameter condition: the text after WHERE, including the order.
    static func calls(
        _ condition: String, _ parameters: [any ParameterValue], in connection: Connection
    ) throws -> [WebhookCallRecord] {
        try connection.rows(
            """
            SELECT \(callColumns), state, next_attempt_at, last_attempt_at, last_duration, last_status, last_response
            FROM webhook_call WHERE \(condition)
            """, parameters
        ) { row in
            guard let state = row.text(7).flatMap(WebhookCallState.init) else {
                throw StoreError.corrupt("a webhook's call can't be read")
            }
            return WebhookCallRecord(
                call: try call(row), state: state, nextAttemptAt: state == .waiting ? row.timestamp(8) : nil,
                lastAttemptAt: row.timestamp(9), lastDuration: row.integer(10).map { .milliseconds($0) },
                lastStatus: row.integer(11).map(Int.init), lastResponse: row.text(12))
        }
    }

    /// Queues the statements that record attempts. They do nothing for a call that has ended in the meantime.
    static func queueRecords(of attempts: [WebhookAttempt], in connection: Connection) throws {
        // A statement changes a row only once. If a call has several attempts, because it outlived its lease, each
        // attempt has its own statement.
        var turns: [[WebhookAttempt]] = []
        var counts: [Int64: Int] = [:]
        for attempt in attempts {
            let turn = counts[attempt.call, default: 0]
            counts[attempt.call] = turn + 1
            if turn == turns.count { turns.append([]) }
            turns[turn].append(attempt)
        }
        for attempts in turns {
            let outcomes = attempts.map { attempt -> (state: WebhookCallState, due: Timestamp?) in
                switch attempt.verdict {
                case .delivered: (.delivered, nil)
                case .retry(let time): (.waiting, time)
                case .failed, .gone: (.failed, nil)
                }
            }
            try connection.queue(
                """
                UPDATE webhook_call SET state = tried.state, attempts = webhook_call.attempts + 1,
                    next_attempt_at = coalesce(tried.due, next_attempt_at), last_attempt_at = tried.at,
                    last_duration = tried.duration, last_status = tried.status, last_response = tried.response
                FROM unnest($1, $2, $3, $4, $5, $6, $7) AS tried (id, state, due, at, duration, status, response)
                WHERE webhook_call.id = tried.id AND webhook_call.state = 'waiting'
                """,
                [
                    attempts.map(\.call), outcomes.map(\.state.rawValue), outcomes.map(\.due),
                    attempts.map(\.startedAt),
                    attempts.map { ($0.finishedAt - $0.startedAt).wholeMilliseconds }, attempts.map(\.status),
                    attempts.map(\.response),
                ])
        }
    }

    // MARK: Pruning

    /// A condition that selects at most `limit` of the calls for which `condition` holds and that no other transaction
    /// has locked.
    static func some(_ condition: String, limit: Int) -> String {
        """
        id IN (SELECT id FROM webhook_call WHERE \(condition) ORDER BY id LIMIT \(limit) FOR UPDATE SKIP LOCKED)
        """
    }

    /// A condition for a statement that begins with ``waiting``. It selects some of the waiting calls of certain
    /// webhooks, without calls that another transaction has locked.
    ///
    /// - Parameters:
    ///   - webhooks: a query that returns the ids of these webhooks as `id`.
    ///   - condition: a condition over a call, and over a row of that query as `old`.
    private static func someOf(_ webhooks: String, _ condition: String) -> String {
        """
        id IN (
            SELECT call.id FROM (\(webhooks)) AS old CROSS JOIN LATERAL (
                SELECT webhook_call.id FROM webhook_call
                WHERE state = 'waiting' AND webhook = old.id AND \(condition)
                LIMIT \(pruneBatch) FOR UPDATE SKIP LOCKED
            ) AS call LIMIT \(pruneBatch))
        """
    }

    /// Deletes calls. Returns whether there may be more.
    static func prune(now: Timestamp, in connection: Connection) throws -> Bool {
        try connection.queue(
            """
            DELETE FROM webhook_call WHERE id IN (
                SELECT id FROM webhook_call WHERE state <> 'waiting' AND created_at < $1
                ORDER BY created_at LIMIT \(pruneBatch) FOR UPDATE SKIP LOCKED)
            """, [now - keptCalls])
        // Calls of deleted webhooks. An id is never used again.
        let gone =
            "SELECT waiting.id FROM waiting WHERE NOT EXISTS (SELECT 1 FROM webhook WHERE webhook.id = waiting.id)"
        try connection.queue("\(waiting) DELETE FROM webhook_call WHERE \(someOf(gone, "true"))")
        // Calls that have waited too long are kept as failed. Calls of an active webhook are given up when an attempt
        // fails after the time limit. Here they are given up only after twice that time, which is for calls that are
        // never attempted.
        let kept = """
            SELECT webhook.id, CASE WHEN \(WebhookRow.isActive) THEN $1 ELSE $2 END AS time
            FROM waiting JOIN webhook ON webhook.id = waiting.id
            """
        try connection.queue(
            "\(waiting) UPDATE webhook_call SET state = 'failed' WHERE \(someOf(kept, "created_at < old.time"))",
            [now - Webhook.timeout * 2, now - Webhook.timeout])
        return try connection.results().suffix(3).contains { $0.affected >= pruneBatch }
    }
}
