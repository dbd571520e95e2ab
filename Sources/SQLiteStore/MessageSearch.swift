import GRDB
import RelayCore

/// The ids of the messages that a filter asks for, newest first, a page at a time.
///
/// A table of a million messages must not be gone through for the ten that a key asks for. So the search begins in the index that
/// leaves the fewest: the deliveries in a state that is rare, then a tag, then the key. Each is in the order of the ids, or
/// short enough to be sorted.
struct MessageSearch {
    struct Page {
        var ids: [Int64]
        /// Where the next page begins; nil when this is the last one.
        var next: Int64?
    }

    /// Rows that are looked at in one transaction at most.
    static let largestPage = 500

    /// Finds the ids of a page. Some of them may be in another state than the filter's: that is told from all their deliveries.
    let sql: String
    private let arguments: StatementArguments
    private let filter: MessageFilter
    private let now: Timestamp
    private let pageSize: Int

    /// - Parameter condition: what a delivery of the message must satisfy besides.
    init(_ filter: MessageFilter, now: Timestamp, alsoRequiring condition: String? = nil) {
        self.filter = filter
        self.now = now
        // Where a state is asked for, or a delivery, not all of a page will be left.
        let isExact = filter.state == nil && filter.status == nil && condition == nil
        pageSize = min(max(filter.limit, isExact ? 1 : 100), MessageSearch.largestPage)
        sql = MessageSearch.sql(filter, condition)
        arguments = [
            "key": filter.key?.text, "tag": filter.tag, "subject": filter.subject,
            "since": filter.since?.milliseconds,
            "oldest": filter.since.map { MessageID.first(at: $0 - MessageSearch.longestReception) },
            "now": now.milliseconds, "page": pageSize,
        ]
    }

    /// An id is made when the content of a message begins, and the message accepted when it has ended: so much later at most, and
    /// a day for clocks that were put forward meanwhile.
    private static let longestReception = Duration.seconds(2 * 86_400)

    /// Where the first page begins.
    var start: Int64 { filter.before?.rawValue ?? .max }

    /// The messages below the id `before`.
    func page(before: Int64, in database: Database) throws -> Page {
        let arguments = arguments + ["before": before]
        let ids =
            filter.ids == nil
            ? try Int64.fetchAll(database.cachedStatement(sql: sql), arguments: arguments)
            : try Int64.fetchAll(database, sql: sql, arguments: arguments)
        return Page(ids: ids, next: ids.count == pageSize ? ids.last : nil)
    }

    // MARK: SQL

    /// Where a search begins: a table or query with a column that has the message's id.
    private struct Driver {
        var source: String
        var id: String
        var condition: String?
        var tellsTag = false
        var tellsState = false
        var tellsStatus = false
    }

    private static func sql(_ filter: MessageFilter, _ condition: String?) -> String {
        let driver = driver(filter)
        var conditions = ["\(driver.id) < :before"] + [driver.condition].compactMap { $0 }
        if let ids = filter.ids {
            conditions.append("\(driver.id) IN (\(ids.map { String($0.rawValue) }.joined(separator: ",")))")
        }
        if filter.key != nil { conditions.append("message.key = :key") }
        if filter.tag != nil, !driver.tellsTag {
            conditions.append(
                """
                EXISTS (SELECT 1 FROM tag
                    WHERE tag.key = message.key AND tag.tag = :tag AND tag.message = message.id)
                """)
        }
        if filter.subject != nil { conditions.append("message.subject = :subject") }
        if filter.since != nil {
            conditions += ["\(driver.id) >= :oldest", "message.accepted_at >= :since"]
        }
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
        return """
            SELECT DISTINCT \(driver.id) FROM \(driver.source) WHERE \(conditions.joined(separator: " AND "))
            ORDER BY \(driver.id) DESC LIMIT :page
            """
    }

    private static func hasDelivery(_ condition: String) -> String {
        "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND (\(condition)))"
    }

    private static func driver(_ filter: MessageFilter) -> Driver {
        let state = filter.state ?? filter.status.flatMap(state(ofAllWith:))
        if filter.ids == nil, filter.key != nil, let state, let driver = driver(state) { return driver }
        if filter.ids == nil, filter.tag != nil {
            // Without a key, each key's are looked up.
            let key = filter.key == nil ? "IN (SELECT id FROM key)" : "= :key"
            return Driver(
                source: "tag CROSS JOIN message ON message.id = tag.message", id: "tag.message",
                condition: "tag.key \(key) AND tag.tag = :tag", tellsTag: true)
        }
        if filter.ids == nil, let kind = filter.status?.storedKind, kind != .delivered {
            return Driver(
                source: "event AS driver CROSS JOIN message ON message.id = driver.message", id: "driver.message",
                condition: "driver.kind = '\(kind.rawValue)' AND driver.kind <> 'delivered'", tellsStatus: true)
        }
        return Driver(source: "message", id: "message.id")
    }

    /// By key and state. Nil for states that most messages end in, which the newest ones of the key are soon in.
    private static func driver(_ state: MessageState) -> Driver? {
        func deliveries(_ condition: String) -> Driver {
            Driver(
                source: "delivery AS driver CROSS JOIN message ON message.id = driver.message", id: "driver.message",
                condition: "driver.key = :key AND \(condition)", tellsState: true)
        }
        switch state {
        case .sent, .simulated: return nil
        case .failed, .cancelled, .held, .suppressed: return deliveries("driver.state = '\(state.rawValue)'")
        case .partlyFailed:
            // Of a message in one lane, one part must have failed or been cancelled.
            let parts = [DeliveryState.failed, .cancelled].map {
                "SELECT message FROM delivery WHERE key = :key AND state = '\($0.rawValue)' AND message < :before"
            }
            return Driver(
                source:
                    "(\(parts.joined(separator: " UNION "))) AS driver CROSS JOIN message ON message.id = driver.message",
                id: "driver.message", tellsState: true)
        case .queued, .sending: return deliveries("\(lanes) AND driver.state = '\(state.rawValue)'")
        case .scheduled:
            return deliveries(
                """
                \(lanes) AND driver.state = 'queued' AND driver.next_attempt_at > :now
                    AND driver.scheduled_at = driver.next_attempt_at
                """)
        }
    }

    /// Both, so that an index that begins with the lane serves.
    private static let lanes =
        "driver.lane IN (\(Lane.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"

    /// What must be there for a message to have this state; nil: that can't be told from one delivery.
    private static func state(neededFor state: MessageState) -> DeliveryState? {
        switch state {
        case .partlyFailed: nil
        case .scheduled: .queued
        case .queued, .sending, .sent, .simulated, .failed, .held, .cancelled, .suppressed:
            DeliveryState(rawValue: state.rawValue)
        }
    }

    /// The state in which a message is found whose recipients have this status; nil where it may be in others.
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

    /// The states that a delivery must have for a recipient's status to follow from it; nil: it follows from events.
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

// MARK: Steering

extension MessageSearch {
    /// A page of those that are to be steered: in the filter's state exactly, and with their bytes, where these are needed.
    func steerable(
        _ needsBody: Bool, before: Int64, in database: Database
    ) throws -> (messages: [MessageID], next: Int64?) {
        let page = try page(before: before, in: database)
        var ids = page.ids
        if needsBody {
            let kept = Set(
                try Int64.fetchAll(
                    database,
                    sql: "SELECT id FROM message WHERE id IN (\(MessageSearch.list(ids))) AND \(RecordRow.hasBody)"))
            ids.removeAll { !kept.contains($0) }
        }
        if let state = filter.state {
            let states = try states(of: ids, in: database)
            ids.removeAll { states[$0] != state }
        }
        return (ids.compactMap(MessageID.init(rawValue:)), page.next)
    }

    private func states(of messages: [Int64], in database: Database) throws -> [Int64: MessageState] {
        var deliveries: [Int64: [(state: DeliveryState, nextAttemptAt: Timestamp?)]] = [:]
        var scheduled: [Int64: Timestamp] = [:]
        for row in try Row.fetchAll(
            database,
            sql: """
                SELECT message, state, next_attempt_at, scheduled_at FROM delivery
                WHERE message IN (\(MessageSearch.list(messages)))
                """)
        {
            guard let state = DeliveryState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            deliveries[row["message"], default: []].append((state, timestamp(row["next_attempt_at"])))
            scheduled[row["message"]] = timestamp(row["scheduled_at"])
        }
        return Dictionary(
            uniqueKeysWithValues: messages.map {
                ($0, MessageState(of: deliveries[$0] ?? [], scheduledAt: scheduled[$0], at: now))
            })
    }

    private static func list(_ ids: [Int64]) -> String { ids.map(String.init).joined(separator: ",") }
}
