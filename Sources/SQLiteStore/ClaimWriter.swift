import GRDB
import RelayCore

/// Writes a claim: each claimed delivery gets a lease, and its suppressed recipients are left out.
struct ClaimWriter {
    private let database: Database
    private let lane: Lane
    private let now: Timestamp
    /// Whether the lane's list of suppressions has any entry. It is nearly always empty, and then no recipient is
    /// looked up.
    private let hasAny: Bool
    var events: EventWriter
    /// The names of spooled bodies that are no longer needed.
    private(set) var unneeded: [String] = []

    init(_ lane: Lane, reports: SenderReports, now: Timestamp, in database: Database) throws {
        self.database = database
        self.lane = lane
        self.now = now
        hasAny = try SuppressionRow.hasAny(lane, in: database)
        events = EventWriter(database, reports: reports, now: now)
    }

    /// Puts deliveries under a lease, without their suppressed recipients. A delivery whose recipients are all
    /// suppressed ends.
    mutating func claim(
        _ candidates: [QueueRow.Candidate], holder: Int64, leaseUntil: Timestamp
    ) throws -> DeliveryClaim {
        var claim = DeliveryClaim([])
        let lease = try DirectStatement(
            database,
            "UPDATE delivery SET state = 'sending', holder = ?, claimed_at = ?, lease_until = ? WHERE id = ?")
        lease.bind(holder, at: 1)
        lease.bind(now.milliseconds, at: 2)
        lease.bind(leaseUntil.milliseconds, at: 3)
        for candidate in candidates {
            let kept = try keep(candidate)
            if kept.envelope.recipients.isEmpty {
                try DeliveryRow.apply(DeliveryChange(suppressedAt: now), to: kept.id, in: database)
                // A simulated send keeps its bytes.
                if lane == .live, let name = try QueueRow.dropBody(of: kept.message.rawValue, in: database) {
                    unneeded.append(name)
                }
                claim.suppressed.append(candidate.delivery)
            } else {
                lease.bind(kept.id.rawValue, at: 4)
                try lease.run()
                claim.deliveries.append(kept)
            }
        }
        return claim
    }

    private mutating func keep(_ candidate: QueueRow.Candidate) throws -> ClaimedDelivery {
        var delivery = candidate.delivery
        guard hasAny || candidate.suppressed > 0 else { return delivery }
        let before = candidate.suppressed > 0 ? try EventRow.suppressed(of: delivery.message, in: database) : []
        var entries: [(recipient: String, entry: Suppression)] = []
        delivery.envelope.recipients = try delivery.envelope.recipients.filter { recipient in
            if before.contains(recipient) { return false }
            guard hasAny, let entry = try SuppressionRow.find(recipient, lane, in: database) else { return true }
            entries.append((recipient, entry))
            return false
        }
        guard !entries.isEmpty, let message = try MessageFacts(delivery.message, in: database) else { return delivery }
        for (recipient, entry) in entries {
            _ = try events.add(entry.event(at: now), of: recipient, message, sesMessageID: nil)
        }
        try database.cachedStatement(sql: "UPDATE delivery SET suppressed = suppressed + ? WHERE id = ?")
            .execute(arguments: [entries.count, delivery.id.rawValue])
        return delivery
    }
}
