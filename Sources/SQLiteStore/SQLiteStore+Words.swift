import GRDB
import RelayCore

extension SQLiteStore {
    public func indexWords() async throws -> Int {
        // Usually there are no new messages, and then nothing needs to be written.
        guard try await read({ try MessageWords.left(in: $0) }) > 0 else { return 0 }
        return try await write { database in
            try MessageWords.bringIn(SQLiteStore.wordsBatch, in: database)
            return try MessageWords.left(in: database)
        }
    }

    /// The number of deliveries whose messages are added in one transaction. The remaining deliveries of the last
    /// message are added with them. Acceptance waits in the meantime.
    static let wordsBatch = 500
}

/// The table `message_words`, in which words are searched.
///
/// Acceptance does not write to it. Messages are added later, in the order of their deliveries' ids. All deliveries of
/// a message are inserted together, so the position is never in the middle of a message.
enum MessageWords {
    /// How many deliveries are after the position. Those beyond a batch are not counted.
    static func left(in database: Database) throws -> Int {
        try Int.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT COUNT(*) FROM (
                        SELECT 1 FROM delivery WHERE id > (SELECT delivery FROM words_position) LIMIT \(SQLiteStore.wordsBatch))
                    """)) ?? 0
    }

    static func bringIn(_ limit: Int, in database: Database) throws {
        var (recipients, last) = try next(limit, in: database)
        guard let end = last else { return }
        // The batch may have ended within the last message.
        let rest = try DirectStatement(
            database, "SELECT id, recipients FROM delivery WHERE message = ? AND id > ? ORDER BY id")
        rest.bind(end.message, at: 1)
        rest.bind(end.delivery, at: 2)
        for (id, part) in try rest.rows({ ($0.integer(0) ?? 0, $0.text(1) ?? "") }) {
            recipients[end.message, default: []].append(part)
            last?.delivery = id
        }
        // An existing row stays as it is. FTS5 does not support OR IGNORE.
        let insert = try DirectStatement(
            database,
            """
            INSERT INTO message_words (rowid, recipients, subject)
            SELECT id, ?2, subject FROM message
            WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message_words WHERE rowid = ?1)
            """)
        // If messages are inserted in the order of their ids, FTS5 collects them into one piece.
        for (message, parts) in recipients.sorted(by: { $0.key < $1.key }) {
            insert.bind(message, at: 1)
            insert.bind(RecipientList.text(parts), at: 2)
            try insert.run()
        }
        try database.execute(sql: "UPDATE words_position SET delivery = ?", arguments: [last?.delivery])
    }

    /// The recipients of the next messages, and the delivery that was examined last.
    private static func next(
        _ limit: Int, in database: Database
    ) throws -> (recipients: [Int64: [String]], last: (message: Int64, delivery: Int64)?) {
        let deliveries = try DirectStatement(
            database,
            """
            SELECT id, message, recipients FROM delivery
            WHERE id > (SELECT delivery FROM words_position) ORDER BY id LIMIT ?
            """)
        deliveries.bind(Int64(limit), at: 1)
        var recipients: [Int64: [String]] = [:]
        var last: (message: Int64, delivery: Int64)?
        for (id, message, part) in try deliveries.rows({ ($0.integer(0) ?? 0, $0.integer(1) ?? 0, $0.text(2) ?? "") }) {
            recipients[message, default: []].append(part)
            last = (message, id)
        }
        return (recipients, last)
    }

    /// Deletes messages whose deliveries are gone. `list`: the messages' ids, separated by commas.
    static func remove(_ list: String, in database: Database) throws {
        // After the newest deliveries were deleted, SQLite reuses their ids. The position is lowered, because new
        // deliveries must be after it.
        try database.execute(
            sql: """
                DELETE FROM message_words WHERE rowid IN (\(list));
                UPDATE words_position SET delivery = COALESCE((SELECT MAX(id) FROM delivery), 0)
                WHERE delivery > COALESCE((SELECT MAX(id) FROM delivery), 0);
                """)
    }

    // MARK: Queries

    /// The FTS5 query for the words of a search (``WordSearch``). Nil if there is no letter and no digit.
    ///
    /// Within quotes only the quote and NUL have a special meaning.
    static func query(_ words: String) -> String? {
        WordSearch(words)?.pieces.map { piece in
            // By scalars: Swift treats a quote followed by an accent as one character, which is not equal to a quote.
            let quoted = piece.text.unicodeScalars.flatMap { $0 == "\"" ? [$0, $0] : [$0] }
            return "\"" + String(String.UnicodeScalarView(quoted)) + "\"" + (piece.isBeginning ? "*" : "")
        }.joined(separator: " ")
    }

    /// Whether the search has a beginning of words, for which FTS5 collects all matching words in memory: 20 MB if each
    /// of a million messages has one.
    static func needsMuchMemory(_ words: String?) -> Bool {
        words.flatMap(WordSearch.init)?.pieces.contains(where: \.isBeginning) == true
    }
}
