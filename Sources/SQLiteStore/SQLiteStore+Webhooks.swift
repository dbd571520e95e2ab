import Foundation
import GRDB
import RelayCore

extension SQLiteStore: WebhookStore {
    public func insert(_ webhook: Webhook) async throws -> Bool {
        try await write { database in
            let number =
                try Int.fetchOne(
                    database, sql: "SELECT COUNT(*) FROM webhook WHERE key = ?", arguments: [webhook.key.text]) ?? 0
            guard number < Webhook.mostOfKey else { return false }
            try WebhookRow.insert(webhook, in: database)
            return true
        }
    }

    public func webhooks(of key: KeyID?) async throws -> [Webhook] {
        try await read { database in
            try WebhookRow.webhooks(
                key == nil ? "1" : "key = ?", key.map { [$0.text] } ?? [], order: "created_at, id", in: database)
        }
    }

    public func webhook(_ id: WebhookID) async throws -> Webhook? {
        try await read { try WebhookRow.find(id, in: $0) }
    }

    public func update(
        _ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void
    ) async throws -> Webhook? {
        try await write { database in
            guard var webhook = try WebhookRow.find(id, in: database) else { return nil }
            let wasEnabled = webhook.isEnabled
            change(&webhook)
            webhook.enabledAgain(after: wasEnabled)
            try WebhookRow.write(webhook, in: database)
            return webhook
        }
    }

    public func deleteWebhook(_ id: WebhookID) async throws -> Bool {
        try await write { database in
            try database.execute(sql: "DELETE FROM webhook WHERE id = ?", arguments: [id.text])
            let isDeleted = database.changesCount == 1
            // There may be many calls. Those beyond a batch are deleted later.
            try WebhookRow.deleteCalls(
                where: "webhook = ?", [id.text], limit: 10 * WebhookRow.pruneBatch, in: database)
            return isDeleted
        }
    }

    public func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics {
        try await read { database in
            var statistics = WebhookStatistics()
            let day = (now - .seconds(86_400)).milliseconds
            let week = (now - .seconds(7 * 86_400)).milliseconds
            if let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT COUNT(*) FILTER (WHERE created_at >= ?2) AS day,
                        COUNT(*) FILTER (WHERE created_at >= ?2 AND state = 'delivered') AS day_delivered,
                        COUNT(*) AS week, COUNT(*) FILTER (WHERE state = 'delivered') AS week_delivered,
                        AVG(last_duration) FILTER (WHERE created_at >= ?2 AND state = 'delivered') AS latency
                    FROM webhook_call WHERE webhook = ?1 AND created_at >= ?3 AND attempts > 0
                    """, arguments: [id.text, day, week])
            {
                (statistics.calls24Hours, statistics.delivered24Hours) = (row["day"], row["day_delivered"])
                (statistics.calls7Days, statistics.delivered7Days) = (row["week"], row["week_delivered"])
                statistics.latency = (row["latency"] as Double?).map { .milliseconds(Int64($0.rounded())) }
            }
            statistics.waiting =
                try Int.fetchOne(
                    database, sql: "SELECT COUNT(*) FROM webhook_call WHERE webhook = ? AND state = 'waiting'",
                    arguments: [id.text]) ?? 0
            func last(_ condition: String) throws -> WebhookCallRecord? {
                try WebhookRow.calls(
                    "webhook = ? AND \(condition) ORDER BY id DESC LIMIT 1", [id.text], in: database
                ).first
            }
            statistics.lastSuccess = try last("state = 'delivered'")
            statistics.lastFailure = try last("state <> 'delivered' AND attempts > 0")
            return statistics
        }
    }

    public func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord] {
        try await read { database in
            try WebhookRow.calls(
                "webhook = ? AND id < ? ORDER BY id DESC LIMIT ?", [id.text, before ?? .max, limit], in: database)
        }
    }

    public func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64 {
        try await write { database in
            try WebhookRow.insert(call, due: now, in: database)
            return database.lastInsertedRowID
        }
    }

    // MARK: Calls

    public func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)] {
        guard try await nextCall().map({ $0 <= now }) ?? false else { return [] }
        return try await write { database in
            var claimed: [(call: WebhookCall, webhook: Webhook)] = []
            var placesOfFailing = ofFailing
            let lease = try database.cachedStatement(
                sql: "UPDATE webhook_call SET next_attempt_at = ? WHERE id = ?")
            for id in try WebhookRow.due(now, in: database) where claimed.count < limit {
                var most = min(room[id] ?? otherwise, limit - claimed.count)
                guard most > 0, let webhook = try WebhookRow.active(id, in: database) else { continue }
                if webhook.failingSince != nil {
                    most = min(most, 1, placesOfFailing)
                    guard most > 0 else { continue }
                    placesOfFailing -= 1
                }
                for call in try WebhookRow.dueCalls(of: id, limit: most, now, in: database) {
                    try lease.execute(arguments: [leaseUntil.milliseconds, call.id])
                    claimed.append((call, webhook))
                }
            }
            return claimed
        }
    }

    public func beginCalling(now: Timestamp) async throws {
        try await write { database in
            try database.execute(
                sql: "UPDATE webhook SET failing_since = ? WHERE failing_since IS NOT NULL AND enabled",
                arguments: [now.milliseconds])
        }
    }

    public func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook] {
        try await write { database in
            var disabled: [Webhook] = []
            for attempt in attempts {
                try WebhookRow.record(attempt, in: database)
                guard var webhook = try WebhookRow.find(attempt.webhook, in: database) else { continue }
                let before = webhook
                webhook.tried(attempt)
                guard webhook != before else { continue }
                try WebhookRow.write(webhook, in: database)
                if before.isEnabled, !webhook.isEnabled { disabled.append(webhook) }
            }
            return disabled
        }
    }

    public func nextCall() async throws -> Timestamp? {
        try await read { database in
            var next: Int64?
            for id in try WebhookRow.waiting(in: database) where try WebhookRow.active(id, in: database) != nil {
                let first = try Int64.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT MIN(next_attempt_at) FROM webhook_call WHERE state = 'waiting' AND webhook = ?"),
                    arguments: [id.text])
                next = [next, first].compactMap { $0 }.min()
            }
            return timestamp(next)
        }
    }

    public func webhookBacklog() async throws -> (waiting: Int, disabled: Int) {
        try await read { database in
            (
                try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM webhook_call WHERE state = 'waiting'") ?? 0,
                try Int.fetchOne(
                    database, sql: "SELECT COUNT(*) FROM webhook WHERE enabled = 0 AND disabled_because IS NOT NULL")
                    ?? 0
            )
        }
    }

    public func pruneCalls(now: Timestamp) async throws -> Bool {
        try await write { database in
            var isMore = try WebhookRow.deleteCalls(
                where: "state <> 'waiting' AND created_at < ?", [(now - keptCalls).milliseconds],
                limit: WebhookRow.pruneBatch, in: database)
            for id in try WebhookRow.waiting(in: database) {
                let more: Bool
                if try WebhookRow.find(id, in: database) == nil {
                    more = try WebhookRow.deleteCalls(
                        where: "webhook = ?", [id.text], limit: WebhookRow.pruneBatch, in: database)
                } else {
                    // Calls of an active webhook are given up when an attempt fails after the time limit. Here they are
                    // given up only after twice that time, which is for calls that are never attempted.
                    let isCalled = try WebhookRow.active(id, in: database) != nil
                    more = try WebhookRow.giveUpCalls(
                        of: id, madeBefore: now - (isCalled ? Webhook.timeout * 2 : Webhook.timeout),
                        limit: WebhookRow.pruneBatch, in: database)
                }
                isMore = more || isMore
            }
            return isMore
        }
    }
}

/// Reads and writes the tables `webhook` and `webhook_call`.
enum WebhookRow {
    /// The rows deleted in one transaction.
    static let pruneBatch = 1000

    // MARK: Webhooks

    static func webhook(_ row: Row) throws -> Webhook {
        guard let id = WebhookID(row["id"]), let key = KeyID(row["key"]) else {
            throw StoreError.corrupt("a webhook's row can't be read")
        }
        let events: String = row["events"]
        return Webhook(
            id: id, key: key, url: row["url"],
            events: Set(events.split(separator: " ").compactMap { WebhookEvent(rawValue: String($0)) }),
            tags: TagList.tags(row["tags"]), isEnabled: row["enabled"], disabledBecause: row["disabled_because"],
            createdAt: Timestamp(milliseconds: row["created_at"]),
            secret: WebhookSecret(octets: bytes(row["secret"]) ?? []),
            previousSecret: bytes(row["previous_secret"]).map(WebhookSecret.init(octets:)),
            previousSecretUntil: timestamp(row["previous_secret_until"]), failingSince: timestamp(row["failing_since"]))
    }

    static func webhooks(
        _ condition: String, _ arguments: StatementArguments, order: String, in database: Database
    ) throws -> [Webhook] {
        try Row.fetchAll(
            database.cachedStatement(sql: "SELECT * FROM webhook WHERE \(condition) ORDER BY \(order)"),
            arguments: arguments
        ).map(webhook)
    }

    static func find(_ id: WebhookID, in database: Database) throws -> Webhook? {
        try webhooks("id = ?", [id.text], order: "id", in: database).first
    }

    /// A webhook that may be called; nil if it is disabled or deleted, or if its key was revoked.
    static func active(_ id: WebhookID, in database: Database) throws -> Webhook? {
        try webhooks(
            """
            id = ? AND enabled AND EXISTS (
                SELECT 1 FROM key WHERE key.id = webhook.key AND revoked_at IS NULL)
            """, [id.text], order: "id", in: database
        ).first
    }

    /// The webhooks that receive events about a key's messages.
    static func hearing(_ key: KeyID, _ environment: Environment, in database: Database) throws -> [Webhook] {
        try webhooks(
            """
            enabled AND (key = ?1 AND EXISTS (SELECT 1 FROM key WHERE key.id = ?1 AND revoked_at IS NULL)
                OR key IN (
                    SELECT id FROM key WHERE environment = ?2 AND webhooks_for_all AND revoked_at IS NULL))
            """, [key.text, environment.rawValue], order: "id", in: database)
    }

    static func insert(_ webhook: Webhook, in database: Database) throws {
        try database.execute(
            sql:
                "INSERT INTO webhook (id, key, url, events, enabled, created_at, secret) VALUES (?, ?, '', '', 0, ?, ?)",
            arguments: [
                webhook.id.text, webhook.key.text, webhook.createdAt.milliseconds, Data(webhook.secret.octets),
            ])
        try write(webhook, in: database)
    }

    static func write(_ webhook: Webhook, in database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE webhook SET url = ?, events = ?, tags = ?, enabled = ?, disabled_because = ?, secret = ?,
                    previous_secret = ?, previous_secret_until = ?, failing_since = ? WHERE id = ?
                """
        ).execute(
            arguments: [
                webhook.url, webhook.events.map(\.rawValue).sorted().joined(separator: " "), TagList.text(webhook.tags),
                webhook.isEnabled, webhook.disabledBecause, Data(webhook.secret.octets),
                webhook.previousSecret.map { Data($0.octets) }, webhook.previousSecretUntil?.milliseconds,
                webhook.failingSince?.milliseconds, webhook.id.text,
            ])
    }

    // MARK: Calls

    static func insert(_ call: WebhookCall, due: Timestamp, in database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO webhook_call (webhook, event, type, body, created_at, state, next_attempt_at)
                VALUES (?, ?, ?, ?, ?, 'waiting', ?)
                """
        ).execute(
            arguments: [
                call.webhook.text, call.event, call.type, Data(call.body), call.createdAt.milliseconds,
                due.milliseconds,
            ])
    }

    /// The webhooks with waiting calls. Goes from webhook to webhook in the index, however many calls wait for each.
    static func waiting(in database: Database) throws -> [WebhookID] {
        let next = try database.cachedStatement(
            sql: "SELECT MIN(webhook) FROM webhook_call WHERE state = 'waiting' AND webhook > ?")
        var found: [WebhookID] = []
        while let text = try String.fetchOne(next, arguments: [found.last?.text ?? ""]) {
            guard let id = WebhookID(text) else { throw StoreError.corrupt("a webhook's call can't be read") }
            found.append(id)
        }
        return found
    }

    /// The webhooks with due calls. The one whose call has been due longest comes first.
    static func due(_ now: Timestamp, in database: Database) throws -> [WebhookID] {
        let first = try database.cachedStatement(
            sql: "SELECT MIN(next_attempt_at) FROM webhook_call WHERE state = 'waiting' AND webhook = ?")
        return try waiting(in: database).compactMap { id in
            try Int64.fetchOne(first, arguments: [id.text]).map { (id: id, due: $0) }
        }
        .filter { $0.due <= now.milliseconds }
        .sorted { ($0.due, $0.id.text) < ($1.due, $1.id.text) }
        .map(\.id)
    }

    static func dueCalls(
        of id: WebhookID, limit: Int, _ now: Timestamp, in database: Database
    ) throws -> [WebhookCall] {
        try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT * FROM webhook_call WHERE state = 'waiting' AND webhook = ? AND next_attempt_at <= ?
                    ORDER BY next_attempt_at, id LIMIT ?
                    """), arguments: [id.text, now.milliseconds, limit]
        ).map { try call($0, id) }
    }

    private static func call(_ row: Row, _ webhook: WebhookID) throws -> WebhookCall {
        WebhookCall(
            id: row["id"], webhook: webhook, event: row["event"], type: row["type"], body: bytes(row["body"]) ?? [],
            createdAt: Timestamp(milliseconds: row["created_at"]), attempts: row["attempts"])
    }

    static func calls(
        _ condition: String, _ arguments: StatementArguments, in database: Database
    ) throws -> [WebhookCallRecord] {
        try Row.fetchAll(database, sql: "SELECT * FROM webhook_call WHERE \(condition)", arguments: arguments).map {
            row in
            guard let id = WebhookID(row["webhook"]), let state = WebhookCallState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a webhook's call can't be read")
            }
            return WebhookCallRecord(
                call: try call(row, id), state: state,
                nextAttemptAt: state == .waiting ? Timestamp(milliseconds: row["next_attempt_at"]) : nil,
                lastAttemptAt: timestamp(row["last_attempt_at"]),
                lastDuration: (row["last_duration"] as Int64?).map { .milliseconds($0) },
                lastStatus: row["last_status"],
                lastResponse: row["last_response"])
        }
    }

    /// Records an attempt. Does nothing if the call has ended in the meantime.
    static func record(_ attempt: WebhookAttempt, in database: Database) throws {
        let (state, due): (WebhookCallState, Timestamp?) =
            switch attempt.verdict {
            case .delivered: (.delivered, nil)
            case .retry(let time): (.waiting, time)
            case .failed, .gone: (.failed, nil)
            }
        try database.cachedStatement(
            sql: """
                UPDATE webhook_call SET state = ?, attempts = attempts + 1, next_attempt_at = COALESCE(?, next_attempt_at),
                    last_attempt_at = ?, last_duration = ?, last_status = ?, last_response = ?
                WHERE id = ? AND state = 'waiting'
                """
        ).execute(
            arguments: [
                state.rawValue, due?.milliseconds, attempt.startedAt.milliseconds,
                (attempt.finishedAt - attempt.startedAt).wholeMilliseconds, attempt.status, attempt.response,
                attempt.call,
            ])
    }

    /// Deletes calls. Returns whether there may be more.
    @discardableResult
    static func deleteCalls(
        where condition: String, _ arguments: StatementArguments, limit: Int, in database: Database
    ) throws -> Bool {
        try database.execute(
            sql: "DELETE FROM webhook_call WHERE id IN (SELECT id FROM webhook_call WHERE \(condition) LIMIT \(limit))",
            arguments: arguments)
        return database.changesCount == limit
    }

    /// Marks waiting calls from before `time` as failed. They are kept. Returns whether there may be more.
    static func giveUpCalls(
        of id: WebhookID, madeBefore time: Timestamp, limit: Int, in database: Database
    ) throws -> Bool {
        try database.execute(
            sql: """
                UPDATE webhook_call SET state = 'failed' WHERE id IN (
                    SELECT id FROM webhook_call WHERE state = 'waiting' AND webhook = ? AND created_at < ? LIMIT ?)
                """, arguments: [id.text, time.milliseconds, limit])
        return database.changesCount == limit
    }
}
