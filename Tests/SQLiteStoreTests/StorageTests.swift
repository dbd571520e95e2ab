import Foundation
import GRDB
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct StorageTests {
    /// A store on a disk with `free` octets of free space.
    private func store(_ path: String, _ policy: StoragePolicy, free: Int?) throws -> SQLiteStore {
        try SQLiteStore(
            path: path, role: .relay, now: Sample.now, storage: policy, freeSpace: { free })
    }

    private func bytesKept(_ fixture: StoreFixture) throws -> (counted: Int, kept: Int) {
        try DatabaseQueue(path: fixture.path).read { database in
            let counted = try Int.fetchOne(database, sql: "SELECT bytes FROM simulated_bodies") ?? -1
            let kept =
                try Int.fetchOne(
                    database,
                    sql: "SELECT COALESCE(SUM(size), 0) FROM message WHERE lane = 'test' AND \(RecordRow.hasBody)")
                ?? -1
            return (counted + fixture.store.uncountedBodies.load(ordering: .relaxed), kept)
        }
    }

    @Test func lowSpaceRefusesTestKeysBeforeLiveKeys() async throws {
        let directory = try TemporaryDirectory()
        let store = try store(
            directory.file("relay.db"), StoragePolicy(reserve: 1 << 20, reserveTest: 1 << 21), free: 1 << 20)
        var ids = InstanceIDs(instance: 0)
        let (test, live) = (Sample.key(.test), Sample.key(.live))
        for key in [test, live] { try await store.insertKey(key.stored) }
        let large = [UInt8](repeating: 65, count: StoragePolicy.smallMessage + 1)
        let batch = [
            Sample.submission(ids.next(at: Sample.now), key: test.secret.id),
            Sample.submission(ids.next(at: Sample.now), key: live.secret.id),
            Sample.submission(ids.next(at: Sample.now), key: live.secret.id, body: large),
        ]
        let reasons = try await store.accept(batch, now: Sample.now).map { outcome -> RefusalReason? in
            if case .refused(let refusal) = outcome { refusal.reason } else { nil }
        }
        #expect(reasons == [.storage, nil, .storage])
        // The early answer gives the same results.
        #expect(store.refusalOfSpace(for: .test, size: 0)?.reason == .storage)
        #expect(store.refusalOfSpace(for: .live, size: 0) == nil)
        #expect(store.refusalOfSpace(for: .live, size: large.count)?.reason == .storage)
        // The early answer changes with the settings.
        store.storage = .unlimited
        #expect(store.refusalOfSpace(for: .test, size: 0) == nil)
        #expect(try await store.accept([batch[0]], now: Sample.now) == [.accepted])
    }

    @Test func spooledBodyRefusedForSpaceIsRemoved() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let store = try store(path, StoragePolicy(reserve: 1, reserveTest: 1), free: 0)
        let key = Sample.key()
        try await store.insertKey(key.stored)
        var ids = InstanceIDs(instance: 0)
        let id = ids.next(at: Sample.now)
        let file = try await store.makeSpoolFile(for: id)
        try await file.append([1])
        var submission = Sample.submission(id, key: key.secret.id)
        submission.body = .spooled(try await file.finish())
        guard case .refused(let refusal) = try await store.accept([submission], now: Sample.now)[0] else {
            Issue.record("the message was accepted without free space")
            return
        }
        #expect(refusal.reason == .storage)
        // The file is deleted on the spool's queue. The barrier waits for that.
        store.spool.queue.sync(flags: .barrier) {}
        #expect(try store.spool.names().isEmpty)
    }

    @Test func freeSpaceIsAskedForOnceASecondAtMost() {
        let asked = Mutex(0)
        let space = FreeSpace {
            asked.withLock { count in
                count += 1
                return count
            }
        }
        let first = space.free()
        // The second answer is the first one again, unless the computer paused for a second in between.
        let again = space.free()
        #expect(first == 1 && again == asked.withLock { $0 })
        #expect(FreeSpace.octets(at: "/").map { $0 >= 0 } == true)
        #expect(FreeSpace.octets(at: "/nowhere/at/all") == nil)
    }

    /// Each body has 1,000 octets, and three bodies may stay.
    @Test func theOldestSimulatedBodiesGoFirst() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = nil }
        let body = [UInt8](repeating: 65, count: 1000)
        var sent: [MessageID] = []
        for second in 0..<6 {
            let time = Sample.now + .seconds(second)
            sent.append(try await fixture.accept(key, body: body, at: time))
            try await fixture.settle(try await fixture.claim(at: time), .simulated(sesMessageID: "1"), at: time)
        }
        #expect(try bytesKept(fixture) == (6000, 6000))
        let later = Sample.now + .seconds(60)
        fixture.store.storage.simulatedSize = 3000
        while try await fixture.store.prune(Retention(), now: later) {}
        #expect(try bytesKept(fixture) == (3000, 3000))
        var kept: [Bool] = []
        for id in sent { kept.append(try await fixture.message(id).hasBody) }
        #expect(kept == [false, false, false, true, true, true])
        // The records of the messages stay, and the error says that the body was deleted.
        await #expect(throws: StoreError.bodyGone(sent[0])) { try await fixture.store.body(of: sent[0]) }
        // The next calls continue where the last ones stopped.
        fixture.store.storage.simulatedSize = 1000
        while try await fixture.store.prune(Retention(), now: later) {}
        #expect(try bytesKept(fixture) == (1000, 1000))
        // Bodies that are deleted because of their age are no longer counted either.
        while try await fixture.store.prune(Retention(), now: later + .seconds(30 * 86_400)) {}
        #expect(try bytesKept(fixture) == (0, 0))
        #expect(try fixture.count("message") == 0)
    }

    @Test func bodiesOfLiveAndUnfinishedMailAreKept() async throws {
        let fixture = try StoreFixture()
        let (test, live) = (try await fixture.key(), try await fixture.key(.live))
        let body = [UInt8](repeating: 65, count: 1000)
        let failed = try await fixture.accept(live, body: body)
        try await fixture.settle(try await fixture.claim(.live), .failed, reason: "no")
        let dropped = try await fixture.accept(test, body: body)
        #expect(try await fixture.perform(.drop, MessageFilter(ids: [dropped])) == 1)
        // The message has two deliveries, and one of them has ended.
        let halfway = try await fixture.accept(test, recipients: Sample.recipients(51), body: body)
        try await fixture.settle(try await fixture.claim(limit: 1), .simulated(sesMessageID: "1"))
        fixture.store.storage.simulatedSize = 0
        while try await fixture.store.prune(Retention(), now: Sample.now) {}
        #expect(try await fixture.message(failed).hasBody)
        #expect(try await !fixture.message(dropped).hasBody)
        #expect(try await fixture.message(halfway).hasBody)
        #expect(try bytesKept(fixture) == (1000, 1000))
        // After both deliveries have ended, the body is deleted too.
        let later = Sample.now + .seconds(1)
        try await fixture.settle(try await fixture.claim(at: later), .simulated(sesMessageID: "2"), at: later)
        while try await fixture.store.prune(Retention(), now: later) {}
        #expect(try bytesKept(fixture) == (0, 0))
    }

    /// If the clock was ahead, the position that the deletion has reached is later than the messages that end now.
    @Test func clockAheadDoesNotStopBodyRemoval() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let ahead = Sample.now + .seconds(86_400)
        fixture.store.storage.simulatedSize = 0
        for time in [ahead, Sample.now] {
            try await fixture.accept(key, at: time)
            try await fixture.settle(try await fixture.claim(at: time), .simulated(sesMessageID: "1"), at: time)
            while try await fixture.store.prune(Retention(), now: time) {}
            #expect(try bytesKept(fixture) == (0, 0))
        }
    }

    /// Nothing calls `prune` here. The store itself deletes bodies if messages arrive too fast.
    @Test func simulatedBodiesAreBoundedWithoutPruning() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = nil }
        fixture.store.storage.simulatedSize = 10_000
        for second in 0..<50 {
            let time = Sample.now + .seconds(second)
            try await fixture.accept(key, body: [UInt8](repeating: 65, count: 1000), at: time)
            try await fixture.settle(try await fixture.claim(at: time), .simulated(sesMessageID: "1"), at: time)
        }
        // This waits until the deletion in the background has finished.
        while fixture.store.simulatedDropper.load(ordering: .acquiring) != SimulatedDropper.idle.rawValue {
            await Task.yield()
        }
        let (counted, kept) = try bytesKept(fixture)
        #expect(counted == kept && kept <= 10_000)
    }

    @Test func bodiesAndPausesOfVersion2AreCounted() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(2)))
        try await pool.write { database in
            for (id, lane, hasBody) in [(1, "test", true), (2, "test", false), (3, "live", true)] {
                try database.execute(
                    sql: "INSERT INTO message (id, key, lane, size, accepted_at) VALUES (?, 'AbCd0123', ?, 7, 0)",
                    arguments: [id, lane])
                if hasBody { try database.execute(sql: "INSERT INTO body VALUES (?, x'00')", arguments: [id]) }
            }
            for (id, endedAt) in [(1, nil), (2, 5)] as [(Int, Int?)] {
                try database.execute(
                    sql: """
                        INSERT INTO delivery (id, message, key, lane, recipients, state, attempts, next_attempt_at,
                            queued_since, ended_at) VALUES (?, 1, 'AbCd0123', 'test', 'a', 'queued', 4, 0, 0, ?)
                        """, arguments: [id, endedAt])
            }
        }
        try pool.close()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let (bytes, pauses) = try await store.read { database in
            (
                try Int.fetchOne(database, sql: "SELECT bytes FROM simulated_bodies"),
                try Int.fetchAll(database, sql: "SELECT pauses FROM delivery ORDER BY id")
            )
        }
        #expect(bytes == 7)
        #expect(pauses == [4, 0])
    }

    /// The length of a pause depends on the attempts that lengthen it since an operator last retried the delivery.
    @Test func pausesAreCountedApartFromAttempts() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        try await fixture.accept(key)
        func attempt(_ result: Settlement.Result, lengthens: Bool = true) async throws -> [Int] {
            let claimed = try await fixture.claim(.live)
            try await fixture.store.settle(
                claimed.map {
                    Settlement(
                        delivery: $0.id, result: result, startedAt: Sample.now, finishedAt: Sample.now,
                        lengthensPause: lengthens)
                })
            return claimed.flatMap { [$0.attempts, $0.pauses] }
        }
        #expect(try await attempt(.retry(at: Sample.now)) == [0, 0])
        #expect(try await attempt(.retry(at: Sample.now), lengthens: false) == [1, 1])
        #expect(try await attempt(.released) == [2, 1])
        #expect(try await attempt(.failed) == [2, 1])
        #expect(try await fixture.perform(.retry(dropped: false), MessageFilter(key: key)) == 1)
        #expect(try await attempt(.retry(at: Sample.now)) == [3, 0])
        #expect(try await attempt(.retry(at: Sample.now)) == [4, 1])
    }
}
