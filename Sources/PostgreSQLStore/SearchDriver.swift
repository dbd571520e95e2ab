import RelayCore

/// Where a search for messages begins: tables with a column that contains the message's id.
struct SearchDriver {
    /// A part of a statement, in which ``Value``s represent parameters.
    typealias Text = SearchStatement.Text

    var source: Text
    var id: String
    /// Conditions, at least one of which must be true.
    var alternatives: [Text]
    /// Whether each message is found only once.
    var isUnique = false
    var tellsKey = false
    var tellsTag = false
    var tellsState = false
    var tellsStatus = false
    var tellsWords = false

    init(_ filter: MessageFilter) { self = SearchDriver.driver(filter) }

    private init(source: Text, id: String, alternatives: [Text]) {
        self.source = source
        self.id = id
        self.alternatives = alternatives
    }

    private static var messages: SearchDriver {
        var driver = SearchDriver(source: "message", id: "message.id", alternatives: ["true"])
        driver.isUnique = true
        return driver
    }

    private static func deliveries(_ alternatives: [Text], ofKey: Bool) -> SearchDriver {
        var driver = SearchDriver(
            source: "delivery AS driver", id: "driver.message",
            alternatives: ofKey ? alternatives.map { "driver.key = \(.key) AND \($0)" } : alternatives)
        driver.tellsKey = ofKey
        driver.tellsState = true
        return driver
    }

    private static func driver(_ filter: MessageFilter) -> SearchDriver {
        guard filter.ids == nil else { return .messages }
        if filter.words != nil {
            var driver = SearchDriver(
                source: "message_words", id: "message_words.message",
                alternatives: ["message_words.words @@ \(.words)::tsquery"])
            driver.isUnique = true
            driver.tellsWords = true
            return driver
        }
        if let state = filter.state ?? filter.status.flatMap(state(ofAllWith:)),
            let driver = driver(state, ofKey: filter.key != nil)
        {
            return driver
        }
        if filter.tag != nil { return tagged(ofKey: filter.key != nil) }
        if let kind = filter.status?.storedKind, kind != .delivered {
            var driver = SearchDriver(
                source: "event AS driver", id: "driver.message",
                alternatives: ["driver.kind = '\(literal: kind.rawValue)' AND driver.kind <> 'delivered'"])
            driver.tellsStatus = true
            return driver
        }
        var driver = SearchDriver.messages
        if filter.key != nil {
            driver.alternatives = ["message.key = \(.key)"]
            driver.tellsKey = true
        }
        return driver
    }

    private static func tagged(ofKey: Bool) -> SearchDriver {
        var driver =
            ofKey
            ? SearchDriver(
                source: "tag", id: "tag.message", alternatives: ["tag.key = \(.key) AND tag.tag = \(.tag)"])
            // The tag is looked up for each key, at most a page of messages for each.
            : SearchDriver(
                source: """
                    key CROSS JOIN LATERAL (
                        SELECT tag.message FROM tag
                        WHERE tag.key = key.id AND tag.tag = \(.tag) AND tag.message < \(.before)
                        ORDER BY tag.message DESC LIMIT \(.page)
                    ) AS tagged
                    """, id: "tagged.message", alternatives: ["true"])
        driver.isUnique = true
        driver.tellsKey = ofKey
        driver.tellsTag = true
        return driver
    }

    /// The driver for a state, of one key or of all keys. Nil for states in which most messages end, because the newest
    /// messages soon include one in such a state. For all keys, also nil for states that many messages may be in for a
    /// time.
    private static func driver(_ state: MessageState, ofKey: Bool) -> SearchDriver? {
        switch state {
        case .sent, .simulated: return nil
        case .failed, .cancelled, .held, .suppressed:
            return .deliveries(["driver.state = '\(literal: state.rawValue)'"], ofKey: ofKey)
        case .partlyFailed:
            // At least one delivery of such a message must have failed or been cancelled.
            let parts: [Text] = [DeliveryState.failed, .cancelled].map {
                "driver.state = '\(literal: $0.rawValue)'"
            }
            return .deliveries(parts, ofKey: ofKey)
        case .queued, .sending, .scheduled:
            return ofKey ? unended(state).map { .deliveries([$0], ofKey: true) } : nil
        }
    }

    /// The driver for a state that perhaps only few messages of all keys are in. If many messages are in it, the newest
    /// messages soon include one of them, and this driver is not needed.
    static func forFew(_ filter: MessageFilter, _ most: Int) -> (count: String, driver: SearchDriver)? {
        guard filter.ids == nil, filter.words == nil, filter.key == nil, filter.tag == nil,
            let state = filter.state ?? filter.status.flatMap(state(ofAllWith:)), let condition = unended(state)
        else { return nil }
        let count = """
            SELECT count(*) FROM (
                SELECT 1 FROM delivery AS driver WHERE \(inIndex(state)) LIMIT \(most + 1)) AS few
            """
        return (count, .deliveries([condition], ofKey: false))
    }

    /// The condition on a delivery that has not ended and whose message is in this state; nil if the state is none of
    /// `queued`, `sending` and `scheduled`.
    private static func unended(_ state: MessageState) -> Text? {
        switch state {
        case .queued, .sending: "\(literal: inIndex(state))"
        case .scheduled:
            """
            \(literal: inIndex(state)) AND driver.next_attempt_at > \(.now)
                AND driver.scheduled_at = driver.next_attempt_at
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
}
