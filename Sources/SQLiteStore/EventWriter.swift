import GRDB
import RelayCore

/// Writes events about recipients and their consequences, within one transaction.
///
/// Make a writer for one transaction and discard it afterwards: it remembers which webhooks exist.
struct EventWriter {
    private let database: Database
    private let now: Timestamp
    private let reports: SenderReports
    private var hasWebhooks: Bool?
    private var webhooks: [KeyID: [Webhook]] = [:]
    private var counts: [KeyID: [UTCDay: FeedbackCounts]] = [:]
    /// The sums over all keys.
    private var sums: [Environment: [UTCDay: FeedbackCounts]] = [:]
    private var statistics = StatisticsCounter()
    /// The number of addresses that were added to the list of suppressions.
    private(set) var suppressed = 0

    init(_ database: Database, reports: SenderReports, now: Timestamp) {
        self.database = database
        self.reports = reports
        self.now = now
    }

    /// Adds an event unless it exists already. Returns whether it is new.
    ///
    /// - Parameter recipient: the address as in the envelope.
    mutating func add(
        _ event: RecipientEvent, of recipient: String, _ message: MessageFacts, sesMessageID: String?
    ) throws -> Bool {
        var event = event
        event.detail = event.detail.bounded
        guard try EventRow.insert(event, of: recipient, message.id, in: database) else { return false }
        var count = FeedbackCounts()
        count.count(event)
        if count != FeedbackCounts() {
            let day = event.at.day <= now.day ? event.at.day : now.day
            counts[message.key, default: [:]][day] = (counts[message.key]?[day] ?? FeedbackCounts()) + count
            sums[message.environment, default: [:]][day] =
                (sums[message.environment]?[day] ?? FeedbackCounts()) + count
        }
        if StatisticsKind.counts(reported: event.kind), !message.statisticsNames.isEmpty,
            try EventRow.count(event.kind, of: recipient, message.id, in: database) == 1
        {
            statistics.count(event.kind, of: message, at: event.at, now: now)
        }
        try follow(event, of: recipient, message, sesMessageID: sesMessageID)
        return true
    }

    /// Counts recipients that a message was sent to.
    mutating func countSent(_ recipients: Int, of message: MessageFacts, at time: Timestamp) {
        statistics.count(.sent, recipients: recipients, of: message, at: time, now: time)
    }

    /// Tells webhooks and the sender about an action of the relay itself. The event is not stored, because the
    /// delivery's record shows the action.
    mutating func tell(
        _ event: RecipientEvent, of recipients: [String], _ message: MessageFacts, sesMessageID: String?
    ) throws {
        for recipient in recipients { try follow(event, of: recipient, message, sesMessageID: sesMessageID) }
    }

    /// Whether any webhook or sender is told about the relay's own action. Usually none is, and then nothing needs to
    /// be read.
    mutating func isHeard(_ event: RecipientEvent) throws -> Bool {
        if event.kind == .failed, reports != .off { return true }
        return try anyWebhooks()
    }

    private mutating func anyWebhooks() throws -> Bool {
        if let hasWebhooks { return hasWebhooks }
        let found =
            try Bool.fetchOne(
                database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM webhook)")) ?? false
        hasWebhooks = found
        return found
    }

    private mutating func follow(
        _ event: RecipientEvent, of recipient: String, _ message: MessageFacts, sesMessageID: String?
    ) throws {
        let consequences = EventConsequences(of: event, recipient: recipient, message, reports: reports, now: now)
        if let suppression = consequences.suppression {
            suppressed += try SuppressionRow.add(suppression, in: database) ? 1 : 0
        }
        if let undelivered = consequences.undelivered {
            try UndeliveredRow.insert(undelivered, of: message.id, since: now, in: database)
        }
        guard let name = WebhookEvent(event.kind), try anyWebhooks() else { return }
        let hearing = try hearing(message).filter { $0.wants(name, tags: message.tags) }
        guard !hearing.isEmpty,
            let payload = WebhookPayload(
                event, of: recipient,
                WebhookPayload.Message(
                    id: message.id, from: message.reversePath, subject: message.subject, tags: message.tags,
                    sesMessageID: sesMessageID))
        else { return }
        for webhook in hearing {
            let call = WebhookCall(
                id: 0, webhook: webhook.id, event: payload.id, type: payload.type.rawValue, body: payload.body,
                createdAt: now, attempts: 0)
            try WebhookRow.insert(call, due: now, in: database)
        }
    }

    private mutating func hearing(_ message: MessageFacts) throws -> [Webhook] {
        if let known = webhooks[message.key] { return known }
        let found = try WebhookRow.hearing(message.key, message.environment, in: database)
        webhooks[message.key] = found
        return found
    }

    /// Writes the usage of keys and of days. Call it once, at the end of the transaction.
    func writeCounts() throws {
        if !statistics.isEmpty { try StatisticRow.add(statistics, in: database) }
        guard !counts.isEmpty else { return }
        let ofKeys = try database.cachedStatement(
            sql: """
                INSERT INTO usage (key, day, emails, messages, deliveries, bounces, hard_bounces, complaints)
                VALUES (?, ?, 0, 0, ?, ?, ?, ?) ON CONFLICT (key, day) DO UPDATE SET \(EventWriter.added)
                """)
        for (key, days) in counts {
            for (day, count) in days { try ofKeys.execute(arguments: EventWriter.arguments(key.text, day, count)) }
        }
        let ofDays = try database.cachedStatement(
            sql: """
                INSERT INTO feedback_by_day (environment, day, deliveries, bounces, hard_bounces, complaints)
                VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (environment, day) DO UPDATE SET \(EventWriter.added)
                """)
        for (environment, days) in sums {
            for (day, count) in days {
                try ofDays.execute(arguments: EventWriter.arguments(environment.rawValue, day, count))
            }
        }
    }

    private static let added = ["deliveries", "bounces", "hard_bounces", "complaints"]
        .map { "\($0) = \($0) + excluded.\($0)" }.joined(separator: ", ")

    private static func arguments(_ whose: String, _ day: UTCDay, _ count: FeedbackCounts) -> StatementArguments {
        [whose, day.number, count.deliveries, count.bounces, count.hardBounces, count.complaints]
    }
}

/// Reads and writes the table `event`.
enum EventRow {
    static let columns = "kind, at, bounce_type, subtype, diagnostic, server, feedback_id"

    /// Inserts an event. Returns whether it is new.
    static func insert(
        _ event: RecipientEvent, of recipient: String, _ message: MessageID, in database: Database
    ) throws -> Bool {
        let statement = try DirectStatement(
            database, "INSERT OR IGNORE INTO event (message, recipient, \(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        statement.bind(message.rawValue, at: 1)
        statement.bind(recipient, at: 2)
        bind(event, to: statement, from: 3)
        try statement.run()
        return database.changesCount == 1
    }

    /// How many events of a kind a recipient of a message has.
    static func count(
        _ kind: EventKind, of recipient: String, _ message: MessageID, in database: Database
    ) throws -> Int64 {
        let statement = try DirectStatement(
            database, "SELECT COUNT(*) FROM event WHERE message = ? AND recipient = ? AND kind = ?")
        statement.bind(message.rawValue, at: 1)
        statement.bind(recipient, at: 2)
        statement.bind(kind.rawValue, at: 3)
        return try statement.firstInteger() ?? 0
    }

    /// Binds the ``columns`` of an event.
    static func bind(_ event: RecipientEvent, to statement: DirectStatement, from index: CInt) {
        statement.bind(event.kind.rawValue, at: index)
        statement.bind(event.at.milliseconds, at: index + 1)
        statement.bind(event.detail.bounceType?.rawValue, at: index + 2)
        statement.bind(event.detail.subtype, at: index + 3)
        statement.bind(event.detail.diagnostic, at: index + 4)
        statement.bind(event.detail.server, at: index + 5)
        statement.bind(event.detail.feedbackID, at: index + 6)
    }

    /// Reads the ``columns`` of an event from a row, beginning with the column `first`.
    static func event(_ row: DirectRow, from first: CInt) throws -> RecipientEvent {
        guard let kind = row.text(first).flatMap(EventKind.init), let at = timestamp(row.integer(first + 1)) else {
            throw StoreError.corrupt("an event's row can't be read")
        }
        return RecipientEvent(
            kind, at: at,
            .init(
                bounceType: row.text(first + 2).flatMap(BounceType.init), subtype: row.text(first + 3),
                diagnostic: row.text(first + 4), server: row.text(first + 5), feedbackID: row.text(first + 6)))
    }

    /// The suppressed recipients of a message.
    static func suppressed(of message: MessageID, in database: Database) throws -> Set<String> {
        let statement = try DirectStatement(
            database, "SELECT recipient FROM event WHERE message = ? AND kind = '\(EventKind.suppressed.rawValue)'")
        statement.bind(message.rawValue, at: 1)
        return Set(try statement.rows { $0.text(0) }.compactMap { $0 })
    }

    /// The reported events of messages, by message. `list`: the messages' ids, separated by commas.
    static func reported(of list: String, in database: Database) throws -> [Int64: [ReportedEvent]] {
        let statement = try DirectStatement(
            database,
            "SELECT message, recipient, \(columns) FROM event WHERE message IN (\(list)) ORDER BY message, at, recipient"
        )
        var found: [Int64: [ReportedEvent]] = [:]
        for (message, event) in try statement.rows({ row in
            (row.integer(0) ?? 0, ReportedEvent(try event(row, from: 2), of: row.text(1) ?? ""))
        }) {
            found[message, default: []].append(event)
        }
        return found
    }
}

extension MessageFacts {
    /// What is known about a message; nil if the message does not exist.
    init?(_ message: MessageID, in database: Database) throws {
        let statement = try DirectStatement(
            database, "SELECT key, lane, reverse_path, subject, tags, automatic, template FROM message WHERE id = ?")
        statement.bind(message.rawValue, at: 1)
        let found = try statement.first { row in
            guard let key = row.text(0).flatMap({ KeyID($0) }), let lane = row.text(1).flatMap(Lane.init) else {
                throw StoreError.corrupt("a message's row can't be read")
            }
            return MessageFacts(
                id: message, key: key, environment: lane, reversePath: row.text(2), subject: row.text(3),
                tags: TagList.tags(row.text(4)), isAutomatic: row.integer(5) != 0,
                template: row.text(6).flatMap { TemplateReference($0) })
        }
        guard let found else { return nil }
        self = found
    }
}
