import RelayCore
import Synchronization

extension PostgreSQLStore {
    public func indexWords() async throws -> Int {
        for _ in 0..<PostgreSQLStore.wordsTries {
            // Mostly nothing has come, and then nothing is to be written.
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
        // Somebody's transaction takes long. What can't be brought in now is no work that is left.
        return 0
    }

    /// Deliveries whose messages are brought in at a time.
    static let wordsBatch = 500

    /// How often it is looked whether transactions under way have ended, which mostly takes a few milliseconds.
    private static let wordsTries = 20
    private static let wordsPause = Duration.milliseconds(25)
}

/// The row of the table `words_position`, and what is brought into the index of words by it.
///
/// Acceptance leaves the index alone. Messages are brought in later, in the order of their deliveries' ids, by one relay at a time, and the
/// row tells how far. Deliveries are not committed in the order of their ids: a lower one may come later, and must not come to lie behind
/// the position. So it only goes up to an ``End``.
enum WordsRow {
    /// A delivery's id, up to which every delivery is there once all transactions have ended that are older than this one.
    ///
    /// Who accepts mail locks its key before it takes ids for deliveries, so has a number of transaction by then. The transaction of the End
    /// has looked for the newest delivery, and gets its own number afterwards, greater than that of all who took lower ids.
    struct End: Sendable {
        var delivery: Int64
        var transaction: Int64
    }

    enum Outcome: Sendable {
        /// Another relay does it just now.
        case elsewhere
        /// Transactions are under way that may bring lower ids.
        case tooEarly(End)
        /// How many are left that can be brought in; and an End for the next time.
        case done(left: Int, End)
    }

    /// How many deliveries stand behind the position, up to this one; those beyond a batch are not counted.
    static func left(upTo end: Int64, in connection: Connection) throws -> Int {
        Int(
            try connection.integer(
                """
                SELECT count(*) FROM (
                    SELECT 1 FROM delivery WHERE id > (SELECT delivery FROM words_position) AND id <= $1
                    LIMIT \(PostgreSQLStore.wordsBatch)) AS left_over
                """, [end]) ?? 0)
    }

    /// Brings the next in, in the transaction that the connection has begun.
    ///
    /// - Parameter earlier: the End that an earlier call gave.
    static func bringIn(_ limit: Int, _ earlier: End?, in connection: Connection) throws -> Outcome {
        // In this order: see End.
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
            // An earlier one that counts is kept: it is reached sooner.
            return .tooEarly(earlier.flatMap { $0.delivery > position && !isReached($0) ? $0 : nil } ?? newest)
        }
        guard let last = try bringIn(limit, after: position, upTo: end, in: connection) else {
            return .done(left: 0, newest)
        }
        try connection.queue("UPDATE words_position SET delivery = $1", [last])
        return .done(left: try left(upTo: end, in: connection), newest)
    }

    /// Returns the delivery that was looked at last; nil: there was none.
    private static func bringIn(
        _ limit: Int, after position: Int64, upTo end: Int64, in connection: Connection
    ) throws -> Int64? {
        // A message is taken as a whole, also where the batch ends within it. Those that are there already stay as they are.
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

    /// Keeps others from bringing messages in until the transaction ends: by who removes messages, so that none comes into the index that
    /// is gone. Waits for who is at it.
    static func lock(in connection: Connection) throws {
        try connection.queue("SELECT 1 FROM words_position FOR UPDATE")
    }
}
