import Foundation
import RelayCore
import SQLiteStore
import TestSupport
import Testing

@Suite struct KeyTests {
    @Test func storedKeyIsReadBackUnchanged() async throws {
        let fixture = try StoreFixture()
        let (secret, stored) = Sample.key(.live, name: "Shop “Ünï”") { key in
            key.scopes = Set(Scope.allCases)
            key.limits = SendingLimits(perSecond: 2.5, burst: 7, perDay: 100)
            key.domains = [DomainPattern(normalised: "example.com"), DomainPattern(normalised: "*.example.org")]
            key.networks = [try! NetworkBlock("192.0.2.0/24"), try! NetworkBlock("2001:db8::/32")]  // valid literals
            key.expiresAt = Sample.now + .seconds(86_400)
        }
        try await fixture.store.insertKey(stored)
        let found = try #require(try await fixture.store.storedKey(secret.id))
        #expect(found.key == stored.key)
        #expect(found.accepts(secret.digest, at: Sample.now))
        #expect(try await fixture.store.storedKey(Sample.key().secret.id) == nil)
    }

    @Test func theKeyItselfIsNowhereInTheFiles() async throws {
        let fixture = try StoreFixture()
        let (secret, stored) = Sample.key()
        try await fixture.store.insertKey(stored)
        for name in try FileManager.default.contentsOfDirectory(atPath: fixture.directory.path) {
            guard let data = FileManager.default.contents(atPath: fixture.directory.file(name)) else { continue }
            let hidden = String(secret.revealed.dropFirst(16))
            #expect(data.range(of: Data(hidden.utf8)) == nil, "in \(name)")
        }
    }

    @Test func rotationKeepsTheOldSecretForItsGrace() async throws {
        let fixture = try StoreFixture()
        let (old, stored) = Sample.key()
        try await fixture.store.insertKey(stored)
        var generator = SeededGenerator.next()
        let new = APIKey(rotating: old.id, .test, using: &generator)
        let end = Sample.now + .seconds(60)
        try await fixture.store.rotateKey(old.id, digest: new.digest, previousUntil: end)
        let found = try #require(try await fixture.store.storedKey(old.id))
        #expect(found.accepts(new.digest, at: Sample.now))
        #expect(found.accepts(old.digest, at: end - .milliseconds(1)))
        #expect(!found.accepts(old.digest, at: end))
        #expect(found.accepts(new.digest, at: end + .seconds(1)))
        let newest = APIKey(rotating: old.id, .test, using: &generator)
        try await fixture.store.rotateKey(old.id, digest: newest.digest, previousUntil: end)
        let again = try #require(try await fixture.store.storedKey(old.id))
        #expect(!again.accepts(old.digest, at: Sample.now))
        #expect(again.accepts(new.digest, at: Sample.now))
    }

    @Test func updateChangesRulesAndNothingElse() async throws {
        let fixture = try StoreFixture()
        let (secret, stored) = Sample.key()
        try await fixture.store.insertKey(stored)
        try await fixture.accept(secret.id)
        var key = stored.key
        key.name = "renamed"
        key.limits.perDay = 3
        try await fixture.store.updateKey(secret.id) {
            $0.name = "renamed"
            $0.limits.perDay = 3
        }
        let record = try #require(try await fixture.store.keyRecord(secret.id, now: Sample.now))
        #expect(record.key == key)
        #expect(record.usage.emailsTotal == 1)
        #expect(try await fixture.store.storedKey(secret.id)?.accepts(secret.digest, at: Sample.now) == true)
    }

    /// A change does not undo another change that is made at the same time.
    @Test func concurrentKeyChangesAllCount() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 0 }
        let tools = try (0..<2).map { _ in try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now) }
        try await withThrowingTaskGroup { group in
            for number in 0..<20 {
                group.addTask { try await tools[number % 2].updateKey(key) { $0.limits.perDay? += 1 } }
            }
            try await group.waitForAll()
        }
        #expect(try await fixture.store.storedKey(key)?.key.limits.perDay == 20)
    }

    @Test func changesOfUnknownKeysAreErrors() async throws {
        let fixture = try StoreFixture()
        let secret = Sample.key().secret
        let store = fixture.store
        await #expect(throws: StoreError.noSuchKey(secret.id)) { try await store.updateKey(secret.id) { _ in } }
        await #expect(throws: StoreError.noSuchKey(secret.id)) {
            try await store.rotateKey(secret.id, digest: secret.digest, previousUntil: Sample.now)
        }
        await #expect(throws: StoreError.noSuchKey(secret.id)) {
            try await store.revokeKey(secret.id, queued: .deliver, now: Sample.now)
        }
    }

    @Test func revokingTwiceKeepsTheFirstTime() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        try await fixture.store.revokeKey(key, queued: .deliver, now: Sample.now)
        try await fixture.store.revokeKey(key, queued: .drop, now: Sample.now + .seconds(9))
        #expect(try await fixture.store.storedKey(key)?.key.revokedAt == Sample.now)
        #expect(try await fixture.store.keyRecords(includingRevoked: false, now: Sample.now).isEmpty)
        #expect(try await fixture.store.keyRecords(includingRevoked: true, now: Sample.now).count == 1)
    }

    @Test func activityAddsUp() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let later = Sample.now + .seconds(5)
        try await fixture.store.record([
            key: KeyActivity(lastUsedAt: later, rateLimitHits: 2, authFailures: 1),
            Sample.key().secret.id: KeyActivity(authFailures: 9),
        ])
        try await fixture.store.record([key: KeyActivity(lastUsedAt: Sample.now, rateLimitHits: 1)])
        let usage = try #require(try await fixture.store.keyRecord(key, now: Sample.now)).usage
        #expect(usage == KeyUsage(lastUsedAt: later, rateLimitHits: 3, authFailures: 1))
    }

    @Test func onlyChangesByOthersMoveTheCounter() async throws {
        let fixture = try StoreFixture()
        let before = try await fixture.store.changeCounter()
        let key = try await fixture.key()
        #expect(try await fixture.store.changeCounter() == before)
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        try await tool.revokeKey(key, queued: .deliver, now: Sample.now)
        #expect(try await fixture.store.changeCounter() != before)
    }
}
