import RelayCore

/// The data of a store, in memory, for one process. All decisions are made by the types of RelayCore.
public struct MemoryTables: Sendable {
    public struct Delivery: Sendable {
        /// The delivery as it would be claimed now.
        public var delivery: ClaimedDelivery
        public var state = DeliveryState.queued
        public var due: Timestamp
        public var scheduledAt: Timestamp?
        /// Set while the delivery is under way.
        public var claimedAt: Timestamp?
        public var leaseUntil: Timestamp?
        public var onReturn = QueuedDisposition.deliver
        public var sesMessageID: String?
        /// Recipients that were suppressed.
        public var suppressed: Set<String> = []
        public var reason: String?
        public var endedAt: Timestamp?
        public var history: [MessageRecord.Attempt] = []

        public init(_ delivery: ClaimedDelivery, scheduledAt: Timestamp? = nil) {
            self.delivery = delivery
            self.scheduledAt = scheduledAt
            due = delivery.queuedSince
        }

        /// Whether it waits for the time that it was scheduled for.
        func waits(at now: Timestamp) -> Bool {
            state == .queued && due == scheduledAt && due > now
        }

        /// `start` and `end` are those of the attempt, if there was one.
        mutating func apply(_ change: DeliveryChange, from start: Timestamp, to end: Timestamp) {
            state = change.state
            if case .set(let new) = change.reason { reason = new }
            due = change.due ?? due
            if let since = change.queuedSince {
                delivery.queuedSince = since
                delivery.pauses = 0
            } else if change.lengthensPause {
                delivery.pauses += 1
            }
            if let attempt = change.attempt {
                delivery.attempts += 1
                history.append(
                    .init(startedAt: start, finishedAt: end, outcome: attempt.outcome, reason: attempt.reason))
            }
            delivery.maybeDuplicate = delivery.maybeDuplicate || change.mayBeDuplicate
            sesMessageID = change.sesMessageID ?? sesMessageID
            endedAt = change.endedAt
            (claimedAt, leaseUntil, onReturn) = (nil, nil, .deliver)
        }
    }

    struct Message: Sendable {
        var submission: Submission
        var lane: Lane
        var body: [UInt8]?
    }

    public private(set) var deliveries: [DeliveryID: Delivery] = [:]
    var keys: [KeyID: (stored: StoredKey, usage: KeyUsage, days: [Int64: Int])] = [:]
    var messages: [MessageID: Message] = [:]
    var told = MemoryEvents()
    /// Messages that are found by their words.
    var indexed: Set<MessageID> = []
    var templates: [TemplateID: [Template]] = [:]
    /// The times at which versions were saved. For the latest version, `updatedAt` does not show this time, because a
    /// change of the name changes `updatedAt` too.
    var templateTimes: [TemplateReference: Timestamp] = [:]
    var statistics: [StatisticsCounter.Place: RecipientCounts] = [:]
    var domains: [String: SimulatedDomain] = [:]
    var logins: [OperatorDigest: Timestamp] = [:]
    var sessions: [OperatorDigest: Timestamp] = [:]
    public var senderReports = SenderReports.off
    private var remembered: [Fingerprint: MessageID] = [:]
    private var requests: [Fingerprint: (earlier: AcceptanceLedger.EarlierRequest, at: Timestamp)] = [:]
    private var lanes: [Lane: LaneStatus] = [:]
    private var lastKey: [Lane: String] = [:]
    private var lastDelivery: Int64 = 0

    public init() {}

    /// Adds a delivery without a message, for tests of the code that takes deliveries from the store.
    public mutating func enqueue(_ delivery: ClaimedDelivery) { deliveries[delivery.id] = Delivery(delivery) }

    // MARK: Messages

    mutating func accept(
        _ batch: [Submission], now: Timestamp, storage: StoragePolicy, free: Int?, spooled: [String: [UInt8]]
    ) -> [Acceptance] {
        var ledger = AcceptanceLedger(now: now, storage: storage, free: free)
        let outcomes = batch.map { submission -> Acceptance in
            let decision = ledger.decide(
                on: submission,
                standing: { id in
                    keys[id].map { KeyStanding(stored: $0.stored, emailsToday: $0.days[now.day.number] ?? 0) }
                }, firstOfRepeat: { message(under: $0, now) }, earlierRequest: { request(under: $0, now) })
            switch decision {
            case .refuse(let refusal): return .refused(refusal)
            case .repeated(let first): return .repeated(first)
            case .accept(let lane, let fingerprint, let request):
                if let fingerprint { remembered[fingerprint] = submission.id }
                for fingerprint in request {
                    requests[fingerprint] = (
                        .init(message: submission.id, content: submission.idempotency?.content ?? []), now
                    )
                }
                insert(submission, lane, spooled)
                return .accepted
            }
        }
        for (id, used) in ledger.usage {
            keys[id]?.usage.emailsTotal += used.emails
            let before = keys[id]?.usage.lastUsedAt
            keys[id]?.usage.lastUsedAt = max(before ?? now, now)
            keys[id]?.days[now.day.number, default: 0] += used.emails
        }
        return outcomes
    }

    private func message(under fingerprint: Fingerprint, _ now: Timestamp) -> MessageID? {
        guard let id = remembered[fingerprint], let message = messages[id] else { return nil }
        let acceptedAt = message.submission.acceptedAt
        let isNear = now - Fingerprint.memory <= acceptedAt && acceptedAt <= now + Fingerprint.memory
        return isNear && parts(of: id).contains { ![.failed, .cancelled, .suppressed].contains($0.state) } ? id : nil
    }

    func request(under fingerprint: Fingerprint, _ now: Timestamp) -> AcceptanceLedger.EarlierRequest? {
        guard let (earlier, time) = requests[fingerprint] else { return nil }
        return now - Fingerprint.memory <= time && time <= now + Fingerprint.memory ? earlier : nil
    }

    mutating func insert(_ submission: Submission, _ lane: Lane, _ spooled: [String: [UInt8]]) {
        let body: [UInt8]? =
            switch submission.body {
            case .inline(let bytes): bytes
            case .spooled(let body): spooled[body.name]
            }
        messages[submission.id] = Message(submission: submission, lane: lane, body: body)
        let recipients = submission.envelope.recipients
        for start in stride(from: 0, to: recipients.count, by: maximumRecipientsPerDelivery) {
            lastDelivery += 1
            let part = Array(recipients[start..<min(start + maximumRecipientsPerDelivery, recipients.count)])
            let delivery = ClaimedDelivery(
                id: DeliveryID(rawValue: lastDelivery), message: submission.id, key: submission.key, lane: lane,
                envelope: Envelope(reversePath: submission.envelope.reversePath, recipients: part),
                size: submission.body.size, queuedSince: submission.due, attempts: 0, maybeDuplicate: false)
            deliveries[delivery.id] = Delivery(delivery, scheduledAt: submission.waitsUntil)
        }
    }

    func parts(of message: MessageID) -> [Delivery] {
        deliveries.values.filter { $0.delivery.message == message }.sorted {
            $0.delivery.id.rawValue < $1.delivery.id.rawValue
        }
    }

    func body(of message: MessageID) throws -> [UInt8] {
        guard let found = messages[message] else { throw StoreError.noSuchMessage(message) }
        guard let body = found.body else { throw StoreError.bodyGone(message) }
        return body
    }

    // MARK: Queue

    public mutating func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) -> DeliveryClaim {
        var claim = DeliveryClaim([])
        while claim.deliveries.count < limit {
            let counted = claim.deliveries.reduce(0) { $0 + $1.envelope.recipients.count }
            let more = claimOnce(
                lane: lane, limit: limit - claim.deliveries.count, recipients: recipients - counted,
                leaseUntil: leaseUntil, now: now)
            claim.deliveries += more.deliveries
            claim.suppressed += more.suppressed
            if more.suppressed.isEmpty { break }
        }
        return claim
    }

    private mutating func claimOnce(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) -> DeliveryClaim {
        var due: [String: [Delivery]] = [:]
        for row in deliveries.values where row.state == .queued && row.delivery.lane == lane && row.due <= now {
            due[row.delivery.key.text, default: []].append(row)
        }
        for key in due.keys {
            due[key]?.sort { ($0.due, $0.delivery.id.rawValue) < ($1.due, $1.delivery.id.rawValue) }
        }
        let cursor = lastKey[lane] ?? ""
        let order = due.keys.sorted { ($0 <= cursor ? 1 : 0, $0) < ($1 <= cursor ? 1 : 0, $1) }
        var taken: [ClaimedDelivery] = []
        var counted = 0
        var round = 0
        while order.contains(where: { round < due[$0]?.count ?? 0 }) {
            for key in order where taken.count < limit && counted < recipients {
                guard let rows = due[key], round < rows.count else { continue }
                taken.append(rows[round].delivery)
                counted += rows[round].delivery.envelope.recipients.count
                lastKey[lane] = key
            }
            round += 1
        }
        var claim = DeliveryClaim([])
        for delivery in taken {
            let kept = withoutSuppressed(delivery, now: now)
            if kept.envelope.recipients.isEmpty {
                deliveries[delivery.id]?.apply(DeliveryChange(suppressedAt: now), from: now, to: now)
                // A simulated message keeps its bytes.
                if lane == .live { dropBody(of: delivery.message) }
                claim.suppressed.append(delivery)
            } else {
                deliveries[delivery.id]?.state = .sending
                deliveries[delivery.id]?.claimedAt = now
                deliveries[delivery.id]?.leaseUntil = leaseUntil
                claim.deliveries.append(kept)
            }
        }
        return claim
    }

    private mutating func withoutSuppressed(_ claimed: ClaimedDelivery, now: Timestamp) -> ClaimedDelivery {
        var delivery = claimed
        delivery.envelope.recipients = claimed.envelope.recipients.filter { recipient in
            if deliveries[claimed.id]?.suppressed.contains(recipient) ?? false { return false }
            guard let entry = told.suppressions[.init(claimed.lane, recipient)] else { return true }
            deliveries[claimed.id]?.suppressed.insert(recipient)
            if let facts = facts(claimed.message) {
                _ = add(entry.event(at: now), of: recipient, facts, sesMessageID: nil, now: now)
            }
            return false
        }
        return delivery
    }

    public mutating func extendLease(_ ids: [DeliveryID], until: Timestamp) {
        for id in ids where deliveries[id]?.state == .sending { deliveries[id]?.leaseUntil = until }
    }

    public mutating func settle(_ settlement: Settlement) {
        guard let row = deliveries[settlement.delivery] else { return }
        let standing = DeliveryChange.Standing(state: row.state, isHeldByReporter: true, onReturn: row.onReturn)
        guard let change = DeliveryChange(settling: settlement, of: standing) else { return }
        deliveries[settlement.delivery]?.apply(change, from: settlement.startedAt, to: settlement.finishedAt)
        let message = row.delivery.message
        tell(change, of: settlement.delivery, at: settlement.finishedAt, settlement.events)
        if change.state == .sent { dropBody(of: message) }
    }

    /// Deletes the bytes of a message as soon as all its deliveries are sent or suppressed and no report quotes them.
    mutating func dropBody(of message: MessageID) {
        guard parts(of: message).allSatisfy({ $0.state == .sent || $0.state == .suppressed }),
            told.undelivered[message] == nil
        else { return }
        messages[message]?.body = nil
    }

    public mutating func reclaimAbandoned(lane: Lane, now: Timestamp) -> Int {
        let abandoned = deliveries.values.filter { row in
            row.state == .sending && row.delivery.lane == lane && row.leaseUntil.map { $0 < now } ?? true
        }
        for row in abandoned {
            let change = DeliveryChange(abandonedIn: lane, onReturn: row.onReturn, at: now)
            deliveries[row.delivery.id]?.apply(change, from: row.claimedAt ?? now, to: now)
        }
        return abandoned.count
    }

    public func nextDue(lane: Lane) -> Timestamp? {
        deliveries.values.filter { $0.state == .queued && $0.delivery.lane == lane }.map(\.due).min()
    }

    public mutating func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) -> Int {
        let late = deliveries.values.filter {
            $0.state == .queued && $0.delivery.lane == lane && $0.due > latest && $0.due != $0.scheduledAt
        }
        for row in late { deliveries[row.delivery.id]?.due = now }
        return late.count
    }

    public mutating func record(_ status: LaneStatus) { lanes[status.lane] = status }

    // MARK: Operators

    mutating func revoke(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) throws {
        guard let key = keys[id]?.stored.key else { throw StoreError.noSuchKey(id) }
        keys[id]?.stored.key.revokedAt = key.revokedAt ?? now
        for row in deliveries.values where row.delivery.key == id {
            if row.state == .sending { deliveries[row.delivery.id]?.onReturn = queued }
            guard queued.states.contains(row.state), let change = DeliveryChange(revoked: queued, at: now) else {
                continue
            }
            deliveries[row.delivery.id]?.apply(change, from: now, to: now)
        }
    }

    mutating func cancel(_ cancellation: Cancellation, now: Timestamp) -> CancelOutcome {
        let rows = parts(of: cancellation.message)
        let decision = cancellation.decide(
            keys[cancellation.key]?.stored, owner: messages[cancellation.message]?.submission.key,
            deliveries: rows.map(\.state), at: now)
        switch decision {
        case .answer(let outcome): return outcome
        case .cancel:
            for row in rows {
                deliveries[row.delivery.id]?.apply(DeliveryChange(cancelledAt: now), from: now, to: now)
            }
            return .cancelled
        }
    }

    private func affects(_ operatorAction: OperatorAction, _ row: Delivery) -> Bool {
        operatorAction.affects(row.state, reason: row.reason)
    }

    func matching(_ operatorAction: OperatorAction, _ filter: MessageFilter, now: Timestamp) throws -> [MessageID] {
        for id in filter.ids ?? [] {
            guard let message = messages[id] else { throw StoreError.noSuchMessage(id) }
            if operatorAction.needsBody, message.body == nil, filter.ids?.count == 1 { throw StoreError.bodyGone(id) }
        }
        return Array(
            records(filter, now: now).filter { record in
                (record.hasBody || !operatorAction.needsBody)
                    && parts(of: record.id).contains { affects(operatorAction, $0) }
            }.map(\.id).prefix(filter.limit))
    }

    mutating func perform(_ operatorAction: OperatorAction, _ ids: [MessageID], now: Timestamp) -> Int {
        let affected = ids.flatMap { parts(of: $0) }.filter { affects(operatorAction, $0) }
        for row in affected {
            let change = DeliveryChange(operatorAction, scheduledAt: row.scheduledAt, at: now)
            deliveries[row.delivery.id]?.apply(change, from: now, to: now)
            tell(change, of: row.delivery.id, at: now)
        }
        return affected.count
    }

    /// All messages that satisfy the filter, newest first, regardless of its limit.
    func records(_ filter: MessageFilter, now: Timestamp) -> [MessageRecord] {
        records(before: filter.before, now: now).filter { satisfies($0, filter) }
    }

    func page(_ filter: MessageFilter, lookingAt most: Int, now: Timestamp) -> MessagePage {
        let all = records(before: filter.before, now: now)
        var page = MessagePage(messages: [], next: nil)
        for (index, record) in all.enumerated() {
            if satisfies(record, filter) { page.messages.append(record) }
            if page.messages.count == filter.limit || index + 1 >= most {
                page.next = index + 1 < all.count ? record.id : nil
                break
            }
        }
        return page
    }

    private func records(before: MessageID?, now: Timestamp) -> [MessageRecord] {
        messages.values.sorted { $0.submission.id.rawValue > $1.submission.id.rawValue }
            .filter { message in before.map { message.submission.id < $0 } ?? true }
            .map { message in
                let submission = message.submission
                return MessageRecord(
                    id: submission.id, key: submission.key, environment: message.lane, client: submission.client,
                    reversePath: submission.envelope.reversePath, subject: submission.subject,
                    size: submission.body.size,
                    acceptedAt: submission.acceptedAt, hasBody: message.body != nil,
                    tags: submission.tags, scheduledAt: submission.waitsUntil,
                    template: submission.template,
                    deliveries: parts(of: submission.id).map { row in
                        MessageRecord.Delivery(
                            recipients: row.delivery.envelope.recipients, state: row.state,
                            attempts: row.delivery.attempts, nextAttemptAt: row.state == .queued ? row.due : nil,
                            sesMessageID: row.sesMessageID, reason: row.reason,
                            maybeDuplicate: row.delivery.maybeDuplicate, endedAt: row.endedAt, history: row.history)
                    }, reported: told.events[submission.id] ?? [], now: now)
            }
    }

    private func satisfies(_ record: MessageRecord, _ filter: MessageFilter) -> Bool {
        (filter.ids.map { $0.contains(record.id) } ?? true) && (filter.key.map { $0 == record.key } ?? true)
            && (filter.subject.map { $0 == record.subject } ?? true)
            && (filter.since.map { record.acceptedAt >= $0 } ?? true)
            && (filter.state.map { $0 == record.state } ?? true)
            && (filter.status.map { status in record.recipientRecords.contains { $0.status == status } } ?? true)
            && (filter.tag.map { tag in record.tags.contains { $0.utf8.elementsEqual(tag.utf8) } } ?? true)
            && (filter.words.map { words in
                indexed.contains(record.id)
                    && WordSearch(words)?.finds(in: record.recipients + [record.subject ?? ""]) == true
            } ?? true)
    }

    func status(now: Timestamp) -> QueueStatus {
        var depths: [QueueStatus.Depth] = []
        var scheduled: [QueueStatus.Scheduled] = []
        var emails: [Lane: Int] = [:]
        for lane in [Lane.test, .live] {
            for state in [DeliveryState.held, .queued, .sending] {
                let all = deliveries.values.filter { $0.delivery.lane == lane && $0.state == state }
                let waiting = all.filter { $0.waits(at: now) }
                if let next = waiting.map(\.due).min() {
                    scheduled.append(.init(lane: lane, deliveries: waiting.count, next: next))
                }
                let rows = all.filter { !$0.waits(at: now) }
                guard !rows.isEmpty else { continue }
                let oldest = rows.compactMap { row in
                    (state == .held ? nil : row.scheduledAt) ?? messages[row.delivery.message]?.submission.acceptedAt
                }.min()
                depths.append(.init(lane: lane, state: state, deliveries: rows.count, oldest: oldest))
            }
            let today = keys.values.filter { $0.stored.key.environment == lane }.compactMap { $0.days[now.day.number] }
            if !today.isEmpty { emails[lane] = today.reduce(0, +) }
        }
        return QueueStatus(
            depths: depths, scheduled: scheduled, lanes: lanes.values.sorted { $0.lane == .test && $1.lane == .live },
            emailsToday: emails, feedback: feedback(now),
            suppressions: told.suppressions.values.reduce(into: [:]) {
                $0[$1.environment, default: [:]][$1.reason, default: 0] += 1
            })
    }

    private func feedback(_ now: Timestamp) -> [Lane: FeedbackCounts] {
        var counts: [Lane: FeedbackCounts] = [:]
        for (key, days) in told.counts {
            guard let lane = keys[key]?.stored.key.environment else { continue }
            let sum = days.filter { now.day.number - 30 < $0.key && $0.key <= now.day.number }.values
                .reduce(FeedbackCounts(), +)
            if sum != FeedbackCounts() { counts[lane] = (counts[lane] ?? FeedbackCounts()) + sum }
        }
        return counts
    }

    mutating func prune(_ retention: Retention, now: Timestamp) {
        pruneStatistics(now: now)
        for id in messages.keys {
            let rows = parts(of: id)
            let mayGo = rows.allSatisfy { row in
                guard let endedAt = row.endedAt else { return false }
                let kept =
                    row.state == .sent
                    ? retention.sent : row.state == .simulated ? retention.simulated : retention.failed
                return endedAt < now - kept
            }
            guard mayGo else { continue }
            messages[id] = nil
            indexed.remove(id)
            told.events[id] = nil
            told.undelivered[id] = nil
            for row in rows { deliveries[row.delivery.id] = nil }
        }
    }
}
