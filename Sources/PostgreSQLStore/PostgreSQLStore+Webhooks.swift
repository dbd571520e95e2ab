import RelayCore

extension PostgreSQLStore: WebhookStore {
    public func insert(_ webhook: Webhook) async throws -> Bool {
        try await write { connection in
            // Another transaction that adds a webhook of the same key waits, so that the count stays correct.
            try connection.queue("SELECT 1 FROM key WHERE id = $1 FOR NO KEY UPDATE", [webhook.key.text])
            let number = try connection.integer("SELECT count(*) FROM webhook WHERE key = $1", [webhook.key.text]) ?? 0
            guard number < Webhook.mostOfKey else { return false }
            try WebhookRow.queueInsert(webhook, in: connection)
            return true
        }
    }

    public func webhooks(of key: KeyID?) async throws -> [Webhook] {
        try await look { connection in
            try WebhookRow.webhooks(
                (key == nil ? "true" : "key = $1") + " ORDER BY created_at, id", key.map { [$0.text] } ?? [],
                in: connection)
        }
    }

    public func webhook(_ id: WebhookID) async throws -> Webhook? {
        try await look { try WebhookRow.webhooks("id = $1", [id.text], in: $0).first }
    }

    public func update(
        _ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void
    ) async throws -> Webhook? {
        try await write { connection in
            guard var webhook = try WebhookRow.webhooks("id = $1 FOR UPDATE", [id.text], in: connection).first else {
                return nil
            }
            let wasEnabled = webhook.isEnabled
            change(&webhook)
            webhook.enabledAgain(after: wasEnabled)
            try WebhookRow.queueWrite(webhook, in: connection)
            return webhook
        }
    }

    public func deleteWebhook(_ id: WebhookID) async throws -> Bool {
        try await write { connection in
            // First the webhook, then its calls, like all transactions that lock both.
            let isDeleted = try connection.execute("DELETE FROM webhook WHERE id = $1", [id.text]) == 1
            // There may be many calls. Those beyond a batch are deleted later, and so are calls that an event adds at
            // this moment.
            try connection.queue(
                "DELETE FROM webhook_call WHERE \(WebhookCallRow.some("webhook = $1", limit: 10 * WebhookCallRow.pruneBatch))",
                [id.text])
            return isDeleted
        }
    }

    public func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics {
        try await read { connection in
            let isRecent = "created_at >= $2"
            let found = try connection.first(
                """
                SELECT count(*) FILTER (WHERE \(isRecent)),
                    count(*) FILTER (WHERE \(isRecent) AND state = 'delivered'),
                    count(*), count(*) FILTER (WHERE state = 'delivered'),
                    (avg(last_duration) FILTER (WHERE \(isRecent) AND state = 'delivered'))::double precision,
                    (SELECT count(*) FROM webhook_call WHERE webhook = $1 AND state = 'waiting')
                FROM webhook_call WHERE webhook = $1 AND created_at >= $3 AND attempts > 0
                """, [id.text, now - .seconds(86_400), now - .seconds(7 * 86_400)]
            ) { row in
                func count(_ column: CInt) -> Int { Int(row.integer(column) ?? 0) }
                var statistics = WebhookStatistics()
                (statistics.calls24Hours, statistics.delivered24Hours) = (count(0), count(1))
                (statistics.calls7Days, statistics.delivered7Days) = (count(2), count(3))
                statistics.latency = row.real(4).map { .milliseconds(Int64($0.rounded())) }
                statistics.waiting = count(5)
                return statistics
            }
            var statistics = found ?? WebhookStatistics()
            func last(_ condition: String) throws -> WebhookCallRecord? {
                try WebhookCallRow.calls(
                    "webhook = $1 AND \(condition) ORDER BY id DESC LIMIT 1", [id.text], in: connection
                ).first
            }
            statistics.lastSuccess = try last("state = 'delivered'")
            statistics.lastFailure = try last("state <> 'delivered' AND attempts > 0")
            return statistics
        }
    }

    public func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord] {
        try await look { connection in
            try WebhookCallRow.calls(
                "webhook = $1 AND id < $2 ORDER BY id DESC LIMIT $3", [id.text, before ?? .max, max(limit, 0)],
                in: connection)
        }
    }

    public func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64 {
        try await write { connection in
            let id = try connection.integer(
                """
                INSERT INTO webhook_call (webhook, event, type, body, created_at, state, next_attempt_at)
                VALUES ($1, $2, $3, $4, $5, 'waiting', $6) RETURNING id
                """, [call.webhook.text, call.event, call.type, Bytes(call.body), call.createdAt, now])
            guard let id else { throw StoreError.corrupt("the table webhook_call gives no row back") }
            return id
        }
    }

    // MARK: Calls

    public func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)] {
        guard limit > 0 else { return [] }
        // First checked without a lock, because this runs all the time.
        var wanted: [(id: WebhookID, most: Int)] = []
        var placesOfFailing = ofFailing
        for due in try await look({ try WebhookCallRow.due(now, in: $0) }) where wanted.count < limit {
            var most = min(room[due.id] ?? otherwise, limit)
            if due.isFailing { most = min(most, 1, placesOfFailing) }
            guard most > 0 else { continue }
            if due.isFailing { placesOfFailing -= 1 }
            wanted.append((due.id, most))
        }
        guard !wanted.isEmpty else { return [] }
        return try await write { [wanted] connection in
            try WebhookCallRow.claim(wanted, limit: limit, leaseUntil: leaseUntil, now: now, in: connection)
        }
    }

    public func beginCalling(now: Timestamp) async throws {
        let node = membership?.place?.node ?? 0
        try await write { connection in
            // While another relay makes calls, the times since which webhooks have been failing stay valid.
            try connection.queue(
                """
                UPDATE webhook SET failing_since = $1 WHERE id IN (
                    SELECT id FROM webhook WHERE failing_since IS NOT NULL AND enabled
                        AND NOT EXISTS (SELECT 1 FROM node WHERE id <> $2 AND \(NodeRow.isAlive))
                    ORDER BY id FOR UPDATE)
                """, [now, node])
        }
    }

    public func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook] {
        guard !attempts.isEmpty else { return [] }
        return try await write { connection in
            // First the webhooks, in one order, so that two relays do not wait for each other; then their calls.
            let ids = Array(Set(attempts.map(\.webhook.text)))
            let found = try WebhookRow.webhooks("id = ANY ($1) ORDER BY id FOR UPDATE", [ids], in: connection)
            var webhooks = Dictionary(found.map { ($0.id, $0) }) { first, _ in first }
            try WebhookCallRow.queueRecords(of: attempts, in: connection)
            var disabled: [WebhookID] = []
            for attempt in attempts {
                guard let before = webhooks[attempt.webhook] else { continue }
                webhooks[attempt.webhook]?.tried(attempt)
                if before.isEnabled, webhooks[attempt.webhook]?.isEnabled == false { disabled.append(attempt.webhook) }
            }
            // Few webhooks change: those that fail for the first time, or that no longer fail.
            for before in found {
                guard let webhook = webhooks[before.id], webhook != before else { continue }
                try WebhookRow.queueWrite(webhook, in: connection)
            }
            return disabled.compactMap { webhooks[$0] }
        }
    }

    public func nextCall() async throws -> Timestamp? {
        try await look { connection in
            try connection.first("\(WebhookCallRow.waiting) SELECT min(first_due) FROM due", []) { $0.timestamp(0) }
                ?? nil
        }
    }

    public func webhookBacklog() async throws -> (waiting: Int, disabled: Int) {
        let counts = try await look { connection in
            try connection.first(
                """
                SELECT (SELECT count(*) FROM webhook_call WHERE state = 'waiting'),
                    (SELECT count(*) FROM webhook WHERE NOT enabled AND disabled_because IS NOT NULL)
                """
            ) { (waiting: Int($0.integer(0) ?? 0), disabled: Int($0.integer(1) ?? 0)) }
        }
        return counts ?? (0, 0)
    }

    public func pruneCalls(now: Timestamp) async throws -> Bool {
        // Several relays may do this at once: each skips the rows that another one has locked.
        try await write { try WebhookCallRow.prune(now: now, in: $0) }
    }
}
