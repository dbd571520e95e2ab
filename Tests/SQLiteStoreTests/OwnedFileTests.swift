import Foundation
import Glibc
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

/// Commands that root runs work in a directory that belongs to the relay's user. This user could have prepared links or
/// other files there to misuse root's rights.
@Suite(.enabled(if: geteuid() == 0, "only root can give files away"))
struct OwnedFileTests {
    private static let relay: uid_t = 12345
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        #expect(chown(directory.path, Self.relay, Self.relay) == 0)
    }

    private func owner(_ path: String) -> uid_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_uid : nil
    }

    @Test func filesCreatedByRootBelongToTheRelaysUser() throws {
        let path = directory.file("relay.db")
        let store = try SQLiteStore(path: path, role: .tool, now: Sample.now)
        for suffix in ["", "-wal", "-shm", ".instances", ".spool"] { #expect(owner(path + suffix) == Self.relay) }
        try store.close()
    }

    @Test(arguments: ["relay.db", "relay.db.instances"])
    func ownershipOfALinkedFileIsNotChanged(_ name: String) throws {
        let roots = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: roots.file("secret")))
        #expect(symlink(roots.file("secret"), directory.file(name)) == 0)
        _ = try? SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        #expect(owner(roots.file("secret")) == 0)
    }

    @Test func ownershipOfALinkedDirectoryIsNotChanged() throws {
        let roots = try TemporaryDirectory()
        #expect(symlink(roots.path, directory.file("relay.db.spool")) == 0)
        _ = try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        #expect(owner(roots.path) == 0)
    }

    @Test(arguments: ["relay.db", "relay.db.instances", "relay.db.spool"])
    func symlinkOwnedByAnotherUserIsNotFollowed(_ name: String) throws {
        let roots = try TemporaryDirectory()
        let target = roots.file("target")
        #expect(
            name.hasSuffix("spool")
                ? mkdir(target, 0o700) == 0 : FileManager.default.createFile(atPath: target, contents: nil))
        #expect(symlink(target, directory.file(name)) == 0)
        #expect(lchown(directory.file(name), 23456, 23456) == 0)
        let error = #expect(throws: StoreError.self) {
            try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        }
        let text = error.map { "\($0)" }
        #expect(text.mentions("link", "23456"))
    }

    /// In a directory such as /tmp, other users can create the file before the relay's first start.
    @Test func fileOwnedByAnotherUserIsRejected() throws {
        #expect(chown(directory.path, 0, 0) == 0)
        let path = directory.file("relay.db")
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(chown(path, 23456, 23456) == 0)
        let error = #expect(throws: StoreError.self) { try SQLiteStore(path: path, role: .tool, now: Sample.now) }
        let text = error.map { "\($0)" }
        #expect(text.mentions(path, "23456", "owner"))
    }

    @Test func symlinkMadeByTheRelaysUserIsFollowed() throws {
        let disk = try TemporaryDirectory()
        #expect(symlink(disk.file("relay.db"), directory.file("relay.db")) == 0)
        #expect(FileManager.default.createFile(atPath: disk.file("relay.db"), contents: nil))
        let store = try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        try store.close()
    }

    @Test func pipeInPlaceOfTheDatabaseDoesNotBlock() throws {
        let path = directory.file("relay.db")
        #expect(mkfifo(path, 0o600) == 0)
        let error = #expect(throws: StoreError.self) { try SQLiteStore(path: path, role: .tool, now: Sample.now) }
        let text = error.map { "\($0)" }
        #expect(text.mentions(path, "regular"))
    }

    @Test func symlinkInTheSpoolIsNotReadAsABody() async throws {
        let secret = directory.file("secret")
        try Data("secret".utf8).write(to: URL(fileURLWithPath: secret))
        let spool = try Spool(beside: directory.file("relay.db"))
        #expect(symlink(secret, spool.path("0000000000000")) == 0)
        await #expect(throws: StoreError.self) { try await spool.body("0000000000000", size: 6) }
        await #expect(throws: StoreError.self) { try await spool.make("0000000000000") }
    }

    @Test func danglingSymlinkDoesNotCreateItsTarget() throws {
        let roots = try TemporaryDirectory()
        #expect(symlink(roots.file("new"), directory.file("relay.db")) == 0)
        #expect(throws: (any Error).self) {
            try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        }
        #expect(owner(roots.file("new")) == nil)
    }
}
