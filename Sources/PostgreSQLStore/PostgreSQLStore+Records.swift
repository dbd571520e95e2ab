import RelayCore

extension PostgreSQLStore: MessageRecords {
    public func messages(_ filter: MessageFilter, now: Timestamp) async throws -> [MessageRecord] {
        try await messagePage(filter, lookingAt: .max, now: now).messages
    }

    public func messagePage(
        _ filter: MessageFilter, lookingAt most: Int, now: Timestamp
    ) async throws -> MessagePage {
        let search = MessageSearch(filter, now: now)
        var found: [MessageRecord] = []
        var looked = 0
        var before: Int64? = search.start
        while let place = before, found.count < filter.limit {
            // Each page has its own snapshot: a single one for all would keep the server from removing dead rows.
            let wanted = filter.limit - found.count
            let (records, page) = try await read { connection in
                let page = try search.page(before: place, in: connection)
                var records: [MessageRecord] = []
                // The messages of a page are read in pieces, until enough of them match.
                for start in stride(from: 0, to: page.ids.count, by: PostgreSQLStore.recordsAtATime)
                where records.count <= wanted {
                    let ids = Array(page.ids[start..<min(start + PostgreSQLStore.recordsAtATime, page.ids.count)])
                    records += try RecordRow.records(ids, now: now, in: connection).filter(search.isSatisfied(by:))
                }
                return (records, page)
            }
            found += records
            looked += page.looked
            before = page.next
            if looked >= most { break }
        }
        if found.count > filter.limit {
            found = Array(found.prefix(max(filter.limit, 0)))
            before = found.last?.id.rawValue
        }
        return MessagePage(messages: found, next: before.flatMap(MessageID.init(rawValue:)))
    }

    private static let recordsAtATime = 200

    public func queueStatus(now: Timestamp) async throws -> QueueStatus {
        try await read { connection in
            let (depths, scheduled) = try StatusRow.depths(now: now, in: connection)
            return QueueStatus(
                depths: depths, scheduled: scheduled, lanes: try StatusRow.lanes(in: connection),
                emailsToday: try StatusRow.emails(of: now.day, in: connection),
                feedback: try StatusRow.feedback(until: now.day, in: connection),
                suppressions: try SuppressionRow.counts(in: connection))
        }
    }
}

/// Reads the parts of ``QueueStatus``.
private enum StatusRow {
    /// The number of deliveries that have not ended, by lane and state. Each state is counted separately, so that its
    /// partial index can be used; the ended deliveries, which are the most, are not read. Deliveries are numbered
    /// nearly in the order of acceptance, so of those that were never scheduled, the first one is among the oldest. The
    /// age of a scheduled delivery counts from its scheduled time. Deliveries that wait for their scheduled time at $1
    /// are counted separately.
    private static let depths = """
        SELECT depth.lane, depth.state, deliveries, scheduled, depth.next,
            least(message.accepted_at, due) AS oldest
        FROM (
            SELECT lane, 'queued' AS state, count(*) FILTER (WHERE NOT waits) AS deliveries,
                min(id) FILTER (WHERE scheduled_at IS NULL) AS first,
                min(scheduled_at) FILTER (WHERE NOT waits) AS due,
                count(*) FILTER (WHERE waits) AS scheduled, min(scheduled_at) FILTER (WHERE waits) AS next
            FROM (
                SELECT lane, id, scheduled_at,
                    scheduled_at IS NOT NULL AND scheduled_at > $1 AND scheduled_at = next_attempt_at AS waits
                FROM delivery WHERE state = 'queued'
            ) AS queued GROUP BY lane
            UNION ALL
            SELECT lane, 'sending', count(*), min(id) FILTER (WHERE scheduled_at IS NULL), min(scheduled_at), 0, NULL
            FROM delivery WHERE state = 'sending' GROUP BY lane
            UNION ALL
            SELECT lane, 'held', count(*), min(id), NULL, 0, NULL FROM delivery WHERE state = 'held' GROUP BY lane
        ) AS depth
        LEFT JOIN delivery ON delivery.id = first LEFT JOIN message ON message.id = delivery.message
        ORDER BY depth.lane DESC, depth.state
        """

    static func depths(
        now: Timestamp, in connection: Connection
    ) throws -> ([QueueStatus.Depth], [QueueStatus.Scheduled]) {
        var found: [QueueStatus.Depth] = []
        var scheduled: [QueueStatus.Scheduled] = []
        let rows = try connection.run(depths, [now])
        for index in 0..<rows.count {
            let row = rows[index]
            guard let lane = row.text(0).flatMap(Lane.init(rawValue:)),
                let state = row.text(1).flatMap(DeliveryState.init(rawValue:)), let deliveries = row.integer(2)
            else { continue }
            if deliveries > 0 {
                found.append(
                    QueueStatus.Depth(
                        lane: lane, state: state, deliveries: Int(deliveries), oldest: row.timestamp(5)))
            }
            if let waiting = row.integer(3), let next = row.timestamp(4) {
                scheduled.append(QueueStatus.Scheduled(lane: lane, deliveries: Int(waiting), next: next))
            }
        }
        return (found, scheduled)
    }

    /// The status of lanes that the present relays stored last.
    static func lanes(in connection: Connection) throws -> [LaneStatus] {
        try connection.rows(
            """
            SELECT lane, held_because, since, rate, node.name
            FROM lane_status LEFT JOIN node ON node.id = lane_status.node
            WHERE node.id IS NULL OR NOT is_dead ORDER BY lane DESC, node.number, node.id
            """
        ) { row -> LaneStatus? in
            guard let lane = row.text(0).flatMap(Lane.init(rawValue:)), let since = row.timestamp(2) else { return nil }
            return LaneStatus(
                lane: lane, heldBecause: row.text(1), since: since, rate: row.real(3), node: row.text(4))
        }.compactMap { $0 }
    }

    /// The emails of the day, by environment. Only keys that were used on that day are read.
    static func emails(of day: UTCDay, in connection: Connection) throws -> [Lane: Int] {
        let sums = try connection.rows(
            """
            SELECT environment, sum(emails)::bigint FROM usage JOIN key ON key.id = usage.key
            WHERE day = $1 GROUP BY environment
            """, [day.number]
        ) { ($0.text(0).flatMap(Lane.init(rawValue:)), Int($0.integer(1) ?? 0)) }
        return sums.reduce(into: [:]) { emails, sum in if let lane = sum.0 { emails[lane] = sum.1 } }
    }

    /// The feedback counts of the 30 days that end with `day`, by environment.
    static func feedback(until day: UTCDay, in connection: Connection) throws -> [Lane: FeedbackCounts] {
        let sums = try connection.rows(
            """
            SELECT environment, sum(deliveries)::bigint, sum(bounces)::bigint, sum(hard_bounces)::bigint,
                sum(complaints)::bigint
            FROM feedback_by_day WHERE day > $1 - 30 AND day <= $1 GROUP BY environment
            """, [day.number]
        ) { row in
            func count(_ column: CInt) -> Int { Int(row.integer(column) ?? 0) }
            return (
                row.text(0).flatMap(Lane.init(rawValue:)),
                FeedbackCounts(deliveries: count(1), bounces: count(2), hardBounces: count(3), complaints: count(4))
            )
        }
        return sums.reduce(into: [:]) { feedback, sum in
            if let lane = sum.0, sum.1 != FeedbackCounts() { feedback[lane] = sum.1 }
        }
    }
}
