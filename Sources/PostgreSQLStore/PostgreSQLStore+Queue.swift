import RelayCore

extension PostgreSQLStore: DeliveryQueue {
    public var ownsClaims: Bool { membership?.ownsClaims ?? true }

    public func owns(_ delivery: ClaimedDelivery) -> Bool { membership?.ownsClaims(of: delivery.holder) ?? true }

    public var place: Int64? { membership?.place?.node }

    public var shareOfRate: RateShare { membership?.share ?? .whole }

    /// The interval is short, so that the deliveries of a relay whose place has expired are with another relay within
    /// 20 s.
    public var reclaimInterval: Duration { .seconds(2) }

    // MARK: Claims

    public func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        guard limit > 0 else { return DeliveryClaim([]) }
        guard let place = membership?.place else { throw StoreError.instanceLost }
        try await lookForKeys(lane)
        let claimState = claimState
        let token = Int64.random(in: 1...Int64.max)
        let lost = claimState.lostClaims(at: serverClock.monotonicNow())
        let (senderReports, slots) = (senderReports, slots)
        do {
            return try await write(on: deliveries) { [serverClock] connection in
                var writer = ClaimWriter(
                    lane, holder: place.node, token: token, leaseUntil: leaseUntil, now: now, reports: senderReports,
                    slots: slots)
                try ClaimWriter.giveBack(lost, in: connection)
                let keys = claimState.with(lane) { queued in queued.inTurn.map { (key: $0, mark: queued.mark(of: $0)) }
                }
                // Due deliveries whose recipients are all suppressed must not delay the deliveries after them.
                for _ in 0..<ClaimWriter.rounds where writer.claim.deliveries.count < limit {
                    let counted = writer.claim.deliveries.reduce(0) { $0 + $1.envelope.recipients.count }
                    let began = serverClock.monotonicNow()
                    let (picks, keysWithout) = try QueueRow.inTurn(
                        lane, keys, limit: limit - writer.claim.deliveries.count, recipients: recipients - counted,
                        now: now, in: connection)
                    let moment = serverClock.monotonicNow()
                    claimState.with(lane) { queued in
                        queued.searched(from: began, to: moment)
                        let first = Dictionary(picks.map { ($0.key, $0.due) }) { min($0, $1) }
                        queued.saw(
                            first.map { ($0.key, $0.value) } + keysWithout.map { ($0, nil) }, now: now, from: began,
                            at: moment)
                        // The next claim continues after the key of the last delivery, even if not every key has had
                        // its turn.
                        if let last = picks.last { queued.served(last.key) }
                    }
                    guard !picks.isEmpty else { break }
                    guard try writer.take(picks.map(\.id), in: connection) else { break }
                }
                try writer.finish(in: connection)
                return writer.claim
            }
        } catch {
            // The claim may have been committed.
            claimState.lose(token, until: serverClock.monotonicNow() + (leaseUntil - now))
            throw error
        }
    }

    /// Searches for unknown keys that have queued deliveries, unless that was done a moment ago and `evenSoon` is
    /// false.
    private func lookForKeys(_ lane: Lane, evenSoon: Bool = false) async throws {
        let moment = serverClock.monotonicNow()
        let claimState = claimState
        let gaps = claimState.with(lane) { queued -> (lower: [String], upper: [String])? in
            queued.rewind(at: moment)
            guard evenSoon || moment.seconds(since: queued.lookedForKeysAt) > 0.2 else { return nil }
            return queued.gaps
        }
        guard var gaps else { return }
        // Each search finds at most one key in each gap.
        for _ in 0..<50 {
            let found = try await look(on: deliveries) { [gaps] in try QueueRow.otherKeys(lane, gaps, in: $0) }
            guard !found.isEmpty else { break }
            gaps = claimState.with(lane) { queued in
                queued.add(found, at: moment)
                return queued.gaps
            }
        }
        claimState.with(lane) { $0.lookedForKeys(at: moment) }
    }

    public func nextDue(lane: Lane) async throws -> Timestamp? {
        try await lookForKeys(lane, evenSoon: true)
        let claimState = claimState
        let keys = claimState.with(lane) { queued in queued.keys.map { (key: $0, mark: queued.mark(of: $0)) } }
        guard !keys.isEmpty else { return nil }
        let (dues, began, moment) = try await look(on: deliveries) { [serverClock] connection in
            let began = serverClock.monotonicNow()
            let dues = try QueueRow.firstDues(lane, keys.map(\.key), keys.map(\.mark), in: connection)
            return (dues, began, serverClock.monotonicNow())
        }
        claimState.with(lane) { queued in
            queued.searched(from: began, to: moment)
            queued.saw(dues, now: serverClock.now(), from: began, at: moment)
        }
        return dues.compactMap(\.first).min().map { Timestamp(milliseconds: $0) }
    }

    public func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        guard let place = membership?.place else { throw StoreError.instanceLost }
        try await write(on: self.deliveries) { connection in
            try connection.queue(
                """
                UPDATE delivery SET lease_until = $1 FROM unnest($2) AS asked (id)
                WHERE delivery.id = asked.id AND state = 'sending' AND holder = $3
                """, [until, deliveries.map(\.rawValue), place.node])
        }
    }

    // MARK: Outcomes

    public func settle(_ batch: [Settlement]) async throws {
        let holder = membership?.place?.node
        let (senderReports, slots) = (senderReports, slots)
        let requeued = try await write(on: deliveries) { connection in
            // The time of the batch is that of its latest outcome.
            let now = batch.map(\.finishedAt).max() ?? Timestamp(milliseconds: 0)
            return try SettlementWriter(holder: holder, reports: senderReports, slots: slots, now: now)
                .write(batch, in: connection)
        }
        for lane in Lane.allCases { requeue(requeued, in: lane) }
    }

    /// Makes the next search find the deliveries of these keys that are in the queue again. They keep their due times.
    private func requeue(_ keys: Set<String>, in lane: Lane) {
        let moment = serverClock.monotonicNow()
        claimState.with(lane) { queued in for key in keys { queued.queued(key, due: nil, at: moment) } }
    }

    /// Returns to the queue the deliveries of the lane that dead relays were sending, or whose lease has expired.
    public func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        let (claimState, serverClock) = (claimState, serverClock)
        guard claimState.mayReclaim(lane, at: serverClock.monotonicNow()) else { return 0 }
        try await deliveries.run { try NodeRow.bury(in: $0) }
        let keys = try await write(on: deliveries) { connection in
            let began = serverClock.monotonicNow()
            let abandoned = try connection.rows(
                """
                SELECT id, on_return, attempts, coalesce(claimed_at, $1), key FROM delivery
                WHERE state = 'sending' AND lane = \(lane.literal) AND (lease_until < $1
                    OR NOT EXISTS (SELECT 1 FROM node WHERE node.id = delivery.holder AND NOT is_dead))
                ORDER BY id LIMIT 1000 FOR UPDATE OF delivery SKIP LOCKED
                """, [now]
            ) { row in
                guard let id = row.integer(0), let attempts = row.integer(2), let started = row.timestamp(3) else {
                    throw StoreError.corrupt("a delivery's row can't be read")
                }
                return (
                    change: DeliveryChange(abandonedIn: lane, onReturn: DeliveryRow.onReturn(row.text(1)), at: now),
                    id: DeliveryID(rawValue: id), attempts: Int(attempts), started: started, key: row.text(4) ?? ""
                )
            }
            claimState.searchedAbandoned(lane, from: began, to: serverClock.monotonicNow())
            try DeliveryRow.record(
                abandoned.map { ($0.change.attempt, $0.id, $0.attempts, $0.started, now) }, in: connection)
            try DeliveryRow.apply(abandoned.map { ($0.change, $0.id) }, in: connection)
            return abandoned.map(\.key)
        }
        requeue(Set(keys), in: lane)
        return keys.count
    }

    public func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        let late = """
            state = 'queued' AND lane = \(lane.literal) AND next_attempt_at > $1
                AND scheduled_at IS DISTINCT FROM next_attempt_at
            """
        let keys = claimState.with(lane) { $0.keys }
        let isLate = try await look { connection in
            try connection.isTrue(
                """
                SELECT EXISTS (SELECT 1 FROM unnest($2) AS asked (key) CROSS JOIN LATERAL (
                    SELECT 1 FROM delivery WHERE \(late) AND delivery.key = asked.key LIMIT 1) AS found)
                """, [latest, keys])
        }
        guard isLate else { return 0 }
        return try await write { connection in
            try connection.execute("UPDATE delivery SET next_attempt_at = $2 WHERE \(late)", [latest, now])
        }
    }

    public func record(_ status: LaneStatus) async throws {
        // Without a place there is no row for the status. The lane records its status again in the next place.
        guard let place = membership?.place else { return }
        try await write { connection in
            try connection.queue(
                """
                INSERT INTO lane_status (lane, node, held_because, since, rate) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (lane, node) DO UPDATE
                SET held_because = excluded.held_because, since = excluded.since, rate = excluded.rate
                """, [status.lane.rawValue, place.node, status.heldBecause, status.since, status.rate])
        }
    }
}
