import Foundation
import Glibc
import TestSupport
import Testing

@testable import SQLiteStore

/// Root's commands work in a directory that belongs to the relay's user, who might have prepared it for them.
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

    @Test func whatRootMakesIsTheRelays() throws {
        let path = directory.file("relay.db")
        let store = try SQLiteStore(path: path, role: .tool, now: Sample.now)
        for suffix in ["", "-wal", "-shm", ".instances", ".spool"] { #expect(owner(path + suffix) == Self.relay) }
        try store.close()
    }

    @Test(arguments: ["relay.db", "relay.db.instances"])
    func whatALinkLeadsToIsNotGivenAway(_ name: String) throws {
        let roots = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: roots.file("secret")))
        #expect(symlink(roots.file("secret"), directory.file(name)) == 0)
        _ = try? SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        #expect(owner(roots.file("secret")) == 0)
    }

    @Test func aDirectoryThatALinkLeadsToIsNotGivenAway() throws {
        let roots = try TemporaryDirectory()
        #expect(symlink(roots.path, directory.file("relay.db.spool")) == 0)
        _ = try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        #expect(owner(roots.path) == 0)
    }

    @Test func nothingIsMadeWhereALinkLeadsTo() throws {
        let roots = try TemporaryDirectory()
        #expect(symlink(roots.file("new"), directory.file("relay.db")) == 0)
        #expect(throws: (any Error).self) {
            try SQLiteStore(path: directory.file("relay.db"), role: .tool, now: Sample.now)
        }
        #expect(owner(roots.file("new")) == nil)
    }
}
