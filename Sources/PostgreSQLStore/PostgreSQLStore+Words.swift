import RelayCore
import Synchronization

extension PostgreSQLStore {
    public func indexWords() async throws -> Int {
        for _ in 0..<PostgreSQLStore.wordsTries {
            // Usually there are no new messages, and then nothing needs to be written.
            guard try await look({ try WordsRow.left(upTo: .max, in: $0) }) > 0 else { return 0 }
            let earlier = wordsEnd.withLock { $0 }
            let outcome = try await write { try WordsRow.bringIn(PostgreSQLStore.wordsBatch, earlier, in: $0) }
            switch outcome {
            case .elsewhere: return 0
            case .done(let left, let end):
                wordsEnd.withLock { $0 = end }
                return left
            case .tooEarly(let end):
                wordsEnd.withLock { $0 = end }
                try await Task.sleep(for: PostgreSQLStore.wordsPause)
            }
        }
        // An open transaction is taking long. Messages that can't be added now do not count as remaining work.
        return 0
    }

    /// The number of deliveries whose messages are added at a time.
    static let wordsBatch = 500

    /// How many times one call checks whether open transactions have ended. They usually end within a few milliseconds.
    private static let wordsTries = 20
    private static let wordsPause = Duration.milliseconds(25)
}

/// The row of the table `words_position`, and the work of adding messages to the index of words.
///
/// Acceptance does not write to the index. Messages are added later, in the order of their deliveries' ids, by one
/// relay at a time, and the row stores the position. Deliveries are not committed in the order of their ids: a lower
/// one may be committed later, and must not be before the position then. So the position only goes up to an ``End``.
enum WordsRow {
    /// The id of a delivery. All deliveries up to this id are committed once all transactions that are older than
    /// `transaction` have ended.
    ///
    /// A transaction that accepts mail locks its key before it takes ids for deliveries, so it has a transaction number
    /// by then. The transaction of the End looks for the newest delivery first, and gets its own number afterwards.
    /// That number is greater than those of all transactions that took lower ids.
    struct End: Sendable {
        var delivery: Int64
        var transaction: Int64
    }

    enum Outcome: Sendable {
        /// Another relay is adding messages at the moment.
        case elsewhere
        /// Open transactions may still commit lower ids.
        case tooEarly(End)
        /// How many deliveries are left that can be added, and an End for the next time.
        case done(left: Int, End)
    }

    /// How many deliveries are after the position, up to the delivery `end`. Those beyond a batch are not counted.
    static func left(upTo end: Int64, in connection: Connection) throws -> Int {
        Int(
            try connection.integer(
                """
                SELECT count(*) FROM (
                    SELECT 1 FROM delivery WHERE id > (SELECT delivery FROM words_position) AND id <= $1
                    LIMIT \(PostgreSQLStore.wordsBatch)) AS left_over
                """, [end]) ?? 0)
    }

    /// Adds the next messages, in the transaction that the connection has begun.
    ///
    /// - Parameter earlier: the End that an earlier call returned.
    static func bringIn(_ limit: Int, _ earlier: End?, in connection: Connection) throws -> Outcome {
        // These two statements must run in this order: see `End`.
        try connection.queue("SELECT max(id) FROM delivery")
        try connection.queue(
            """
            SELECT delivery, pg_current_xact_id()::text::bigint FROM words_position
            FOR UPDATE SKIP LOCKED
            """)
        try connection.queue("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        let results = try connection.results().suffix(3).map { $0 }
        guard let row = results[1].first, let position = row.integer(0), let own = row.integer(1) else {
            return .elsewhere
        }
        let newest = End(delivery: results[0].first?.integer(0) ?? 0, transaction: own)
        let oldestUnderWay = results[2].first?.integer(0) ?? 0
        func isReached(_ end: End) -> Bool { end.transaction <= oldestUnderWay }
        let end: Int64
        if isReached(newest) {
            end = newest.delivery
        } else if let earlier, isReached(earlier), earlier.delivery > position {
            end = earlier.delivery
        } else {
            // An earlier End that is still valid is kept: it is reached sooner.
            return .tooEarly(earlier.flatMap { $0.delivery > position && !isReached($0) ? $0 : nil } ?? newest)
        }
        guard let last = try bringIn(limit, after: position, upTo: end, in: connection) else {
            return .done(left: 0, newest)
        }
        try connection.queue("UPDATE words_position SET delivery = $1", [last])
        return .done(left: try left(upTo: end, in: connection), newest)
    }

    /// Returns the delivery that was examined last; nil if there was none.
    private static func bringIn(
        _ limit: Int, after position: Int64, upTo end: Int64, in connection: Connection
    ) throws -> Int64? {
        // A message is added as a whole, even if the batch ends within it. Existing rows stay as they are.
        let rows = try connection.run(
            """
            WITH next AS MATERIALIZED (
                SELECT id, message FROM delivery WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
            )
            SELECT message.id, message.subject, delivery.recipients, (SELECT max(id) FROM next)
            FROM (SELECT DISTINCT message AS id FROM next) AS wanted
            LEFT JOIN message ON message.id = wanted.id LEFT JOIN delivery ON delivery.message = message.id
            ORDER BY message.id, delivery.id
            """, [position, end, limit])
        guard let last = rows.first?.integer(3) else { return nil }
        var messages: [(id: Int64, subject: String?, recipients: [String])] = []
        for index in 0..<rows.count {
            let row = rows[index]
            guard let id = row.integer(0) else { continue }
            if messages.last?.id != id { messages.append((id, row.text(1), [])) }
            messages[messages.count - 1].recipients += RecipientList.recipients(row.text(2) ?? "")
        }
        try connection.queue(
            """
            INSERT INTO message_words (message, words)
            SELECT come.message, come.words::tsvector FROM unnest($1, $2) AS come (message, words)
            ON CONFLICT DO NOTHING
            """,
            [messages.map(\.id), messages.map { MessageWords.vector(recipients: $0.recipients, subject: $0.subject) }])
        return last
    }

    /// Keeps others from adding messages until the transaction ends. A transaction that deletes messages calls it, so
    /// that no deleted message is added to the index. Waits for a transaction that is adding messages.
    static func lock(in connection: Connection) throws {
        try connection.queue("SELECT 1 FROM words_position FOR UPDATE")
    }
}
