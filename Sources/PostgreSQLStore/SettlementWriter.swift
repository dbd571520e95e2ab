import RelayCore

/// Records the outcomes of attempts in a few statements, however many outcomes there are.
struct SettlementWriter {
    /// The node of the relay that reports; nil if the relay has no place.
    let holder: Int64?
    private var node: Int64 { holder ?? 0 }
    let reports: SenderReports
    let slots: SharedCountSlots
    let now: Timestamp

    private struct Standing {
        var message: Int64
        var key: String
        var state: DeliveryState
        var holder: Int64?
        var onReturn: QueuedDisposition
        var attempts: Int
        /// Whether the message has other deliveries.
        var hasOthers: Bool
        /// Whether the delivery counts in the statistics.
        var isCounted: Bool
    }

    /// Writes a batch. Returns the keys of deliveries that are queued again.
    func write(_ batch: [Settlement], in connection: Connection) throws -> Set<String> {
        let standings = try lock(batch, in: connection)
        var changes: [(change: DeliveryChange, settlement: Settlement, standing: Standing)] = []
        // If a batch has two outcomes of one delivery, the first decides, as it would in two transactions.
        var seen: Set<DeliveryID> = []
        for settlement in batch {
            guard let standing = standings[settlement.delivery.rawValue], seen.insert(settlement.delivery).inserted,
                let change = DeliveryChange(
                    settling: settlement,
                    of: DeliveryChange.Standing(
                        state: standing.state, isHeldByReporter: holder != nil && standing.holder == holder,
                        onReturn: standing.onReturn))
            else { continue }
            changes.append((change, settlement, standing))
        }
        guard !changes.isEmpty else { return [] }
        let shared = Set(changes.filter(\.standing.hasOthers).map(\.standing.message)).sorted()
        if !shared.isEmpty {
            // If two relays record the last deliveries of a message at the same time, the second relay must see what
            // the first has recorded, so that the bytes are deleted.
            try connection.queue(
                "SELECT 1 FROM message WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", [shared])
        }
        try DeliveryRow.record(
            changes.map {
                (
                    $0.change.attempt, $0.settlement.delivery, $0.standing.attempts, $0.settlement.startedAt,
                    $0.settlement.finishedAt
                )
            },
            in: connection)
        try DeliveryRow.apply(changes.map { ($0.change, $0.settlement.delivery) }, in: connection)
        var events = EventWriter(reports: reports, node: node, slots: slots, now: now)
        try events.tell(
            changes.map {
                EventWriter.Told(
                    change: $0.change, delivery: $0.settlement.delivery, time: $0.settlement.finishedAt,
                    isCounted: $0.standing.isCounted, reported: $0.settlement.events)
            }, in: connection)
        _ = try events.write(in: connection)
        try QueueRow.dropBodies(
            of: changes.filter { $0.change.state == .sent }.map(\.standing.message), in: connection)
        return Set(changes.filter { $0.change.state == .queued }.map(\.standing.key))
    }

    /// Locks the deliveries, in their order.
    private func lock(_ batch: [Settlement], in connection: Connection) throws -> [Int64: Standing] {
        let rows = try connection.rows(
            """
            SELECT id, message, key, state, holder, on_return, attempts,
                EXISTS (SELECT 1 FROM delivery AS other WHERE other.message = delivery.message AND other.id <> delivery.id),
                counted
            FROM delivery WHERE id = ANY ($1) ORDER BY id FOR UPDATE
            """, [batch.map(\.delivery.rawValue)]
        ) { row in
            guard let id = row.integer(0), let message = row.integer(1), let key = row.text(2),
                let state = row.text(3).flatMap(DeliveryState.init), let attempts = row.integer(6)
            else { throw StoreError.corrupt("a delivery's row can't be read") }
            return (
                id,
                Standing(
                    message: message, key: key, state: state, holder: row.integer(4),
                    onReturn: DeliveryRow.onReturn(row.text(5)), attempts: Int(attempts),
                    hasOthers: row.boolean(7) ?? false, isCounted: row.boolean(8) ?? false)
            )
        }
        return Dictionary(rows) { first, _ in first }
    }
}
