import GRDB
import RelayCore

extension SQLiteStore {
    public func matching(
        _ steering: Steering, _ filter: MessageFilter, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID] {
        if let ids = filter.ids { try await verify(ids, for: steering) }
        let condition = steering.condition
        var found: [MessageID] = []
        var before = Int64.max
        while found.count < filter.limit {
            // A page is a transaction of its own: one for all would keep the database's log from being shortened.
            let (page, last) = try await read { [before] database in
                try RecordRow.steerable(condition, steering.needsBody, filter, before: before, in: database)
            }
            found += page
            progress(found.count)
            guard let last else { break }
            before = last
        }
        return Array(found.prefix(filter.limit))
    }

    public func steer(_ steering: Steering, _ messages: [MessageID], now: Timestamp) async throws -> Int {
        let list = messages.map { String($0.rawValue) }.joined(separator: ",")
        return try await write { database in
            // Looked at again: meanwhile some may have been sent.
            let deliveries = try Int64.fetchAll(
                database, sql: "SELECT id FROM delivery WHERE message IN (\(list)) AND \(steering.condition)")
            guard !deliveries.isEmpty else { return 0 }
            return try DeliveryRow.apply(DeliveryChange(steering, at: now), to: deliveries, in: database)
        }
    }

    /// Who names messages wants to hear that one is not there, or can't be sent for want of its bytes.
    private func verify(_ ids: [MessageID], for steering: Steering) async throws {
        for id in ids {
            let hasBody = try await read { database in
                try Bool.fetchOne(
                    database, sql: "SELECT \(RecordRow.hasBody) FROM message WHERE id = ?", arguments: [id.rawValue])
            }
            guard let hasBody else { throw StoreError.noSuchMessage(id) }
            if steering.needsBody, !hasBody, ids.count == 1 { throw StoreError.bodyGone(id) }
        }
    }
}

extension Steering {
    /// Of the deliveries that it changes.
    fileprivate var condition: String {
        let isInState = DeliveryRow.isOne(of: states)
        return sparedReason.map { "\(isInState) AND reason IS NOT '\($0)'" } ?? isInState
    }
}

extension RecordRow {
    /// A page of the messages that satisfy the filter and have a delivery that satisfies `condition`, newest first; and
    /// where the next page begins, nil when this is the last one.
    fileprivate static func steerable(
        _ condition: String, _ needsBody: Bool, _ filter: MessageFilter, before: Int64, in database: Database
    ) throws -> (messages: [MessageID], next: Int64?) {
        let (conditions, arguments) = conditions(filter)
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT id, \(hasBody) AS has_body FROM message
                WHERE \(conditions) AND EXISTS
                    (SELECT 1 FROM delivery WHERE delivery.message = message.id AND (\(condition)))
                ORDER BY id DESC LIMIT \(pageSize)
                """, arguments: StatementArguments([before]) + arguments)
        var ids = rows.filter { !needsBody || $0["has_body"] }.map { $0["id"] as Int64 }
        if let state = filter.state {
            let states = try states(of: ids, in: database)
            ids.removeAll { MessageState(of: states[$0] ?? []) != state }
        }
        let next: Int64? = rows.count == pageSize ? rows.last?["id"] : nil
        return (ids.compactMap(MessageID.init(rawValue:)), next)
    }

    private static func states(of messages: [Int64], in database: Database) throws -> [Int64: [DeliveryState]] {
        let list = messages.map(String.init).joined(separator: ",")
        var states: [Int64: [DeliveryState]] = [:]
        for row in try Row.fetchAll(
            database, sql: "SELECT message, state FROM delivery WHERE message IN (\(list))")
        {
            guard let state = DeliveryState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            states[row["message"], default: []].append(state)
        }
        return states
    }
}
