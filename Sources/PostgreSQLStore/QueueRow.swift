import RelayCore

extension Lane {
    /// The lane as it is written in a statement over deliveries, so that a partial index can be used.
    var literal: String { "'\(rawValue)'" }
}

/// Reads and writes the table `delivery` for the worker.
enum QueueRow {
    /// A delivery that may be claimed. This transaction has locked it.
    struct Pick {
        var id: Int64
        var key: String
        var due: Int64
        var recipients: Int
    }

    /// Keys that are not known yet, at most one for each gap. Both ends are conditions of the index, so a gap costs one
    /// descent, however many deliveries the keys at its ends have.
    static func otherKeys(
        _ lane: Lane, _ gaps: (lower: [String], upper: [String]), in connection: Connection
    ) throws -> [String] {
        try connection.rows(
            """
            SELECT found.key FROM unnest($1, $2) AS gap (lower, upper) CROSS JOIN LATERAL (
                SELECT key FROM delivery WHERE state = 'queued' AND lane = \(lane.literal)
                    AND key > gap.lower AND key < gap.upper
                ORDER BY key LIMIT 1
            ) AS found
            """, [gaps.lower, gaps.upper]
        ) { $0.text(0) ?? "" }
    }

    /// When each key's first queued delivery that is due at its mark or later is due; nil if there is none.
    static func firstDues(
        _ lane: Lane, _ keys: [String], _ marks: [Int64], in connection: Connection
    ) throws -> [(key: String, first: Int64?)] {
        try connection.rows(
            """
            SELECT asked.key, (
                SELECT next_attempt_at FROM delivery WHERE state = 'queued' AND lane = \(lane.literal)
                    AND key = asked.key AND next_attempt_at >= asked.mark
                ORDER BY next_attempt_at LIMIT 1
            ) FROM unnest($1, $2) AS asked (key, mark)
            """, [keys, marks]
        ) { (key: $0.text(0) ?? "", first: $0.integer(1)) }
    }

    /// For each key: its oldest due deliveries after a position, at most `share` of them. Deliveries that another relay
    /// is claiming are skipped. The returned deliveries are locked.
    static func pick(
        _ lane: Lane, _ asked: [(key: String, due: Int64, id: Int64)], share: Int, now: Timestamp,
        in connection: Connection
    ) throws -> [Pick] {
        try connection.rows(
            """
            SELECT found.id, asked.key, found.next_attempt_at, found.recipients
            FROM unnest($1, $2, $3) WITH ORDINALITY AS asked (key, due, id, place) CROSS JOIN LATERAL (
                SELECT id, next_attempt_at,
                    (length(recipients) - length(replace(recipients, E'\\n', '')) + 1)::bigint AS recipients
                FROM delivery WHERE state = 'queued' AND lane = \(lane.literal) AND key = asked.key
                    AND next_attempt_at <= $4 AND next_attempt_at >= asked.due
                    AND (next_attempt_at, delivery.id) > (asked.due, asked.id)
                ORDER BY next_attempt_at, delivery.id LIMIT $5 FOR UPDATE SKIP LOCKED
            ) AS found ORDER BY asked.place, found.next_attempt_at, found.id
            """, [asked.map(\.key), asked.map(\.due), asked.map(\.id), now, share]
        ) { row in
            Pick(
                id: row.integer(0) ?? 0, key: row.text(1) ?? "", due: row.integer(2) ?? 0,
                recipients: Int(row.integer(3) ?? 1))
        }
    }

    /// One delivery of each key in turn, each key's oldest first, until there are `limit`, or until they have this many
    /// recipients. Also returns the keys for which no due delivery was found from their mark on.
    static func inTurn(
        _ lane: Lane, _ keys: [(key: String, mark: Int64)], limit: Int, recipients: Int, now: Timestamp,
        in connection: Connection
    ) throws -> (picks: [Pick], keysWithout: [String]) {
        var keysWithout: [String] = []
        var queues: [String: [Pick]] = [:]
        var open = keys.map { (key: $0.key, due: $0.mark, id: Int64.min) }
        var rest = limit
        // First each key gets an equal share. What some keys do not use is divided equally among the others, until
        // nothing is left.
        while rest > 0, !open.isEmpty {
            let share = max(1, rest / open.count)
            // Of many keys, only those whose turn comes first are asked: as many as there are places, but at least
            // `fewKeys`.
            let asked = Array(open.prefix(max(rest, QueueRow.fewKeys)))
            let found = try pick(lane, asked, share: share, now: now, in: connection)
            let byKey = Dictionary(grouping: found, by: \.key)
            for (key, picks) in byKey { queues[key, default: []] += picks }
            keysWithout += asked.filter { $0.id == .min && byKey[$0.key] == nil }.map(\.key)
            rest -= found.count
            open =
                asked.compactMap { entry in
                    guard let last = byKey[entry.key]?.last, byKey[entry.key]?.count == share else { return nil }
                    return (entry.key, last.due, last.id)
                } + open.dropFirst(asked.count)
        }
        var taken: [Pick] = []
        var counted = 0
        for round in 0... {
            let before = taken.count
            for (key, _) in keys {
                guard let queue = queues[key], round < queue.count else { continue }
                guard taken.count < limit, counted < recipients else { return (taken, keysWithout) }
                taken.append(queue[round])
                counted += queue[round].recipients
            }
            if taken.count == before { break }
        }
        return (taken, keysWithout)
    }

    /// This many keys are examined with one statement, even for few places: many of them may have no due deliveries.
    private static let fewKeys = 200

    /// Reads the columns ``claimed``.
    static func delivery(_ row: ResultRow, _ lane: Lane) throws -> (delivery: ClaimedDelivery, suppressed: Int) {
        guard let id = row.integer(0), let message = row.integer(1).flatMap(MessageID.init(rawValue:)),
            let key = row.text(2).flatMap({ KeyID($0) }), let recipients = row.text(3), let attempts = row.integer(4),
            let pauses = row.integer(5), let maybeDuplicate = row.boolean(6), let queuedSince = row.timestamp(7),
            let suppressed = row.integer(8), let size = row.integer(10)
        else { throw StoreError.corrupt("a delivery's row can't be read") }
        return (
            ClaimedDelivery(
                id: DeliveryID(rawValue: id), message: message, key: key, lane: lane,
                envelope: Envelope(reversePath: row.text(9), recipients: RecipientList.recipients(recipients)),
                size: Int(size), queuedSince: queuedSince, attempts: Int(attempts), pauses: Int(pauses),
                maybeDuplicate: maybeDuplicate), Int(suppressed)
        )
    }

    /// The columns of a claimed delivery, from `delivery` and `message`.
    static let claimed = """
        delivery.id, delivery.message, delivery.key, recipients, attempts, pauses, maybe_duplicate, queued_since, suppressed,
        message.reverse_path, message.size
        """

    /// Deletes a message's bytes if all its deliveries are sent or suppressed and no report to its sender will quote
    /// the bytes. The statement is only queued, and sent with the next one or with COMMIT.
    static func dropBodies(of messages: [Int64], in connection: Connection) throws {
        guard !messages.isEmpty else { return }
        try connection.queue(
            """
            DELETE FROM body USING unnest($1) AS done (message) WHERE body.message = done.message
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.message = done.message
                    AND state NOT IN ('sent', 'suppressed'))
                AND NOT EXISTS (SELECT 1 FROM undelivered WHERE undelivered.message = done.message)
            """, [messages])
    }

    /// The largest body that is read with a claim, in octets. Most messages are small, and reading a body with its
    /// claim costs less than a separate read. Larger bodies would make the claim long, and claimed messages are held in
    /// memory.
    static let largestBodyClaimed = 16 * 1024
}
