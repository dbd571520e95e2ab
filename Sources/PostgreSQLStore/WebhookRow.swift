import RelayCore

/// Reads and writes the table `webhook`.
enum WebhookRow {
    static let columns = """
        webhook.id, webhook.key, webhook.url, webhook.events, webhook.tags, webhook.enabled, webhook.disabled_because,
        webhook.created_at, webhook.secret, webhook.previous_secret, webhook.previous_secret_until,
        webhook.failing_since
        """

    /// Reads the ``columns`` from a row, beginning with the column `first`.
    static func webhook(_ row: ResultRow, from first: CInt = 0) throws -> Webhook {
        guard let id = row.text(first).flatMap({ WebhookID($0) }), let key = row.text(first + 1).flatMap({ KeyID($0) }),
            let url = row.text(first + 2), let events = row.text(first + 3), let isEnabled = row.boolean(first + 5),
            let createdAt = row.timestamp(first + 7), let secret = row.bytes(first + 8)
        else { throw StoreError.corrupt("a webhook's row can't be read") }
        return Webhook(
            id: id, key: key, url: url,
            events: Set(events.split(separator: " ").compactMap { WebhookEvent(rawValue: String($0)) }),
            tags: TagList.tags(row.text(first + 4)), isEnabled: isEnabled, disabledBecause: row.text(first + 6),
            createdAt: createdAt, secret: WebhookSecret(octets: secret),
            previousSecret: row.bytes(first + 9).map(WebhookSecret.init(octets:)),
            previousSecretUntil: row.timestamp(first + 10), failingSince: row.timestamp(first + 11))
    }

    /// - Parameter condition: the text after WHERE, including the order and the lock.
    static func webhooks(
        _ condition: String, _ parameters: [any ParameterValue], in connection: Connection
    ) throws -> [Webhook] {
        try connection.rows("SELECT \(columns) FROM webhook WHERE \(condition)", parameters) { try webhook($0) }
    }

    /// The condition on webhooks that may be called: they are enabled, and their key is not revoked.
    static let isActive = """
        webhook.enabled AND EXISTS (SELECT 1 FROM key WHERE key.id = webhook.key AND key.revoked_at IS NULL)
        """

    /// Queues the query for the webhooks that receive events about messages. ``hearing(_:)`` reads its result. The
    /// result may include webhooks of a key that is being revoked: they are not called any more.
    static func queueHearing(_ messages: [Int64], in connection: Connection) throws {
        try connection.queue(
            """
            WITH told AS (SELECT DISTINCT key, lane FROM message WHERE id = ANY ($1)),
            hearing AS (
                SELECT told.key AS of_key, key.id AS key FROM told JOIN key ON key.id = told.key
                WHERE key.revoked_at IS NULL
                UNION
                SELECT told.key, key.id FROM told JOIN key ON key.environment = told.lane
                WHERE key.webhooks_for_all AND key.revoked_at IS NULL
            )
            SELECT hearing.of_key, \(columns)
            FROM hearing JOIN webhook ON webhook.key = hearing.key WHERE webhook.enabled ORDER BY webhook.id
            """, [messages])
    }

    /// The webhooks by the key of the messages.
    static func hearing(_ result: QueryResult) throws -> [KeyID: [Webhook]] {
        var found: [KeyID: [Webhook]] = [:]
        for case (let key?, let webhook) in try result.map({ row in
            (row.text(0).flatMap { KeyID($0) }, try webhook(row, from: 1))
        }) {
            found[key, default: []].append(webhook)
        }
        return found
    }

    /// Queues the insertion of a webhook.
    static func queueInsert(_ webhook: Webhook, in connection: Connection) throws {
        try connection.queue(
            """
            INSERT INTO webhook (id, key, url, events, tags, enabled, disabled_because, created_at, secret,
                previous_secret, previous_secret_until, failing_since)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """,
            [
                webhook.id.text, webhook.key.text, webhook.url, events(webhook), TagList.text(webhook.tags),
                webhook.isEnabled, webhook.disabledBecause, webhook.createdAt, Bytes(webhook.secret.octets),
                webhook.previousSecret.map { Bytes($0.octets) }, webhook.previousSecretUntil, webhook.failingSince,
            ])
    }

    /// Queues the statement that changes the webhook's row, which must be locked.
    static func queueWrite(_ webhook: Webhook, in connection: Connection) throws {
        try connection.queue(
            """
            UPDATE webhook SET url = $1, events = $2, tags = $3, enabled = $4, disabled_because = $5, secret = $6,
                previous_secret = $7, previous_secret_until = $8, failing_since = $9 WHERE id = $10
            """,
            [
                webhook.url, events(webhook), TagList.text(webhook.tags), webhook.isEnabled, webhook.disabledBecause,
                Bytes(webhook.secret.octets), webhook.previousSecret.map { Bytes($0.octets) },
                webhook.previousSecretUntil, webhook.failingSince, webhook.id.text,
            ])
    }

    private static func events(_ webhook: Webhook) -> String {
        webhook.events.map(\.rawValue).sorted().joined(separator: " ")
    }
}
