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

    /// The most messages that are examined in one snapshot, except in a search for words.
    static let largestPage = 500

    /// Before it finds the first message, the index of words may collect all messages with one of the words, so each
    /// page is large. For a small page, PostgreSQL would also prefer to go through all messages instead of using that
    /// index, even if the word is rare.
    static let pageOfWords = 2000

    /// The most deliveries in one state, of all keys together, that a search sorts by message.
    static let mostSorted = 2000

    /// Finds the messages of a page, and tells whether each one satisfies the conditions that SQL can check. Some of
    /// them may be in a different state from the filter's: only all deliveries of a message together show its state.
    private let statement: SearchStatement
    /// The statement for the case that all keys together have few deliveries that are queued or being sent. It begins
    /// with these deliveries, and the statement `count` counts them. Nil if it does not suit the filter.
    private let statementForFew: (count: String, statement: SearchStatement)?
    let filter: MessageFilter
    let now: Timestamp
    private let pageSize: Int
    private let findsNothing: Bool

    /// - Parameter condition: an additional condition that a delivery of the message must satisfy.
    init(_ filter: MessageFilter, now: Timestamp, alsoRequiring condition: String? = nil) {
        self.filter = filter
        self.now = now
        let words = filter.words.map(MessageWords.query)
        findsNothing = words == .some(nil)
        let search = SearchStatement.Search(filter: filter, words: words ?? nil, now: now, condition: condition)
        let driver = SearchDriver(filter)
        statement = SearchStatement(search, driver)
        // If there are conditions besides the driver's, not all messages of a page will match. If there are none, the
        // page has one message more than requested, which shows whether another page follows.
        let isExact = !statement.hasConditions && filter.state == nil && filter.status == nil
        pageSize =
            if filter.words != nil {
                MessageSearch.pageOfWords
            } else if isExact {
                min(max(filter.limit, 0), MessageSearch.largestPage - 1) + 1
            } else {
                min(max(filter.limit, 100), MessageSearch.largestPage)
            }
        statementForFew = SearchDriver.forFew(filter, MessageSearch.mostSorted).map { few in
            (few.count, SearchStatement(search, few.driver))
        }
    }

    /// Where the first page begins.
    var start: Int64 { filter.before?.rawValue ?? .max }

    /// The messages below the id `before`. Call it within a snapshot.
    func page(before: Int64, in connection: Connection) throws -> Page {
        if findsNothing { return .none }
        // The planner can estimate the number of rows with a word or a key only if it knows the word or key.
        try connection.queue("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
        let statement = try statement(in: connection)
        let rows = try connection.rows(statement.sql, statement.parameters(page: pageSize, before: before)) {
            (id: $0.integer(0) ?? 0, holds: $0.boolean(1) ?? false)
        }
        // Without an ORDER BY, SQL does not promise that the rows keep the order in which they were found.
        let looked = rows.sorted { $0.id > $1.id }
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

    private func statement(in connection: Connection) throws -> SearchStatement {
        guard let few = statementForFew else { return statement }
        let count = try connection.integer(few.count) ?? 0
        return count <= MessageSearch.mostSorted ? few.statement : statement
    }
}

// MARK: OperatorAction

extension MessageSearch {
    /// A page of the messages that an operator's action can change. They are exactly in the filter's state, and still
    /// have their bytes if the action needs them.
    func matching(
        _ operatorAction: OperatorAction, before: Int64, in connection: Connection
    ) throws -> (messages: [MessageID], next: Int64?) {
        let page = try page(before: before, in: connection)
        var ids = page.ids
        if operatorAction.needsBody, !ids.isEmpty {
            let kept = Set(
                try connection.rows("SELECT id FROM message WHERE id = ANY ($1) AND \(RecordRow.hasBody)", [ids]) {
                    $0.integer(0) ?? 0
                })
            ids.removeAll { !kept.contains($0) }
        }
        if let state = filter.state, !ids.isEmpty {
            let states = try states(of: ids, in: connection)
            ids.removeAll { states[$0] != state }
        }
        return (ids.compactMap(MessageID.init(rawValue:)), page.next)
    }

    private func states(of messages: [Int64], in connection: Connection) throws -> [Int64: MessageState] {
        var deliveries: [Int64: [(state: DeliveryState, nextAttemptAt: Timestamp?)]] = [:]
        var scheduled: [Int64: Timestamp] = [:]
        let rows = try connection.run(
            "SELECT message, state, next_attempt_at, scheduled_at FROM delivery WHERE message = ANY ($1)", [messages])
        for index in 0..<rows.count {
            let row = rows[index]
            guard let message = row.integer(0), let state = row.text(1).flatMap(DeliveryState.init) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            deliveries[message, default: []].append((state, row.timestamp(2)))
            scheduled[message] = row.timestamp(3)
        }
        return Dictionary(
            uniqueKeysWithValues: messages.map {
                ($0, MessageState(of: deliveries[$0] ?? [], scheduledAt: scheduled[$0], at: now))
            })
    }
}
