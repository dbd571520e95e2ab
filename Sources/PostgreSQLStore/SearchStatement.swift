import RelayCore

/// A statement that finds a page of messages, with the meaning of its parameters.
struct SearchStatement {
    /// The input of a search.
    struct Search {
        var filter: MessageFilter
        /// The words as a PostgreSQL query (``MessageWords/query(_:)``).
        var words: String?
        var now: Timestamp
        /// An additional condition that a delivery of the message must satisfy.
        var condition: String?
    }

    /// The meaning of a parameter.
    enum Value: Hashable {
        case page, before, ids, key, tag, subject, words, since, oldest, now
    }

    let sql: String
    /// Whether a message must satisfy more conditions than those of the driver.
    let hasConditions: Bool
    private let values: [Value]
    private let search: Search

    init(_ search: Search, _ driver: SearchDriver) {
        self.search = search
        let conditions = SearchStatement.conditions(search, driver)
        hasConditions = !conditions.isEmpty
        var values: [Value] = []
        sql = SearchStatement.text(search.filter, driver, conditions).sql(&values)
        self.values = values
    }

    func parameters(page: Int, before: Int64) -> [any ParameterValue] {
        let filter = search.filter
        return values.map { value in
            switch value {
            case .page: page
            case .before: before
            case .ids: (filter.ids ?? []).map(\.rawValue)
            case .key: filter.key?.text
            case .tag: filter.tag
            case .subject: filter.subject
            case .words: search.words
            case .since: filter.since
            case .oldest: filter.since.map { MessageID.first(at: $0 - SearchStatement.longestReception) }
            case .now: search.now
            }
        }
    }

    /// A message's id is made when its content begins to arrive, and the message is accepted when the content has
    /// ended. So it is accepted at most this long after its id was made. A day of this is for clocks that were set
    /// forward in between.
    private static let longestReception = Duration.seconds(2 * 86_400)

    private static func text(_ filter: MessageFilter, _ driver: SearchDriver, _ conditions: [Text]) -> Text {
        var bounds: [Text] = ["\(literal: driver.id) < \(.before)"]
        if filter.since != nil { bounds.append("\(literal: driver.id) >= \(.oldest)") }
        if filter.ids != nil { bounds.append("\(literal: driver.id) = ANY (\(.ids))") }
        let select: Text = driver.isUnique || driver.alternatives.count > 1 ? "SELECT" : "SELECT DISTINCT"
        let looked = driver.alternatives.map { alternative -> Text in
            """
            \(select) \(literal: driver.id) AS id FROM \(driver.source)
            WHERE \(Text(([alternative] + bounds), separator: " AND "))
            """
        }
        let page: Text = "\(Text(looked, separator: " UNION ")) ORDER BY 1 DESC LIMIT \(.page)"
        guard !conditions.isEmpty else { return "SELECT id, true FROM (\(page)) AS looked" }
        return """
            SELECT looked.id, \(Text(conditions, separator: " AND "))
            FROM (\(page)) AS looked LEFT JOIN message ON message.id = looked.id
            """
    }

    /// The conditions on the examined messages that the driver does not cover.
    private static func conditions(_ search: Search, _ driver: SearchDriver) -> [Text] {
        let filter = search.filter
        var conditions: [Text] = []
        if filter.key != nil, !driver.tellsKey { conditions.append("message.key = \(.key)") }
        if filter.tag != nil, !driver.tellsTag {
            conditions.append(
                """
                EXISTS (SELECT 1 FROM tag
                    WHERE tag.key = message.key AND tag.tag = \(.tag) AND tag.message = message.id)
                """)
        }
        if filter.words != nil, !driver.tellsWords {
            conditions.append(
                """
                EXISTS (SELECT 1 FROM message_words
                    WHERE message_words.message = message.id AND words @@ \(.words)::tsquery)
                """)
        }
        if filter.subject != nil { conditions.append("message.subject = \(.subject)") }
        if filter.since != nil { conditions.append("message.accepted_at >= \(.since)") }
        if !driver.tellsState, let needed = filter.state.flatMap(state(neededFor:)) {
            conditions.append(hasDelivery("state = '\(needed.rawValue)'"))
        }
        if let condition = search.condition { conditions.append(hasDelivery(condition)) }
        if let kind = filter.status?.storedKind, !driver.tellsStatus {
            conditions.append(
                """
                EXISTS (SELECT 1 FROM event
                    WHERE event.message = message.id AND event.kind = '\(literal: kind.rawValue)')
                """)
        } else if let states = filter.status.flatMap(states(neededForStatus:)) {
            conditions.append(hasDelivery(DeliveryRow.isOne(of: states)))
        }
        return conditions
    }

    private static func hasDelivery(_ condition: String) -> Text {
        "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND (\(literal: condition)))"
    }

    /// The state that at least one delivery of a message in this state has; nil if a single delivery can't show it.
    private static func state(neededFor state: MessageState) -> DeliveryState? {
        switch state {
        case .partlyFailed: nil
        case .scheduled: .queued
        case .queued, .sending, .sent, .simulated, .failed, .held, .cancelled, .suppressed:
            DeliveryState(rawValue: state.rawValue)
        }
    }

    /// The delivery states from which a recipient's status follows; nil if the status follows from events.
    private static func states(neededForStatus status: RecipientStatus) -> [DeliveryState]? {
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

extension SearchStatement {
    /// SQL in which values have no numbers yet. Text that is inserted as a literal must be the relay's own.
    struct Text: ExpressibleByStringInterpolation {
        fileprivate enum Part {
            case sql(String)
            case value(Value)
        }

        fileprivate var parts: [Part]

        init(stringLiteral sql: String) { parts = [.sql(sql)] }

        init(stringInterpolation interpolation: Interpolation) { parts = interpolation.parts }

        init(_ texts: [Text], separator: String) {
            parts = Array(texts.map(\.parts).joined(separator: [.sql(separator)]))
        }

        /// - Parameter values: the values that have a number; new ones are added.
        func sql(_ values: inout [Value]) -> String {
            parts.map { part in
                switch part {
                case .sql(let sql): return sql
                case .value(let value):
                    if !values.contains(value) { values.append(value) }
                    return "$\((values.firstIndex(of: value) ?? 0) + 1)"
                }
            }.joined()
        }

        struct Interpolation: StringInterpolationProtocol {
            fileprivate var parts: [Part] = []

            init(literalCapacity: Int, interpolationCount: Int) {}

            mutating func appendLiteral(_ literal: String) { parts.append(.sql(literal)) }
            mutating func appendInterpolation(_ value: Value) { parts.append(.value(value)) }
            mutating func appendInterpolation(_ text: Text) { parts += text.parts }
            mutating func appendInterpolation(literal: String) { parts.append(.sql(literal)) }
        }
    }
}
