import GRDB
import RelayCore

/// The ids of the messages that match a filter, newest first, one page at a time.
///
/// A search for ten messages of a key must not go through a table of a million. So it begins with the index that leaves
/// the fewest messages: the words, then the deliveries in a rare state, then a tag, then the key. Each index is in the
/// order of the ids, or its result is small enough to be sorted. A page is a number of messages that are examined,
/// however few of them match the filter.
struct MessageSearch {
    struct Page {
        var ids: [Int64]
        /// How many messages were examined.
        var looked: Int
        /// Where the next page begins; nil if this is the last one.
        var next: Int64?

        static let none = Page(ids: [], looked: 0, next: nil)
    }

    /// The most messages that are examined in one transaction, except in a search for words.
    static let largestPage = 500

    /// Before it finds the first message, FTS5 collects all words with a given beginning (`ann*`), which may take a
    /// tenth of a second. So each page is large, although few of its messages may match.
    static let pageOfWords = 2000

    /// The most deliveries in one state, of all keys together, that a search sorts by message.
    static let mostSorted = 2000

    /// Finds the messages of a page, and tells whether each one satisfies the conditions that SQL can check. Some of
    /// them may be in a different state from the filter's: only all deliveries of a message together show its state.
    let sql: String
    /// The statement for the case that all keys together have few deliveries that are queued or being sent. It begins
    /// with these deliveries, and the statement `count` counts them. Nil if it does not suit the filter.
    let sqlForFew: (count: String, sql: String)?
    private let arguments: StatementArguments
    let filter: MessageFilter
    let now: Timestamp
    private let pageSize: Int
    private let findsNothing: Bool

    /// - Parameter condition: an additional condition that a delivery of the message must satisfy.
    init(_ filter: MessageFilter, now: Timestamp, alsoRequiring condition: String? = nil) {
        self.filter = filter
        self.now = now
        let driver = MessageSearch.driver(filter)
        let conditions = MessageSearch.conditions(filter, driver, condition)
        // If there are conditions besides the driver's, not all messages of a page will match. If there are none, the
        // page has one message more than requested, which shows whether another page follows.
        let isExact = conditions.isEmpty && filter.state == nil && filter.status == nil
        pageSize =
            if isExact {
                min(max(filter.limit, 0), MessageSearch.largestPage - 1) + 1
            } else if filter.words != nil {
                MessageSearch.pageOfWords
            } else {
                min(max(filter.limit, 100), MessageSearch.largestPage)
            }
        sql = MessageSearch.sql(filter, driver, conditions)
        sqlForFew = MessageSearch.driverForFew(filter).map { few in
            (
                few.count,
                MessageSearch.sql(filter, few.driver, MessageSearch.conditions(filter, few.driver, condition))
            )
        }
        let words = filter.words.map(MessageWords.query)
        findsNothing = words == .some(nil)
        arguments = [
            "key": filter.key?.text, "tag": filter.tag, "subject": filter.subject, "words": words ?? nil,
            "since": filter.since?.milliseconds,
            "oldest": filter.since.map { MessageID.first(at: $0 - MessageSearch.longestReception) },
            "now": now.milliseconds, "page": pageSize,
        ]
    }

    /// A message's id is made when its content begins to arrive, and the message is accepted when the content has
    /// ended. So it is accepted at most this long after its id was made. A day of this is for clocks that were set
    /// forward in between.
    private static let longestReception = Duration.seconds(2 * 86_400)

    /// Where the first page begins.
    var start: Int64 { filter.before?.rawValue ?? .max }

    /// The messages below the id `before`.
    func page(before: Int64, in database: Database) throws -> Page {
        if findsNothing { return .none }
        let sql = try sql(in: database)
        let arguments = arguments + ["before": before]
        let rows =
            filter.ids == nil
            ? try Row.fetchAll(database.cachedStatement(sql: sql), arguments: arguments)
            : try Row.fetchAll(database, sql: sql, arguments: arguments)
        // SQL does not promise that the rows keep the order in which they were found, and an ORDER BY would make SQLite
        // sort them.
        let looked = rows.map { (id: $0[0] as Int64, holds: $0[1] as Bool? ?? false) }.sorted { $0.id > $1.id }
        return Page(
            ids: looked.filter(\.holds).map(\.id), looked: looked.count,
            next: looked.count == pageSize ? looked.last?.id : nil)
    }

    /// Checks the conditions that SQL does not check.
    func isSatisfied(by record: MessageRecord) -> Bool {
        if let state = filter.state, record.state != state { return false }
        guard let status = filter.status else { return true }
        return record.recipientRecords.contains { $0.status == status }
    }

    private func sql(in database: Database) throws -> String {
        guard let few = sqlForFew,
            let count = try Int.fetchOne(database.cachedStatement(sql: few.count)), count <= MessageSearch.mostSorted
        else { return sql }
        return few.sql
    }

    // MARK: SQL

    /// Where a search begins: tables with a column that contains the message's id.
    private struct Driver {
        var source: String
        var id: String
        /// Conditions, at least one of which must be true.
        var alternatives: [String]
        /// Whether each message is found only once.
        var isUnique = false
        var tellsKey = false
        var tellsTag = false
        var tellsState = false
        var tellsStatus = false
        var tellsWords = false

        static let messages = Driver(source: "message", id: "message.id", alternatives: ["1"], isUnique: true)

        static func deliveries(_ alternatives: [String], ofKey: Bool) -> Driver {
            Driver(
                source: "delivery AS driver", id: "driver.message",
                alternatives: ofKey ? alternatives.map { "driver.key = :key AND \($0)" } : alternatives,
                tellsKey: ofKey, tellsState: true)
        }
    }

    private static func sql(_ filter: MessageFilter, _ driver: Driver, _ conditions: [String]) -> String {
        var bounds = ["\(driver.id) < :before"]
        if filter.since != nil { bounds.append("\(driver.id) >= :oldest") }
        if let ids = filter.ids {
            bounds.append("\(driver.id) IN (\(ids.map { String($0.rawValue) }.joined(separator: ",")))")
        }
        let select = driver.isUnique || driver.alternatives.count > 1 ? "SELECT" : "SELECT DISTINCT"
        let looked = driver.alternatives.map { alternative in
            """
            \(select) \(driver.id) AS id FROM \(driver.source)
            WHERE \(([alternative] + bounds).joined(separator: " AND "))
            """
        }.joined(separator: " UNION ")
        let page = "\(looked) ORDER BY 1 DESC LIMIT :page"
        guard !conditions.isEmpty else { return "SELECT id, 1 FROM (\(page))" }
        return """
            SELECT looked.id, \(conditions.joined(separator: " AND "))
            FROM (\(page)) AS looked LEFT JOIN message ON message.id = looked.id
            """
    }

    /// The conditions on the examined messages that the driver does not cover.
    private static func conditions(_ filter: MessageFilter, _ driver: Driver, _ condition: String?) -> [String] {
        var conditions: [String] = []
        if filter.key != nil, !driver.tellsKey { conditions.append("message.key = :key") }
        if filter.tag != nil, !driver.tellsTag {
            conditions.append(
                """
                EXISTS (SELECT 1 FROM tag
                    WHERE tag.key = message.key AND tag.tag = :tag AND tag.message = message.id)
                """)
        }
        if filter.words != nil, !driver.tellsWords {
            conditions.append(
                "EXISTS (SELECT 1 FROM message_words WHERE message_words MATCH :words AND rowid = message.id)")
        }
        if filter.subject != nil { conditions.append("message.subject = :subject") }
        if filter.since != nil { conditions.append("message.accepted_at >= :since") }
        if !driver.tellsState, let needed = filter.state.flatMap(state(neededFor:)) {
            conditions.append(hasDelivery("state = '\(needed.rawValue)'"))
        }
        if let condition { conditions.append(hasDelivery(condition)) }
        if let kind = filter.status?.storedKind, !driver.tellsStatus {
            conditions.append(
                "EXISTS (SELECT 1 FROM event WHERE event.message = message.id AND event.kind = '\(kind.rawValue)')")
        } else if let state = filter.status.flatMap(state(neededForStatus:)) {
            conditions.append(hasDelivery(DeliveryRow.isOne(of: state)))
        }
        return conditions
    }

    private static func hasDelivery(_ condition: String) -> String {
        "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND (\(condition)))"
    }

    private static func driver(_ filter: MessageFilter) -> Driver {
        guard filter.ids == nil else { return .messages }
        if filter.words != nil {
            return Driver(
                source: "message_words", id: "message_words.rowid", alternatives: ["message_words MATCH :words"],
                isUnique: true, tellsWords: true)
        }
        if let state = filter.state ?? filter.status.flatMap(state(ofAllWith:)),
            let driver = driver(state, ofKey: filter.key != nil)
        {
            return driver
        }
        if filter.tag != nil {
            // Without a key, the tag is looked up for each key.
            let key = filter.key == nil ? "IN (SELECT id FROM key)" : "= :key"
            return Driver(
                source: "tag", id: "tag.message", alternatives: ["tag.key \(key) AND tag.tag = :tag"],
                tellsKey: filter.key != nil, tellsTag: true)
        }
        if let kind = filter.status?.storedKind, kind != .delivered {
            return Driver(
                source: "event AS driver", id: "driver.message",
                alternatives: ["driver.kind = '\(kind.rawValue)' AND driver.kind <> 'delivered'"], tellsStatus: true)
        }
        var driver = Driver.messages
        if filter.key != nil {
            driver.alternatives = ["message.key = :key"]
            driver.tellsKey = true
        }
        return driver
    }

    /// The driver for a state, of one key or of all keys. Nil for states in which most messages end, because the newest
    /// messages soon include one in such a state. For all keys, also nil for states that many messages may be in for a
    /// time.
    private static func driver(_ state: MessageState, ofKey: Bool) -> Driver? {
        switch state {
        case .sent, .simulated: return nil
        case .failed, .cancelled, .held, .suppressed:
            return .deliveries(["driver.state = '\(state.rawValue)'"], ofKey: ofKey)
        case .partlyFailed:
            // At least one delivery of such a message must have failed or been cancelled.
            let parts = [DeliveryState.failed, .cancelled].map { "driver.state = '\($0.rawValue)'" }
            return .deliveries(parts, ofKey: ofKey)
        case .queued, .sending, .scheduled:
            return ofKey ? unended(state).map { .deliveries([$0], ofKey: true) } : nil
        }
    }

    /// The driver for a state that perhaps only few messages of all keys are in. If many messages are in it, the newest
    /// messages soon include one of them, and this driver is not needed.
    private static func driverForFew(_ filter: MessageFilter) -> (count: String, driver: Driver)? {
        guard filter.ids == nil, filter.words == nil, filter.key == nil, filter.tag == nil,
            let state = filter.state ?? filter.status.flatMap(state(ofAllWith:)), let condition = unended(state)
        else { return nil }
        let count =
            "SELECT COUNT(*) FROM (SELECT 1 FROM delivery AS driver WHERE \(inIndex(state)) LIMIT \(mostSorted + 1))"
        return (count, .deliveries([condition], ofKey: false))
    }

    /// The condition on a delivery that has not ended and whose message is in this state; nil if the state is none of
    /// `queued`, `sending` and `scheduled`.
    private static func unended(_ state: MessageState) -> String? {
        switch state {
        case .queued, .sending: inIndex(state)
        case .scheduled:
            """
            \(inIndex(state)) AND driver.next_attempt_at > :now AND driver.scheduled_at = driver.next_attempt_at
            """
        case .sent, .simulated, .failed, .partlyFailed, .held, .cancelled, .suppressed: nil
        }
    }

    private static func inIndex(_ state: MessageState) -> String {
        "\(lanes) AND driver.state = '\((state == .sending ? DeliveryState.sending : .queued).rawValue)'"
    }

    /// Both lanes, so that an index that begins with the lane can be used.
    private static let lanes =
        "driver.lane IN (\(Lane.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"

    /// The state that at least one delivery of a message in this state has; nil if a single delivery can't show it.
    private static func state(neededFor state: MessageState) -> DeliveryState? {
        switch state {
        case .partlyFailed: nil
        case .scheduled: .queued
        case .queued, .sending, .sent, .simulated, .failed, .held, .cancelled, .suppressed:
            DeliveryState(rawValue: state.rawValue)
        }
    }

    /// The state whose driver finds every message that has a recipient with this status, even if the message itself is
    /// in another state; nil if there is no such driver.
    private static func state(ofAllWith status: RecipientStatus) -> MessageState? {
        switch status {
        case .queued: .queued
        case .sending: .sending
        case .held: .held
        case .failed: .failed
        case .cancelled: .cancelled
        case .scheduled, .sent, .delivered, .delayed, .bounced, .complained, .rejected, .suppressed: nil
        }
    }

    /// The delivery states from which a recipient's status follows; nil if the status follows from events.
    private static func state(neededForStatus status: RecipientStatus) -> [DeliveryState]? {
        switch status {
        case .queued, .scheduled: [.queued]
        case .sending: [.sending]
        case .held: [.held]
        case .sent: [.sent, .simulated]
        case .failed: [.failed]
        case .cancelled: [.cancelled]
        case .delivered, .delayed, .bounced, .complained, .rejected, .suppressed: nil
        }
    }
}
