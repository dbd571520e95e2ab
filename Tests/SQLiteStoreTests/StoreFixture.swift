import Foundation
import GRDB
import RelayCore
import SQLiteStore
import TestSupport
import Testing

/// A store in a directory of its own, with a key and message ids.
final class StoreFixture {
    let directory: TemporaryDirectory
    let path: String
    let store: SQLiteStore
    private var ids = InstanceIDs(instance: 0)

    init(role: SQLiteStore.Role = .relay) throws {
        directory = try TemporaryDirectory()
        path = directory.file("relay.db")
        store = try SQLiteStore(path: path, role: role, now: Sample.now)
    }

    func id(at time: Timestamp = Sample.now) -> MessageID { ids.next(at: time) }

    func key(_ environment: Environment = .test, configure: (inout Key) -> Void = { _ in }) async throws -> KeyID {
        let (secret, stored) = Sample.key(environment, configure: configure)
        try await store.insertKey(stored)
        return secret.id
    }

    @discardableResult
    func accept(
        _ key: KeyID, recipients: [String] = ["to@example.net"], body: [UInt8] = Array("x\r\n".utf8),
        subject: String? = "Hello", at time: Timestamp = Sample.now
    ) async throws -> MessageID {
        let id = id(at: time)
        let outcomes = try await store.accept(
            [Sample.submission(id, key: key, recipients: recipients, body: body, subject: subject, at: time)], now: time
        )
        #expect(outcomes == [.accepted])
        return id
    }

    func claim(_ lane: Lane = .test, limit: Int = 100, at time: Timestamp = Sample.now) async throws
        -> [ClaimedDelivery]
    {
        try await store.claim(lane: lane, limit: limit, leaseUntil: time + .seconds(60), now: time)
    }

    func settle(
        _ deliveries: [ClaimedDelivery], _ result: Settlement.Result, reason: String? = nil,
        at time: Timestamp = Sample.now
    )
        async throws
    {
        try await store.settle(
            deliveries.map {
                Settlement(delivery: $0.id, result: result, reason: reason, startedAt: time, finishedAt: time)
            })
    }

    /// Performs the action as a command does. Returns how many deliveries changed.
    @discardableResult
    func perform(_ operatorAction: OperatorAction, _ filter: MessageFilter, at time: Timestamp = Sample.now)
        async throws -> Int
    {
        try await store.perform(operatorAction, all: filter, now: time)
    }

    /// The number of rows of a table, read through another connection.
    func count(_ table: String) throws -> Int {
        try DatabaseQueue(path: path).read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM \(table)") ?? -1 }
    }

    func message(_ id: MessageID) async throws -> MessageRecord {
        try #require(try await store.messages(MessageFilter(ids: [id])).first)
    }
}

func bytes(of body: any StoredBody) async throws -> [UInt8] {
    var all: [UInt8] = []
    while all.count < body.size {
        let piece = try await body.read(at: all.count, count: 1000)
        if piece.isEmpty { break }
        all += piece
    }
    return all
}
