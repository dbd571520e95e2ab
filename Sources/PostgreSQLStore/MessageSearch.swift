import RelayCore

/// The ids of the messages that a filter asks for, newest first, a page at a time.
///
/// A table of a million messages must not be gone through for the ten that a key asks for. So the search begins in the index that
/// leaves the fewest: the words, then the deliveries in a state that is rare, then a tag, then the key. Each is in the order of the
/// ids, or short enough to be sorted. A page is a number of messages that are looked at, however few of them satisfy the filter.
struct MessageSearch {
    struct Page {
        var ids: [Int64]
        /// How many were looked at.
        var looked: Int
        /// Where the next page begins; nil when this is the last one.
        var next: Int64?

        static let none = Page(ids: [], looked: 0, next: nil)
    }

    /// Messages that are looked at in one snapshot at most, unless words are looked for.
    static let largestPage = 500

    /// Before the first message is found, the index of words may gather all that have one of them: so each page is a large one. PostgreSQL
    /// also takes that index only where it expects fewer: for a small page it would go through all messages for a rare word.
    static let pageOfWords = 2000

    /// Deliveries of all keys in a state that are worth being sorted by message at most.
    static let mostSorted = 2000

    /// Finds the messages of a page, and whether each satisfies what SQL can tell. Some of them may be in another state than the filter's: that is
    /// told from all their deliveries.
    private let statement: SearchStatement
    /// The same where few deliveries of all keys are queued, or sending: it begins with those.
    private let statementForFew: (count: String, statement: SearchStatement)?
    let filter: MessageFilter
    let now: Timestamp
    private let pageSize: Int
    private let findsNothing: Bool

    /// - Parameter condition: what a delivery of the message must satisfy besides.
    init(_ filter: MessageFilter, now: Timestamp, alsoRequiring condition: String? = nil) {
        self.filter = filter
        self.now = now
        let words = filter.words.map(MessageWords.query)
        findsNothing = words == .some(nil)
        let search = SearchStatement.Search(filter: filter, words: words ?? nil, now: now, condition: condition)
        let driver = SearchDriver(filter)
        statement = SearchStatement(search, driver)
        // Where more is asked, not all of a page will be left. One more than asked for tells whether there are more.
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

    /// The messages below the id `before`. To be called within a snapshot.
    func page(before: Int64, in connection: Connection) throws -> Page {
        if findsNothing { return .none }
        // How many rows there are with a word or a key can only be told of the word or key itself.
        try connection.queue("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
        let statement = try statement(in: connection)
        let rows = try connection.rows(statement.sql, statement.parameters(page: pageSize, before: before)) {
            (id: $0.integer(0) ?? 0, holds: $0.boolean(1) ?? false)
        }
        // No ORDER BY says that they stay in their order.
        let looked = rows.sorted { $0.id > $1.id }
        return Page(
            ids: looked.filter(\.holds).map(\.id), looked: looked.count,
            next: looked.count == pageSize ? looked.last?.id : nil)
    }

    /// What SQL does not tell.
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

// MARK: Steering

extension MessageSearch {
    /// A page of those that are to be steered: in the filter's state exactly, and with their bytes, where these are needed.
    func steerable(
        _ needsBody: Bool, before: Int64, in connection: Connection
    ) throws -> (messages: [MessageID], next: Int64?) {
        let page = try page(before: before, in: connection)
        var ids = page.ids
        if needsBody, !ids.isEmpty {
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
