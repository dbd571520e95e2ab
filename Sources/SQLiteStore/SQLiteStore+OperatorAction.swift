import GRDB
import RelayCore

extension SQLiteStore {
    public func matching(
        _ operatorAction: OperatorAction, _ filter: MessageFilter, now: Timestamp, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID] {
        if let ids = filter.ids { try await verify(ids, for: operatorAction) }
        let condition = operatorAction.condition
        var found: [MessageID] = []
        let search = MessageSearch(filter, now: now, alsoRequiring: condition)
        var before = search.start
        while found.count < filter.limit {
            // Each page has its own transaction: a single one for all would keep the database's log from being
            // shortened.
            let (page, last) = try await read { [before] database in
                try search.matching(operatorAction, before: before, in: database)
            }
            found += page
            progress(found.count)
            guard let last else { break }
            before = last
        }
        return Array(found.prefix(filter.limit))
    }

    public func perform(_ operatorAction: OperatorAction, _ messages: [MessageID], now: Timestamp) async throws -> Int {
        let list = messages.map { String($0.rawValue) }.joined(separator: ",")
        let senderReports = senderReports
        return try await write { database in
            // The deliveries are read again: some may have been sent in the meantime.
            let deliveries = try Row.fetchAll(
                database,
                sql: "SELECT id, scheduled_at FROM delivery WHERE message IN (\(list)) AND \(operatorAction.condition)")
            // Most deliveries are not scheduled, or no longer are. One change covers all of these.
            let byChange = Dictionary(grouping: deliveries) { row in
                DeliveryChange(operatorAction, scheduledAt: timestamp(row["scheduled_at"]), at: now)
            }
            var events = EventWriter(database, reports: senderReports, now: now)
            return try byChange.reduce(0) { changed, entry in
                let ids: [Int64] = entry.value.map { $0["id"] }
                let count = try DeliveryRow.apply(entry.key, to: ids, in: database)
                for id in ids {
                    try DeliveryRow.tell(entry.key, of: DeliveryID(rawValue: id), at: now, &events, in: database)
                }
                return changed + count
            }
        }
    }

    /// Throws if one of the messages does not exist, or if a single message can't be sent because its bytes are gone. A
    /// caller that names messages must learn of this.
    private func verify(_ ids: [MessageID], for operatorAction: OperatorAction) async throws {
        for id in ids {
            let hasBody = try await read { database in
                try Bool.fetchOne(
                    database, sql: "SELECT \(RecordRow.hasBody) FROM message WHERE id = ?", arguments: [id.rawValue])
            }
            guard let hasBody else { throw StoreError.noSuchMessage(id) }
            if operatorAction.needsBody, !hasBody, ids.count == 1 { throw StoreError.bodyGone(id) }
        }
    }
}

extension OperatorAction {
    /// The condition on the deliveries that the action changes.
    fileprivate var condition: String {
        let isInState = DeliveryRow.isOne(of: states)
        return sparedReason.map { "\(isInState) AND reason IS NOT '\($0)'" } ?? isInState
    }
}
