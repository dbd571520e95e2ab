import Foundation
import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct WordsTests {
    private func find(_ words: String, in fixture: StoreFixture) async throws -> [MessageID] {
        var filter = MessageFilter()
        filter.words = words
        return try await fixture.store.messages(filter).map(\.id)
    }

    private func position(in fixture: StoreFixture) throws -> Int {
        try DatabaseQueue(path: fixture.path).read {
            try Int.fetchOne($0, sql: "SELECT delivery FROM words_position") ?? -1
        }
    }

    /// Throws if the index does not contain exactly the words of its rows.
    private func checkIndex(of fixture: StoreFixture) async throws {
        try await fixture.store.write { database in
            try database.execute(sql: "INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)")
        }
    }

    @Test func acceptanceLeavesTheIndexAlone() async throws {
        let fixture = try StoreFixture()
        try await fixture.accept(try await fixture.key())
        #expect(try fixture.count("message_words") == 0)
        #expect(try position(in: fixture) == 0)
    }

    /// The indexes of words and of lists cost no additional page for a message that is sent, if its key was used
    /// earlier that day.
    @Test func searchIndexesAddNoPageWritesPerMessage() async throws {
        var pages: [Int] = []
        for isWithout in [false, true] {
            let fixture = try StoreFixture()
            let outside = try DatabaseQueue(path: fixture.path)
            if isWithout {
                try await outside.write { database in
                    for index in ["usage_by_day", "delivery_rare_of_all", "key_by_age"] {
                        try database.execute(sql: "DROP INDEX \(index)")
                    }
                }
            }
            let key = try await fixture.key(.live)
            try await fixture.accept(key)
            try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "1"))
            try await outside.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
            try await fixture.accept(key)
            try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "2"))
            let log = try FileManager.default.attributesOfItem(atPath: fixture.path + "-wal")[.size] as? Int
            // The log has a header of 32 octets, and each page in it has a header of 24.
            pages.append((try #require(log) - 32) / (24 + SQLiteStore.pageSize))
        }
        #expect(pages[0] > 0 && pages[0] == pages[1])
    }

    @Test func indexingCallIsBounded() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let count = 2 * SQLiteStore.wordsBatch + 3
        var batch: [Submission] = []
        for _ in 0..<count { batch.append(Sample.submission(fixture.id(), key: key)) }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        for (left, indexed) in [
            (SQLiteStore.wordsBatch, SQLiteStore.wordsBatch), (3, 2 * SQLiteStore.wordsBatch), (0, count), (0, count),
        ] {
            #expect(try await fixture.store.indexWords() == left)
            #expect(try fixture.count("message_words") == indexed)
        }
        try await checkIndex(of: fixture)
    }

    @Test(arguments: 1...4) func messageIsIndexedAsAWhole(_ limit: Int) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let large = try await fixture.accept(key, recipients: Sample.recipients(120), subject: "large")
        let small = try await fixture.accept(key, recipients: ["r119@example.net"], subject: "small")
        try await fixture.store.write { try MessageWords.bringIn(limit, in: $0) }
        #expect(try await find("r119", in: fixture) == (limit < 4 ? [large] : [small, large]))
        #expect(try position(in: fixture) == max(3, limit))
        try await fixture.store.write { try MessageWords.bringIn(limit, in: $0) }
        #expect(try await find("r119", in: fixture) == [small, large])
        #expect(try await find("r0 large", in: fixture) == [large])
        try await checkIndex(of: fixture)
    }

    @Test func messageIsIndexedOnlyOnce() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let first = try await fixture.accept(key, subject: "first")
        #expect(try await fixture.store.indexWords() == 0)
        let second = try await fixture.accept(key, subject: "second")
        try await fixture.store.write { try $0.execute(sql: "UPDATE words_position SET delivery = 0") }
        #expect(try await fixture.store.indexWords() == 0)
        #expect(try fixture.count("message_words") == 2)
        #expect(try await find("example", in: fixture) == [second, first])
        try await checkIndex(of: fixture)
    }

    /// If the newest deliveries were pruned, their ids are used again.
    @Test func indexPositionFollowsPruning() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let kept = try await fixture.accept(key)
        #expect(try await fixture.perform(.hold, MessageFilter(ids: [kept])) == 1)
        for _ in 0..<3 { try await fixture.accept(key, recipients: ["gone@example.net"]) }
        #expect(try await fixture.store.indexWords() == 0)
        #expect(try position(in: fixture) == 4)
        try await fixture.settle(try await fixture.claim(), .failed, reason: "no")
        let late = Sample.now + .seconds(100)
        #expect(try await fixture.store.prune(Retention(failed: .seconds(1)), now: late) == false)
        #expect(try position(in: fixture) == 1)
        #expect(try fixture.count("message_words") == 1)
        try await checkIndex(of: fixture)
        let next = try await fixture.accept(key, recipients: ["next@example.net"])
        #expect(try await fixture.store.indexWords() == 0)
        #expect(try await find("next", in: fixture) == [next])
        #expect(try await find("gone", in: fixture).isEmpty)
        // A message that was never added to the index does not change the position when it is pruned.
        try await fixture.accept(key, recipients: ["unseen@example.net"])
        try await fixture.settle(try await fixture.claim(), .failed, reason: "no")
        #expect(try await fixture.store.prune(Retention(failed: .seconds(1)), now: late) == false)
        #expect(try position(in: fixture) == 1)
        #expect(try await fixture.store.indexWords() == 0)
        #expect(try await find("example", in: fixture) == [kept])
        try await checkIndex(of: fixture)
    }

    /// The record of a suppressed recipient stays with the delivery, so a search finds it.
    @Test func aSuppressedRecipientIsFound() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(
            try await fixture.key(.live), recipients: ["blocked@example.net", "to@example.net"])
        _ = try await fixture.store.add([
            Suppression(environment: .live, address: "blocked@example.net", reason: .manual, createdAt: Sample.now)
        ])
        #expect(try await fixture.claim(.live).map(\.envelope.recipients) == [["to@example.net"]])
        #expect(try await fixture.store.indexWords() == 0)
        #expect(try await find("blocked@example.net", in: fixture) == [id])
    }

    /// If no message has arrived, nothing is written, so the caller does not wait for other writers.
    @Test func indexingWithoutNewMessagesWritesNothing() async throws {
        let fixture = try StoreFixture()
        let reader = try SQLiteStore(examining: fixture.path)
        #expect(try await reader.indexWords() == 0)
        try await fixture.accept(try await fixture.key())
        await #expect(throws: StoreError.self) { try await reader.indexWords() }
    }

    @Test func withoutFTS5TheDatabaseIsNotOpened() throws {
        try DatabaseQueue().read { database in
            try Schema.requireModule("fts5", in: database)
            let error = try #require(throws: StoreError.self) { try Schema.requireModule("fts99", in: database) }
            #expect("\(error)".contains("SQLite") && "\(error)".contains("FTS99"))
        }
    }

    @Test(
        arguments: [
            ("anna", "\"anna\""), (" anna  lee ", "\"anna\" \"lee\""), ("a\"b", "\"a\"\"b\""),
            ("a\"\u{301}", "\"a\"\"\u{301}\""), ("a\u{0}b", "\"a\" \"b\""), ("- a *", "\"a\""),
            ("x\u{A0}y", "\"x\" \"y\""), ("ann* lee", "\"ann*\"* \"lee\""), ("an*", "\"an*\""),
            ("a@ann*", "\"a@ann*\"*"),
            ("a.b*", "\"a.b*\""), ("ann**", "\"ann**\""),
            ("aaa* bbb* ccc*", "\"aaa*\"* \"bbb*\"* \"ccc*\""),
            ("", nil), ("\"* -", nil),
        ] as [(String, String?)])
    func wordsBecomePhrases(_ words: String, _ query: String?) {
        #expect(MessageWords.query(words) == query)
    }

    @Test func aQueryIsBounded() throws {
        let many = try #require(MessageWords.query(String(repeating: "w ", count: 1000)))
        #expect(many.split(separator: " ").count == 20)
        let long = try #require(MessageWords.query(String(repeating: "w", count: 1000)))
        #expect(long.unicodeScalars.count == 202)
    }
}
