import RelayCore
import Synchronization

extension PostgreSQLStore {
    public func matching(
        _ operatorAction: OperatorAction, _ filter: MessageFilter, now: Timestamp, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID] {
        if let ids = filter.ids { try await verify(ids, for: operatorAction) }
        let condition = operatorAction.condition
        var found: [MessageID] = []
        let search = MessageSearch(filter, now: now, alsoRequiring: condition)
        var before = search.start
        while found.count < filter.limit {
            // Each page has its own snapshot: a single one for all would keep the server from removing dead rows.
            let (page, last) = try await read { [before] connection in
                try search.matching(operatorAction, before: before, in: connection)
            }
            found += page
            progress(found.count)
            guard let last else { break }
            before = last
        }
        return Array(found.prefix(max(filter.limit, 0)))
    }

    public func perform(_ operatorAction: OperatorAction, _ messages: [MessageID], now: Timestamp) async throws -> Int {
        let (senderReports, slots, node) = (senderReports, slots, try ownNode())
        return try await write { connection in
            // The deliveries are read again: some may have been sent in the meantime. They are locked in one order,
            // until they are changed.
            let deliveries = try connection.rows(
                """
                SELECT id, scheduled_at FROM delivery WHERE message = ANY ($1) AND \(operatorAction.condition)
                ORDER BY id FOR NO KEY UPDATE
                """, [messages.map(\.rawValue)]
            ) { (id: $0.integer(0) ?? 0, scheduledAt: $0.timestamp(1)) }
            // Most deliveries are not scheduled, or no longer are. One change covers all of these.
            let byChange = Dictionary(grouping: deliveries) { delivery in
                DeliveryChange(operatorAction, scheduledAt: delivery.scheduledAt, at: now)
            }
            let changes = byChange.flatMap { change, deliveries in
                deliveries.map { (change: change, delivery: DeliveryID(rawValue: $0.id)) }
            }
            try DeliveryRow.apply(changes, in: connection)
            var events = EventWriter(reports: senderReports, node: node, slots: slots, now: now)
            try events.tell(
                changes.map { EventWriter.Told(change: $0.change, delivery: $0.delivery, time: now) }, in: connection)
            _ = try events.write(in: connection)
            return changes.count
        }
    }

    /// Throws if one of the messages does not exist, or if a single message can't be sent because its bytes are gone. A
    /// caller that names messages must learn of this.
    private func verify(_ ids: [MessageID], for operatorAction: OperatorAction) async throws {
        let found = try await look { connection in
            try connection.rows(
                "SELECT id, \(RecordRow.hasBody) FROM message WHERE id = ANY ($1)", [ids.map(\.rawValue)]
            ) { ($0.integer(0) ?? 0, $0.boolean(1) ?? false) }
        }
        let hasBody = Dictionary(found) { first, _ in first }
        for id in ids {
            guard let hasBody = hasBody[id.rawValue] else { throw StoreError.noSuchMessage(id) }
            if operatorAction.needsBody, !hasBody, ids.count == 1 { throw StoreError.bodyGone(id) }
        }
    }
}

extension OperatorAction {
    /// The condition on the deliveries that the action changes.
    fileprivate var condition: String {
        let isInState = DeliveryRow.isOne(of: states)
        return sparedReason.map { "\(isInState) AND reason IS DISTINCT FROM '\($0)'" } ?? isInState
    }
}
