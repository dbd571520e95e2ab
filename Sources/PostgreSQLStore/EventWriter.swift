import RelayCore

/// Collects events about recipients, and writes them with all their consequences, within one transaction.
///
/// However much is collected, it takes at most three round trips: one for ``tell(_:in:)``, one for ``write(in:)``, and
/// one more if addresses are added to the list of suppressions. All relays write the tables in the same order, and the
/// rows of each table in the order of their keys, so that no two relays wait for each other.
///
/// Make a writer for one transaction and discard it afterwards.
struct EventWriter {
    /// A change of a delivery that may be reported to webhooks and to the message's sender.
    struct Told {
        var change: DeliveryChange
        var delivery: DeliveryID
        var time: Timestamp
        /// Whether the delivery counts in the statistics.
        var isCounted = false
        /// The events that were reported with the change.
        var reported: [ReportedEvent] = []
    }

    /// The result of ``write(in:)``.
    struct Written {
        /// The added events, in the order of ``add(_:of:_:sesMessageID:)``, and whether they are new.
        var events: [(kind: EventKind, isNew: Bool)] = []
        /// The number of addresses that were added to the list of suppressions.
        var suppressed = 0
    }

    private struct Entry {
        var message: MessageID
        var recipient: String
        var event: RecipientEvent
        var sesMessageID: String?
        /// Whether the event is stored. False for the relay's own actions, which the delivery's record shows.
        var isAdded: Bool
    }

    private let reports: SenderReports
    private let node: Int64
    private let slots: SharedCountSlots
    private let now: Timestamp
    /// Whether there is any webhook. There is nearly always none, and then little has to be read. Nil if it is not
    /// known. A caller that runs a query anyway can add ``webhooksExist`` to its columns, and set this value.
    var hasWebhooks: Bool?
    private var entries: [Entry] = []
    private var facts: [MessageID: MessageFacts] = [:]
    private var statistics = StatisticsCounter()

    /// An expression for a column of a query: see ``hasWebhooks``.
    static let webhooksExist = "EXISTS (SELECT 1 FROM webhook)"

    /// - Parameters:
    ///   - node: the node in whose rows the events are counted; 0 for a tool.
    ///   - slots: the slots of that node's rows.
    init(reports: SenderReports, node: Int64, slots: SharedCountSlots, now: Timestamp) {
        self.reports = reports
        self.node = node
        self.slots = slots
        self.now = now
    }

    // MARK: Gathering

    /// Adds an event, unless it exists already.
    ///
    /// - Parameters:
    ///   - recipient: the address as in the envelope.
    ///   - message: must exist.
    mutating func add(_ event: RecipientEvent, of recipient: String, _ message: MessageID, sesMessageID: String?) {
        var event = event
        event.detail = event.detail.bounded
        entries.append(
            Entry(message: message, recipient: recipient, event: event, sesMessageID: sesMessageID, isAdded: true))
    }

    mutating func add(_ event: RecipientEvent, of recipient: String, _ message: MessageFacts, sesMessageID: String?) {
        facts[message.id] = message
        add(event, of: recipient, message.id, sesMessageID: sesMessageID)
    }

    /// Reports the outcome for deliveries' recipients to webhooks and senders: the events that follow from the changes
    /// themselves, which the deliveries' records already show, and the events that were reported with the changes. The
    /// deliveries' rows must be locked or changed before, so that none is deleted in the meantime.
    mutating func tell(_ told: [Told], in connection: Connection) throws {
        let heard = told.compactMap { told -> (told: Told, event: RecipientEvent?, isHeard: Bool)? in
            let event = told.change.event(at: told.time)
            let isHeard =
                !told.reported.isEmpty || event?.kind == .failed && reports != .off
                || told.isCounted && event?.kind == .sent
            guard isHeard || event != nil && hasWebhooks != false else { return nil }
            return (told, event, isHeard)
        }
        guard !heard.isEmpty else { return }
        // Suppressed recipients are left out, because they were reported before.
        let found = try connection.rows(
            """
            SELECT delivery.id, recipients, ses_message_id, CASE WHEN suppressed > 0 THEN (
                    SELECT string_agg(recipient, chr(10)) FROM event
                    WHERE event.message = delivery.message AND kind = '\(EventKind.suppressed.rawValue)') END,
                \(EventWriter.webhooksExist), \(MessageFacts.columns)
            FROM unnest($1, $2) AS told (id, is_heard)
            JOIN delivery ON delivery.id = told.id JOIN message ON message.id = delivery.message
            WHERE is_heard OR \(EventWriter.webhooksExist)
            """, [heard.map(\.told.delivery.rawValue), heard.map(\.isHeard)]
        ) { row in
            (
                delivery: row.integer(0) ?? 0, recipients: RecipientList.recipients(row.text(1) ?? ""),
                sesMessageID: row.text(2), suppressed: Set(RecipientList.recipients(row.text(3) ?? "")),
                hasWebhooks: row.boolean(4), message: try MessageFacts(row, from: 5)
            )
        }
        guard let first = found.first else { return }
        hasWebhooks = first.hasWebhooks
        let deliveries = Dictionary(found.map { ($0.delivery, $0) }) { first, _ in first }
        for (told, event, _) in heard {
            guard let delivery = deliveries[told.delivery.rawValue] else { continue }
            let (message, id) = (delivery.message, told.change.sesMessageID ?? delivery.sesMessageID)
            facts[message.id] = message
            let recipients = delivery.recipients.filter { !delivery.suppressed.contains($0) }
            if told.isCounted, event?.kind == .sent {
                statistics.count(.sent, recipients: recipients.count, of: message, at: told.time, now: told.time)
            }
            if let event, isHeard(event) {
                for recipient in recipients {
                    entries.append(
                        Entry(
                            message: message.id, recipient: recipient, event: event, sesMessageID: id, isAdded: false))
                }
            }
            for reported in told.reported {
                add(reported.event, of: reported.recipient, message.id, sesMessageID: id)
            }
        }
    }

    /// Whether any webhook or sender is told about the relay's own action.
    private func isHeard(_ event: RecipientEvent) -> Bool {
        event.kind == .failed && reports != .off || hasWebhooks != false
    }

    // MARK: Writing

    /// Writes what was collected. Call it once in a transaction, after all other rows that the transaction locks or
    /// changes: other relays wait for the counts of the day until the transaction ends. The last statements of this
    /// function are only queued, and sent with the next statement or with COMMIT.
    mutating func write(in connection: Connection) throws -> Written {
        defer { entries = [] }
        guard !entries.isEmpty else {
            try StatisticRow.queueAdd(statistics, node: node, in: connection)
            return Written()
        }
        let (isNew, hearing) = try insertEvents(in: connection)
        var added = isNew.makeIterator()
        var consequences = Consequences()
        for entry in entries {
            // An event that existed already has had its consequences.
            if entry.isAdded, added.next() != true { continue }
            guard let message = facts[entry.message] else { continue }
            if entry.isAdded { consequences.count(entry.event, message, now: now) }
            let following = EventConsequences(
                of: entry.event, recipient: entry.recipient, message, reports: reports, now: now)
            if let suppression = following.suppression { consequences.suppressions.append(suppression) }
            if let undelivered = following.undelivered { consequences.undelivered.append((message.id, undelivered)) }
            consequences.call(hearing[message.key] ?? [], entry.event, entry.recipient, message, entry.sesMessageID)
        }
        let suppressed = try SuppressionRow.add(consequences.suppressions, in: connection)
        try UndeliveredRow.queueInsert(consequences.undelivered, since: now, in: connection)
        try WebhookCallRow.queueInsert(consequences.calls, due: now, in: connection)
        try count(new: zip(entries.filter(\.isAdded), isNew).filter(\.1).map(\.0), in: connection)
        try consequences.queueCounts(node: node, slots, in: connection)
        try StatisticRow.queueAdd(statistics, node: node, in: connection)
        let kinds = entries.filter(\.isAdded).map(\.event.kind)
        return Written(events: zip(kinds, isNew).map { ($0, $1) }, suppressed: suppressed)
    }

    /// Counts new events in the statistics: each recipient at most once for each kind. A kind that was reported before,
    /// or is reported twice here, is not counted again.
    private mutating func count(new: [Entry], in connection: Connection) throws {
        let counted = new.filter { entry in
            StatisticsKind.counts(reported: entry.event.kind) && facts[entry.message]?.statisticsNames.isEmpty == false
        }
        guard !counted.isEmpty else { return }
        let known = try EventRow.counts(
            counted.map { EventRow.New(message: $0.message, recipient: $0.recipient, event: $0.event) }, in: connection)
        var here: [EventRow.Identity: (first: Entry, number: Int64, known: Int64)] = [:]
        for (entry, number) in zip(counted, known) {
            let identity = EventRow.Identity(entry.message.rawValue, entry.recipient, entry.event.kind.rawValue, 0)
            here[identity, default: (entry, 0, number)].number += 1
        }
        for (entry, number, known) in here.values where number == known {
            guard let message = facts[entry.message] else { continue }
            statistics.count(entry.event.kind, of: message, at: entry.event.at, now: now)
        }
    }

    /// Returns whether each event is new, and the webhooks that receive events about each key's messages.
    private mutating func insertEvents(
        in connection: Connection
    ) throws -> (isNew: [Bool], hearing: [KeyID: [Webhook]]) {
        let added = entries.filter(\.isAdded).map {
            EventRow.New(message: $0.message, recipient: $0.recipient, event: $0.event)
        }
        let messages = Set(entries.map(\.message.rawValue)).sorted()
        let unknown = Set(entries.map(\.message)).filter { facts[$0] == nil }.map(\.rawValue).sorted()
        var queued = 0
        if !added.isEmpty {
            try EventRow.queueInsert(added, in: connection)
            queued += 1
        }
        if !unknown.isEmpty {
            try connection.queue("SELECT \(MessageFacts.columns) FROM message WHERE id = ANY ($1)", [unknown])
            queued += 1
        }
        if hasWebhooks != false {
            try WebhookRow.queueHearing(messages, in: connection)
            queued += 1
        }
        guard queued > 0 else { return ([], [:]) }
        var results = try connection.results().suffix(queued)
        guard results.count == queued else {
            throw StoreError.corrupt("PostgreSQL gives fewer results than it was asked for")
        }
        var inserted = added.isEmpty ? [] : EventRow.inserted(results.removeFirst())
        if !unknown.isEmpty {
            for message in try results.removeFirst().map({ try MessageFacts($0) }) { facts[message.id] = message }
        }
        let hearing = hasWebhooks == false ? [:] : try WebhookRow.hearing(results.removeFirst())
        // An event that was given twice is new only once.
        return (added.map { inserted.remove($0.identity) != nil }, hearing)
    }
}

/// What has to be written because of events.
private struct Consequences {
    var suppressions: [Suppression] = []
    var undelivered: [(message: MessageID, recipient: UndeliveredRecipient)] = []
    private(set) var calls: [WebhookCallRow.NewCall] = []
    private var counts: [KeyID: [UTCDay: FeedbackCounts]] = [:]
    /// The sums over all keys.
    private var sums: [Environment: [UTCDay: FeedbackCounts]] = [:]

    mutating func count(_ event: RecipientEvent, _ message: MessageFacts, now: Timestamp) {
        var count = FeedbackCounts()
        count.count(event)
        guard count != FeedbackCounts() else { return }
        let day = event.at.day <= now.day ? event.at.day : now.day
        counts[message.key, default: [:]][day] = (counts[message.key]?[day] ?? FeedbackCounts()) + count
        sums[message.environment, default: [:]][day] = (sums[message.environment]?[day] ?? FeedbackCounts()) + count
    }

    mutating func call(
        _ webhooks: [Webhook], _ event: RecipientEvent, _ recipient: String, _ message: MessageFacts,
        _ sesMessageID: String?
    ) {
        guard let name = WebhookEvent(event.kind) else { return }
        let hearing = webhooks.filter { $0.wants(name, tags: message.tags) }
        guard !hearing.isEmpty,
            let payload = WebhookPayload(
                event, of: recipient,
                WebhookPayload.Message(
                    id: message.id, from: message.reversePath, subject: message.subject, tags: message.tags,
                    sesMessageID: sesMessageID))
        else { return }
        calls.append(WebhookCallRow.NewCall(webhooks: hearing.map(\.id), payload: payload))
    }

    /// Queues the statements that add the counts of keys and of days.
    func queueCounts(node: Int64, _ slots: SharedCountSlots, in connection: Connection) throws {
        guard !counts.isEmpty else { return }
        let ofKeys = Counts(counts.map { ($0.text, $1) })
        try ofKeys.queueAdd(to: "usage", of: "key", node: node, slots.usage(ofKeys.places), in: connection)
        let ofDays = Counts(sums.map { ($0.rawValue, $1) })
        try ofDays.queueAdd(
            to: "feedback_by_day", of: "environment", node: node, slots.feedback(ofDays.places), in: connection)
    }
}

/// Counts of days, each for a key or an environment, as arrays for a statement.
private struct Counts {
    private static let columns = CountRows.feedback.joined(separator: ", ")

    private let rows: [(whose: String, day: Int64, count: FeedbackCounts)]

    init(_ counts: [(whose: String, days: [UTCDay: FeedbackCounts])]) {
        rows = counts.flatMap { whose, days in days.map { (whose, $0.number, $1) } }
    }

    var places: [CountSlots.Place] { rows.map { CountSlots.Place(whose: $0.whose, day: $0.day) } }

    /// Queues the statement that adds the counts to a table.
    ///
    /// - Parameters:
    ///   - owner: the column that tells whose counts they are.
    ///   - slots: the slot of each of ``places``.
    func queueAdd(
        to table: String, of owner: String, node: Int64, _ slots: [Int64], in connection: Connection
    ) throws {
        try connection.queue(
            """
            INSERT INTO \(table) (node, \(owner), day, slot, \(Counts.columns))
            SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8) AS told (\(owner), day, slot, \(Counts.columns))
            ORDER BY \(owner) COLLATE "C", day
            ON CONFLICT (\(owner), day, node, slot) DO UPDATE SET \(CountRows.adding(CountRows.feedback, to: table))
            """,
            [
                node, rows.map(\.whose), rows.map(\.day), slots, rows.map(\.count.deliveries),
                rows.map(\.count.bounces), rows.map(\.count.hardBounces), rows.map(\.count.complaints),
            ])
    }
}
