import RelayCore

/// Writes a claim: each claimed delivery gets a lease, and its suppressed recipients are left out.
struct ClaimWriter {
    private let lane: Lane
    private let holder: Int64
    private let token: Int64
    private let leaseUntil: Timestamp
    private let now: Timestamp
    private var events: EventWriter
    private(set) var claim = DeliveryClaim([])

    /// The most searches of one claim. It searches again only if some of the deliveries that it found ended as
    /// suppressed.
    static let rounds = 8

    init(
        _ lane: Lane, holder: Int64, token: Int64, leaseUntil: Timestamp, now: Timestamp, reports: SenderReports,
        slots: SharedCountSlots
    ) {
        self.lane = lane
        self.holder = holder
        self.token = token
        self.leaseUntil = leaseUntil
        self.now = now
        events = EventWriter(reports: reports, node: holder, slots: slots, now: now)
    }

    /// Returns to the queue the deliveries of claims whose answers were lost: none of these deliveries was sent. The
    /// statement is only queued, and sent with the next one.
    static func giveBack(_ claims: [Int64], in connection: Connection) throws {
        guard !claims.isEmpty else { return }
        try connection.queue(
            """
            UPDATE delivery SET state = 'queued', holder = NULL, claimed_at = NULL, lease_until = NULL, claim = NULL
            WHERE state = 'sending' AND lane IN ('live', 'test') AND claim = ANY ($1) AND on_return IS NULL
            """, [claims])
    }

    /// Claims deliveries that this transaction has locked. Returns whether some of them ended as suppressed, so that
    /// there is room for other deliveries.
    ///
    /// - Throws: ``StoreError/instanceLost`` if other relays may have taken over this relay's place.
    mutating func take(_ ids: [Int64], in connection: Connection) throws -> Bool {
        var found = try lease(ids, in: connection)
        let (suppressions, before) = try suppressed(found, in: connection)
        var hasEnded = false
        for index in found.indices {
            let whole = found[index].delivery
            var kept = whole
            var entries: [(recipient: String, entry: Suppression)] = []
            let known = before[whole.message.rawValue] ?? []
            kept.envelope.recipients.removeAll { recipient in
                if known.contains(recipient) { return true }
                guard let entry = suppressions[recipient] else { return false }
                entries.append((recipient, entry))
                return true
            }
            if !entries.isEmpty {
                for (recipient, entry) in entries {
                    events.add(entry.event(at: now), of: recipient, whole.message, sesMessageID: nil)
                }
                try connection.queue(
                    "UPDATE delivery SET suppressed = suppressed + $1 WHERE id = $2",
                    [entries.count, whole.id.rawValue])
            }
            if kept.envelope.recipients.isEmpty {
                try DeliveryRow.apply(DeliveryChange(suppressedAt: now), to: whole.id, in: connection)
                claim.suppressed.append(whole)
                hasEnded = true
            } else {
                found[index].delivery = kept
                claim.deliveries.append(kept)
            }
        }
        return hasEnded
    }

    /// Writes the events of suppressed recipients. This is the last call of the transaction.
    mutating func finish(in connection: Connection) throws {
        _ = try events.write(in: connection)
        // A simulated send keeps its bytes. The bytes of live messages are deleted after the events are written,
        // because a report to the sender may have to quote the bytes.
        if lane == .live {
            try QueueRow.dropBodies(of: claim.suppressed.map(\.message.rawValue), in: connection)
        }
    }

    private func lease(
        _ ids: [Int64], in connection: Connection
    ) throws -> [(delivery: ClaimedDelivery, suppressed: Int)] {
        try connection.queue("SELECT EXISTS (SELECT 1 FROM node WHERE id = $1 AND NOT is_dead)", [holder])
        try connection.queue(
            """
            UPDATE delivery SET state = 'sending', holder = $2, claimed_at = $3, lease_until = $4, claim = $5
            FROM unnest($1) AS picked (id), message
            WHERE delivery.id = picked.id AND message.id = delivery.message RETURNING \(QueueRow.claimed)
            """, [ids, holder, now, leaseUntil, token])
        // A simulated send reads no body.
        if lane == .live {
            try connection.queue(
                """
                SELECT DISTINCT body.message, body.bytes FROM unnest($1) AS picked (id)
                JOIN delivery ON delivery.id = picked.id JOIN message ON message.id = delivery.message AND message.size <= $2
                JOIN body ON body.message = message.id AND body.part = 0
                """, [ids, QueueRow.largestBodyClaimed])
        }
        let results = Array(try connection.results().suffix(lane == .live ? 3 : 2))
        guard results[0].first?.boolean(0) == true else { throw StoreError.instanceLost }
        var bodies: [Int64: [UInt8]] = [:]
        if lane == .live {
            for index in 0..<results[2].count { bodies[results[2][index].integer(0) ?? 0] = results[2][index].bytes(1) }
        }
        let rows = try results[1].map { row in
            var found = try QueueRow.delivery(row, lane)
            found.delivery.body = bodies[found.delivery.message.rawValue]
            found.delivery.holder = holder
            return found
        }
        let byID = Dictionary(rows.map { ($0.delivery.id.rawValue, $0) }) { first, _ in first }
        return ids.compactMap { byID[$0] }
    }

    /// The suppression list's entries for the recipients of these deliveries, and the recipients that were suppressed
    /// before, by message.
    private func suppressed(
        _ found: [(delivery: ClaimedDelivery, suppressed: Int)], in connection: Connection
    ) throws -> (ListedAddresses, [Int64: Set<String>]) {
        let recipients = found.flatMap(\.delivery.envelope.recipients)
        let entries = try SuppressionRow.find(recipients, lane, in: connection)
        let touched = found.filter { $0.suppressed > 0 }.map(\.delivery.message.rawValue)
        return (entries, touched.isEmpty ? [:] : try EventRow.suppressed(of: touched, in: connection))
    }
}
