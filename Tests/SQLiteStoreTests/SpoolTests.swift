import Foundation
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct SpoolTests {
    /// After a failed sync of the directory, the next sync would succeed although the earlier names are not on disk.
    @Test func fileIsNotFinishedAfterItsDirectoryFailedToSync() async throws {
        let directory = try TemporaryDirectory()
        let spool = try Spool(beside: directory.file("relay.db"))
        let first = try await spool.make("first")
        let second = try await spool.make("second")
        for file in [first, second] { try await file.append([1, 2, 3]) }
        // A directory that can't be opened can't be synced.
        let path = directory.file("relay.db.spool")
        try FileManager.default.moveItem(atPath: path, toPath: path + ".gone")
        await #expect(throws: StoreError.self) { try await first.finish() }
        try FileManager.default.moveItem(atPath: path + ".gone", toPath: path)
        await #expect(throws: StoreError.self) { try await second.finish() }
        let third = try await spool.make("third")
        try await third.append([4, 5])
        #expect(try await third.finish() == SpooledBody(name: "third", size: 2))
    }
}
