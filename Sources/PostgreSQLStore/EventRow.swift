import RelayCore

/// Reads and writes the table `event`.
enum EventRow {
    static let columns = "kind, at, bounce_type, subtype, diagnostic, server, feedback_id"

    /// An event to be added.
    struct New {
        var message: MessageID
        /// The address as in the envelope.
        var recipient: String
        var event: RecipientEvent

        var identity: Identity { Identity(message.rawValue, recipient, event.kind.rawValue, event.at.milliseconds) }
    }

    /// The identity of an event: the columns of the primary key.
    struct Identity: Hashable {
        private let message: Int64
        /// The octets, as the database compares them: Swift treats some different texts as equal.
        private let recipient: [UInt8]
        private let kind: String
        private let at: Int64

        init(_ message: Int64, _ recipient: String, _ kind: String, _ at: Int64) {
            self.message = message
            self.recipient = Array(recipient.utf8)
            self.kind = kind
            self.at = at
        }
    }

    /// Queues the insertion of events. ``inserted(_:)`` reads the identities of the events that are new. If several
    /// events are the same, the first one is added.
    ///
    /// Two relays may receive the same event at once: the second waits for the first and then adds nothing. All relays
    /// add in the same order, so that they do not wait for each other.
    static func queueInsert(_ events: [New], in connection: Connection) throws {
        let values = parameters(events.map(\.event), from: 3)
        try connection.queue(
            """
            INSERT INTO event (message, recipient, \(columns))
            SELECT message, recipient, \(columns)
            FROM unnest($1, $2, \(values.places)) WITH ORDINALITY AS told (message, recipient, \(columns), place)
            ORDER BY message, recipient COLLATE "C", kind COLLATE "C", at, place
            ON CONFLICT DO NOTHING RETURNING message, recipient, kind, at
            """, [events.map(\.message.rawValue), events.map(\.recipient)] + values.parameters)
    }

    static func inserted(_ result: QueryResult) -> Set<Identity> {
        Set(result.map { Identity($0.integer(0) ?? 0, $0.text(1) ?? "", $0.text(2) ?? "", $0.integer(3) ?? 0) })
    }

    /// For each event: how many events of its kind its recipient has for the same message. The given events must be
    /// stored already.
    static func counts(_ events: [New], in connection: Connection) throws -> [Int64] {
        guard !events.isEmpty else { return [] }
        return try connection.rows(
            """
            SELECT (SELECT count(*) FROM event WHERE event.message = told.message AND event.recipient = told.recipient
                AND event.kind = told.kind)
            FROM unnest($1, $2, $3) WITH ORDINALITY AS told (message, recipient, kind, place) ORDER BY place
            """,
            [events.map(\.message.rawValue), events.map(\.recipient), events.map(\.event.kind.rawValue)]
        ) { $0.integer(0) ?? 0 }
    }

    /// The ``columns`` of many events, as arrays, and the placeholders for them in a statement, numbered from `first`.
    static func parameters(
        _ events: [RecipientEvent], from first: Int
    ) -> (places: String, parameters: [any ParameterValue]) {
        let parameters: [any ParameterValue] = [
            events.map(\.kind.rawValue), events.map(\.at), events.map(\.detail.bounceType?.rawValue),
            events.map(\.detail.subtype), events.map(\.detail.diagnostic), events.map(\.detail.server),
            events.map(\.detail.feedbackID),
        ]
        return (parameters.indices.map { "$\(first + $0)" }.joined(separator: ", "), parameters)
    }

    /// Reads the ``columns`` of an event from a row, beginning with the column `first`.
    static func event(_ row: ResultRow, from first: CInt) throws -> RecipientEvent {
        guard let kind = row.text(first).flatMap(EventKind.init), let at = row.timestamp(first + 1) else {
            throw StoreError.corrupt("an event's row can't be read")
        }
        return RecipientEvent(
            kind, at: at,
            .init(
                bounceType: row.text(first + 2).flatMap(BounceType.init), subtype: row.text(first + 3),
                diagnostic: row.text(first + 4), server: row.text(first + 5), feedbackID: row.text(first + 6)))
    }

    /// The suppressed recipients of messages, by message.
    static func suppressed(of messages: [Int64], in connection: Connection) throws -> [Int64: Set<String>] {
        guard !messages.isEmpty else { return [:] }
        var found: [Int64: Set<String>] = [:]
        for (message, recipient) in try connection.rows(
            "SELECT message, recipient FROM event WHERE message = ANY ($1) AND kind = '\(EventKind.suppressed.rawValue)'",
            [messages], { ($0.integer(0) ?? 0, $0.text(1) ?? "") })
        {
            found[message, default: []].insert(recipient)
        }
        return found
    }

    /// The reported events of messages; each message's events are in the order of time.
    static func reported(of messages: [Int64], in connection: Connection) throws -> [Int64: [ReportedEvent]] {
        guard !messages.isEmpty else { return [:] }
        var found: [Int64: [ReportedEvent]] = [:]
        for (message, event) in try connection.rows(
            "SELECT message, recipient, \(columns) FROM event WHERE message = ANY ($1) ORDER BY message, at, recipient, kind",
            [messages],
            { row in (row.integer(0) ?? 0, ReportedEvent(try event(row, from: 2), of: row.text(1) ?? "")) })
        {
            found[message, default: []].append(event)
        }
        return found
    }
}

extension MessageFacts {
    static let columns = """
        message.id, message.key, message.lane, message.reverse_path, message.subject, message.tags, message.automatic,
        message.template
        """

    /// Reads the ``columns`` from a row, beginning with the column `first`.
    init(_ row: ResultRow, from first: CInt = 0) throws {
        guard let id = row.integer(first).flatMap(MessageID.init(rawValue:)),
            let key = row.text(first + 1).flatMap({ KeyID($0) }), let lane = row.text(first + 2).flatMap(Lane.init)
        else { throw StoreError.corrupt("a message's row can't be read") }
        self.init(
            id: id, key: key, environment: lane, reversePath: row.text(first + 3), subject: row.text(first + 4),
            tags: TagList.tags(row.text(first + 5)), isAutomatic: row.boolean(first + 6) ?? false,
            template: row.text(first + 7).flatMap { TemplateReference($0) })
    }

    /// What is known about a message; nil if the message does not exist.
    init?(_ message: MessageID, in connection: Connection) throws {
        let found = try connection.first(
            "SELECT \(MessageFacts.columns) FROM message WHERE id = $1", [message.rawValue]
        ) { try MessageFacts($0) }
        guard let found else { return nil }
        self = found
    }
}
