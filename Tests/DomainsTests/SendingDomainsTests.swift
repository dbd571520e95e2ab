import InternetMessage
import RelayCore
import Resolver
import StrictJSON
import Synchronization
import TestSupport
import Testing

@testable import Domains

/// A resolver without a network.
private final class StubResolver: RecordResolver {
    private let answers: [String: [DNSData]]
    private let asked = Mutex<[DNSQuestion]>([])

    init(_ answers: [String: [DNSData]] = [:]) { self.answers = answers }

    var questions: [DNSQuestion] { asked.withLock { $0 } }

    func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure> {
        asked.withLock { $0.append(question) }
        return .success(answers[question.name] ?? [])
    }

    func shutdown() {}
}

/// An authority whose list of domains comes only after the test calls `answerAll`.
private final class SlowAuthority: DomainAuthority {
    private let waiting = Mutex<[CheckedContinuation<Void, Never>]>([])

    var count: Int { waiting.withLock { $0.count } }

    func answerAll() {
        for continuation in waiting.withLock({ $0 }) { continuation.resume() }
    }

    func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain] {
        await withCheckedContinuation { continuation in waiting.withLock { $0.append(continuation) } }
        return []
    }

    func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain { throw .notFound }

    func add(_ name: DomainName, by key: KeyID?) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool) {
        throw .notFound
    }

    func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain { throw .notFound }

    func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding? { nil }
}

@Suite("Domains to send from") struct SendingDomainsTests {
    private let clock = ManualClock()

    private func name(_ text: String) throws -> DomainName { try #require(DomainName(text: text)) }

    @Test func `A simulated domain is pending until it is verified, and no network is touched`() async throws {
        let resolver = StubResolver()
        let domains = SendingDomains(
            live: UnconfiguredDomains(), test: SimulatedDomains(store: MemoryStore(), clock: clock), resolver: resolver)
        let example = try name("example.com")
        let (added, isNew) = try await domains.add(example, .test, by: KeyID("AbCdEfGh"))
        #expect(isNew && added.domain.status == .pending && !added.domain.isSendingEnabled)
        #expect(added.domain.createdAt == clock.now())
        #expect(added.records.map(\.record.purpose) == [.dkim, .dkim, .dkim, .spf, .dmarc])
        #expect(added.records.allSatisfy { $0.finding == .missing })
        let tokens = try #require(added.domain.dkim?.tokens)
        #expect(Set(tokens).count == 3 && tokens.allSatisfy { $0.utf8.count == 32 })

        let (again, isNewAgain) = try await domains.add(example, .test, by: nil)
        #expect(!isNewAgain && again == added)
        #expect(try await domains.show(example, .test) == added)

        let verified = try await domains.verify(example, .test)
        #expect(verified.domain.status == .verified && verified.domain.isSendingEnabled)
        #expect(verified.domain.dkim == added.domain.dkim)
        #expect(verified.records.allSatisfy { $0.finding.word == .found })
        #expect(resolver.questions.isEmpty)
    }

    @Test func `A list has those that are wanted, by name`() async throws {
        let domains = SendingDomains(
            live: UnconfiguredDomains(), test: SimulatedDomains(store: MemoryStore(), clock: clock),
            resolver: StubResolver())
        for index in 0..<250 { _ = try await domains.add(try name("d\(index).example.com"), .test, by: nil) }
        _ = try await domains.add(try name("z.example.net"), .test, by: nil)
        let wanted = try await domains.list(.test, limit: 10) { $0.hasSuffix(".net") }
        #expect(wanted.map(\.name.text) == ["z.example.net"])
        let first = try await domains.list(.test, limit: 3)
        #expect(first.map(\.name.text) == ["d0.example.com", "d1.example.com", "d10.example.com"])
        let next = try await domains.list(.test, behind: first.last?.name.text, limit: 2)
        #expect(next.map(\.name.text) == ["d100.example.com", "d101.example.com"])
    }

    @Test func `There is an end to simulated domains`() async throws {
        let store = MemoryStore()
        for index in 0..<SimulatedDomain.most {
            _ = try await store.insert(
                SimulatedDomain(name: "d\(index).example.com", createdAt: clock.now(), tokenSeed: [1]))
        }
        let domains = SendingDomains(
            live: UnconfiguredDomains(), test: SimulatedDomains(store: store, clock: clock), resolver: StubResolver())
        await #expect {
            _ = try await domains.add(try name("one.more.example"), .test, by: nil)
        } throws: { error in
            if case DomainFailure.tooMany = error { true } else { false }
        }
    }

    @Test func `Without a region live domains say so`() async throws {
        let domains = SendingDomains(
            live: UnconfiguredDomains(), test: UnconfiguredDomains(), resolver: StubResolver())
        await #expect {
            _ = try await domains.show(try name("example.com"), .live)
        } throws: { error in
            if case DomainFailure.unconfigured = error { true } else { false }
        }
    }

    @Test func `Few are asked at a time, and the next is told to come back`() async throws {
        let slow = SlowAuthority()
        let domains = SendingDomains(
            live: slow, test: SimulatedDomains(store: MemoryStore(), clock: clock), resolver: StubResolver())
        try await withThrowingTaskGroup(of: [SendingDomain].self) { group in
            for _ in 0..<SendingDomains.most { group.addTask { try await domains.list(.live, limit: 1) } }
            while slow.count < SendingDomains.most { await Task.yield() }
            await #expect {
                _ = try await domains.list(.live, limit: 1)
            } throws: { error in
                if case DomainFailure.busy = error { true } else { false }
            }
            // While SES is slow, test keys can still list their domains.
            #expect(try await domains.list(.test, limit: 1).isEmpty)
            slow.answerAll()
            for try await found in group { #expect(found.isEmpty) }
        }
    }

    @Test func `The document of a domain has its records and what was found`() throws {
        let record = DomainRecord(.spf, .txt, "xn--bcher-kva.example", DomainRecord.spf, isRequired: false)
        let checked = CheckedDomain(
            domain: SendingDomain(
                name: try name("bücher.example"), status: .temporaryFailure, isSendingEnabled: false,
                createdAt: Timestamp(milliseconds: 0)),
            records: [CheckedRecord(record, .wrong(["v=spf1"], reason: "it does not include amazonses.com"))])
        #expect(
            String(decoding: JSON(checked).bytes, as: UTF8.self) == """
                {"name":"xn--bcher-kva.example","unicode_name":"bücher.example","status":"temporary_failure",\
                "sending_enabled":false,"created_at":"1970-01-01T00:00:00.000Z","records":[{"purpose":"spf","type":"TXT",\
                "name":"xn--bcher-kva.example","value":"v=spf1 include:amazonses.com ~all","required":false,"status":"wrong",\
                "found":["v=spf1"],"reason":"it does not include amazonses.com"}]}
                """)
    }

    @Test(arguments: [
        ("a@example.com", ["address", "example.com"]), ("https://example.com", ["slash", "example.com"]),
        ("example", ["no dot", "example.com"]), ("example.com.", notADomain), ("", notADomain),
        ("-.example.com", notADomain), ("192.0.2.1", notADomain), ("*.example.com", notADomain),
        ("exa mple.com", notADomain), (String(repeating: "abcdefghi.", count: 21) + "com", ["long", "209"]),
    ])
    func `A name that can't be sent from is refused with a reason`(_ text: String, _ facts: [String]) {
        guard case .failure(let mistake) = SendingDomainName.read(text) else {
            Issue.record("the name was accepted")
            return
        }
        #expect(mistake.predicate.mentions(facts), "\(mistake.predicate)")
    }

    private static let notADomain = ["letters", "digits", "hyphens", "example.com"]

    @Test(arguments: [("Example.COM", "example.com"), ("bücher.example", "xn--bcher-kva.example")])
    func `A name is taken in A-labels and U-labels`(_ text: String, _ name: String) throws {
        #expect(try SendingDomainName.read(text).get().text == name)
    }
}
