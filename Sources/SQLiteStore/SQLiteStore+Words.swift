import GRDB
import RelayCore

extension SQLiteStore {
    public func indexWords() async throws -> Int {
        // Mostly nothing has come, and then nothing is to be written.
        guard try await read({ try MessageWords.left(in: $0) }) > 0 else { return 0 }
        return try await write { database in
            try MessageWords.bringIn(SQLiteStore.wordsBatch, in: database)
            return try MessageWords.left(in: database)
        }
    }

    /// Deliveries whose messages are brought in at a time, but for the rest of the last message. Acceptance waits meanwhile.
    static let wordsBatch = 500
}

/// The table `message_words`, which the search for words stands on.
///
/// Acceptance leaves it alone; messages are brought in later, in the order of their deliveries' ids. All deliveries of a message are
/// inserted together, so the position stands behind all of a message or before.
enum MessageWords {
    /// How many deliveries stand behind the position; those beyond a batch are not counted.
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
        // What is there already stays as it is. FTS5 does not know OR IGNORE.
        let insert = try DirectStatement(
            database,
            """
            INSERT INTO message_words (rowid, recipients, subject)
            SELECT id, ?2, subject FROM message
            WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message_words WHERE rowid = ?1)
            """)
        // In the order of the ids FTS5 gathers them into one piece.
        for (message, parts) in recipients.sorted(by: { $0.key < $1.key }) {
            insert.bind(message, at: 1)
            insert.bind(RecipientList.text(parts), at: 2)
            try insert.run()
        }
        try database.execute(sql: "UPDATE words_position SET delivery = ?", arguments: [last?.delivery])
    }

    /// The recipients of the next messages, and the delivery that was looked at last.
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

    /// Removes messages, whose ids `list` names, and whose deliveries are gone.
    static func remove(_ list: String, in database: Database) throws {
        // Ids of deliveries are given again where the newest were removed: what comes then must stand behind the position.
        try database.execute(
            sql: """
                DELETE FROM message_words WHERE rowid IN (\(list));
                UPDATE words_position SET delivery = COALESCE((SELECT MAX(id) FROM delivery), 0)
                WHERE delivery > COALESCE((SELECT MAX(id) FROM delivery), 0);
                """)
    }

    // MARK: Queries

    /// What FTS5 is asked for the words that somebody looks for (``WordSearch``). Nil where there is no letter and no digit.
    ///
    /// In quotes nothing has a meaning of its own, but for the quote and NUL.
    static func query(_ words: String) -> String? {
        WordSearch(words)?.pieces.map { piece in
            // By scalars: to Swift a quote and an accent behind it are one character, which is no quote.
            let quoted = piece.text.unicodeScalars.flatMap { $0 == "\"" ? [$0, $0] : [$0] }
            return "\"" + String(String.UnicodeScalarView(quoted)) + "\"" + (piece.isBeginning ? "*" : "")
        }.joined(separator: " ")
    }

    /// Whether words with a common beginning are looked for, which FTS5 gathers in memory: 20 MB where all of a million messages have one.
    static func needsMuchMemory(_ words: String?) -> Bool {
        words.flatMap(WordSearch.init)?.pieces.contains(where: \.isBeginning) == true
    }
}
