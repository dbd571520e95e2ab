import Admission
import RelayCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SpoolTests {
    /// The most octets in memory: one piece that waits for the disk, one piece that is being filled, and the octets of
    /// a read.
    private static let bound = 2 * MessageIntake.chunkSize + 2 * 65_536

    @Test func aSmallMessageNeverTouchesTheSpool() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        #expect(try await client.sendMessage(100_000).hasPrefix("250 "))
        #expect(fixture.store.files.isEmpty)
        guard case .inline(let body) = try #require(fixture.store.accepted.first).body else {
            Issue.record("the body is not inline")
            return
        }
        #expect(String(decoding: body, as: UTF8.self).hasSuffix(String(Client.content(100_000).dropFirst(50))))
    }

    @Test func aSlowSpoolStopsReadsAndMemoryStaysBounded() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.appends.close()
        _ = try await client.openData()
        let content = Client.content(4 << 20)
        await client.send(content + ".\r\n")
        await fixture.store.appends.arrival()
        await fixture.settle()
        #expect(await client.unread > (4 << 20) - 2 * SpoolTests.bound)
        #expect(await client.buffered <= SpoolTests.bound)
        fixture.store.appends.open()
        #expect(try await client.reply().hasPrefix("250 2.0.0 Ok: queued as "))
        let submission = try #require(fixture.store.accepted.first)
        guard case .spooled(let body) = submission.body else {
            Issue.record("the body is not spooled")
            return
        }
        #expect(body.name == "\(submission.id)")
        // The file has the received content and the trace fields.
        #expect(fixture.store.files == [body.name: body.size])
        #expect((content.utf8.count..<content.utf8.count + 1024).contains(body.size))
        #expect(await client.buffered < 4096)
    }

    @Test func messageMayEndWhileAPieceIsBeingSpooled() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.appends.close()
        _ = try await client.openData()
        await client.send(Client.content(150_000) + ".\r\nNOOP\r\n")
        await fixture.store.appends.arrival()
        #expect(try await client.pending() == "")
        fixture.store.appends.open()
        #expect(try await client.reply().hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(try await client.reply() == "250 2.0.0 Ok")
        #expect(fixture.store.accepted.count == 1)
    }

    /// The space is given back before the end of the message, because the end may arrive much later.
    @Test func oversizedMessageFreesItsSpoolSpaceAtOnce() async throws {
        let fixture = try ServerFixture(maximumMessageSize: 1 << 20)
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        await client.send(Client.content(600_000))
        await eventually { !fixture.store.files.isEmpty }
        await client.send(Client.content(600_000))
        await eventually { fixture.store.files.isEmpty }
        await client.send(Client.content(600_000) + ".\r\n")
        #expect(try await client.reply().hasSuffix("[size]"))
        #expect(try await client.sendMessage().hasPrefix("250 "))
    }

    @Test func aRefusedMessageLeavesNothingInTheSpool() async throws {
        let fixture = try ServerFixture(maximumMessageSize: 1 << 20)
        let client = try await fixture.signedIn()
        _ = try await client.openData()
        await client.send(Client.content(3 << 20) + ".\r\n")
        #expect(try await client.reply().hasSuffix("[size]"))
        await eventually { fixture.store.files.isEmpty }
        _ = try await client.openData()
        await client.send(Client.content(300_000) + "bare\nline feed\r\n.\r\n")
        #expect(try await client.reply().hasSuffix("[line-ending]"))
        await eventually { fixture.store.files.isEmpty }
        // This refusal is decided in the store's transaction, when the file is complete.
        fixture.store.fail { $0.refusal = .dayUsedUp(cap: 1, at: fixture.clock.now()) }
        #expect(try await client.sendMessage(300_000).hasSuffix("[rate-day]"))
        await eventually { fixture.store.files.isEmpty }
        #expect(fixture.store.accepted.isEmpty)
    }
}

@Suite(.timeLimit(.minutes(1))) struct StorageTests {
    private static let storage = "452 4.3.1 … [storage]"

    @Test func aFullDiskIsATemporaryRefusal() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.fail { $0.commit = .full }
        for _ in 0..<2 { #expect(try await client.sendMessage().reads(StorageTests.storage)) }
        fixture.store.fail { $0.commit = nil }
        #expect(try await client.sendMessage().hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(fixture.store.accepted.count == 1)
    }

    /// The message may be stored, so the reply does not blame the storage.
    @Test func inDoubtCommitHasItsOwnReply() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.fail { $0.commit = .inDoubt }
        #expect(try await client.sendMessage().reads("451 4.3.0 … [storage]"))
    }

    enum SpoolStep: CaseIterable {
        case makeFile, append, finish

        func set(_ error: StoreError?, in faults: inout StubStore.Faults) {
            switch self {
            case .makeFile: faults.makeFile = error
            case .append: faults.append = error
            case .finish: faults.finish = error
            }
        }
    }

    @Test(arguments: SpoolStep.allCases)
    func fullDiskAtAnySpoolStepIsATemporaryRefusal(step: SpoolStep) async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.fail { step.set(.full, in: &$0) }
        // The message is read to its end, whether the end comes before or after the failure is known.
        for size in [140_000, 1_000_000] {
            #expect(try await client.sendMessage(size).reads(StorageTests.storage))
            await eventually { fixture.store.files.isEmpty }
        }
        fixture.store.fail { step.set(nil, in: &$0) }
        #expect(try await client.sendMessage(300_000).hasPrefix("250 2.0.0 Ok: queued as "))
        #expect(fixture.store.accepted.count == 1)
        #expect(fixture.store.strayFiles == 0)
    }

    @Test func failedMessageFreesItsSpoolSpaceBeforeItEnds() async throws {
        let fixture = try ServerFixture()
        let client = try await fixture.signedIn()
        fixture.store.appends.close()
        _ = try await client.openData()
        await client.send(Client.content(200_000))
        await fixture.store.appends.arrival()
        #expect(fixture.store.files.count == 1)
        fixture.store.fail { $0.append = .full }
        fixture.store.appends.open()
        await eventually { fixture.store.files.isEmpty }
        await client.send(Client.content(400_000) + ".\r\n")
        #expect(try await client.reply().reads(StorageTests.storage))
        #expect(fixture.store.files.isEmpty)
    }

    @Test func anUnsentMessageDoesNotCountAgainstTheKeysRate() async throws {
        let fixture = try ServerFixture(limits: SendingLimits(perSecond: 1, burst: 1))
        let client = try await fixture.signedIn()
        fixture.store.fail { $0.commit = .full }
        for _ in 0..<3 { #expect(try await client.sendMessage().reads(StorageTests.storage)) }
        fixture.store.fail { faults in
            faults.commit = nil
            faults.append = .full
        }
        for _ in 0..<3 { #expect(try await client.sendMessage(200_000).reads(StorageTests.storage)) }
    }
}
