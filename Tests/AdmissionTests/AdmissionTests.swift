import InternetMessage
import Logging
import RelayCore
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import Admission

/// Admission on a real store, with a clock that is moved by hand.
final class AdmissionFixture: Sendable {
    let directory: TemporaryDirectory
    let path: String
    let store: SQLiteStore
    let clock = ManualClock()
    let admission: Admission

    init(maximumRateDelay: Duration = .seconds(5)) throws {
        directory = try TemporaryDirectory()
        path = directory.file("relay.db")
        store = try SQLiteStore(path: path, role: .relay, now: clock.now())
        admission = AdmissionFixture.admission(store, clock, maximumRateDelay)
    }

    static func admission(_ store: SQLiteStore, _ clock: ManualClock, _ delay: Duration = .seconds(5)) -> Admission {
        Admission(
            configuration: .init(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: delay,
                preparation: PreparationPolicy()),
            store: store, clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            observe: { _ in })
    }

    func key(
        _ environment: Environment = .test, configure: (inout Key) -> Void = { _ in }
    ) async throws -> APIKey {
        let (secret, stored) = Sample.key(environment, createdAt: clock.now(), configure: configure)
        try await store.insertKey(stored)
        return secret
    }

    func authenticate(
        _ key: APIKey, from client: IPAddress = Sample.client, user: String = "apikey"
    ) async -> Result<Grant, AuthenticationRefusal> {
        await admission.authenticate(
            userName: Array(user.utf8), password: Array(key.revealed.utf8), client: client)
    }

    static let origin = Admission.Origin(clientName: "client", client: Sample.client, with: "ESMTPSA")

    /// Begins a message for `recipients` recipients, without its content.
    func begin(_ grant: Grant, recipients: Int = 1) throws -> Admission.Reception {
        var reception = try admission.begin(
            from: .mailbox(address("from@example.com")), origin: AdmissionFixture.origin, grant
        ).get()
        for i in 0..<recipients { #expect(try reception.add(address("to\(i)@example.net")) == nil) }
        return reception
    }

    /// The answer at DATA to a message for `recipients` recipients. The emails that it takes from the rate stay taken.
    func open(_ grant: Grant, recipients: Int = 1) throws -> Admission.Reception.Opening {
        var reception = try begin(grant, recipients: recipients)
        let opening = reception.open()
        underWay.withLock { $0.append(reception) }
        return opening
    }

    private let underWay = Mutex<[Admission.Reception]>([])

    /// Submits a whole message.
    func send(
        _ grant: Grant, from sender: String = "from@example.com", header: String = "From: from@example.com\r\n",
        body: String = "Hello\r\n", recipients: [String] = ["to@example.net"]
    ) async -> Result<MessageID, Refusal> {
        let content = Array((header + "\r\n" + body).utf8)
        do {
            let path: ReversePath = try sender.isEmpty ? .null : .mailbox(address(sender))
            return try await admission.receive(
                from: path, to: recipients.map { try address($0) }, content: pieces(content),
                origin: AdmissionFixture.origin, grant)
        } catch {
            return .failure(Refusal(.address, "\(error)"))
        }
    }

    private func pieces(_ content: [UInt8]) -> AsyncStream<[UInt8]> {
        AsyncStream { continuation in
            for start in stride(from: 0, to: content.count, by: 50_000) {
                continuation.yield(Array(content[start..<min(start + 50_000, content.count)]))
            }
            continuation.finish()
        }
    }
}

func address(_ text: String) throws -> AddrSpec { try AddrSpec(parsing: Array(text.utf8)) }

extension Result where Failure == AuthenticationRefusal {
    var reason: RefusalReason? {
        if case .failure(let failure) = self { failure.refusal.reason } else { nil }
    }
}

extension Result where Failure == Refusal {
    var reason: RefusalReason? {
        if case .failure(let refusal) = self { refusal.reason } else { nil }
    }
}

@Suite struct AuthenticationTests {
    @Test func aGoodKeyIsAcceptedWhateverTheUserName() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        for user in ["apikey", "", "somebody@example.com"] {
            #expect(await fixture.authenticate(key, user: user).reason == nil)
        }
    }

    @Test func eachAuthenticationRuleHasItsRefusalReason() async throws {
        let fixture = try AdmissionFixture()
        let clock = fixture.clock
        let revoked = try await fixture.key()
        try await fixture.store.revokeKey(revoked.id, queued: .deliver, now: clock.now())
        let expired = try await fixture.key { $0.expiresAt = clock.now() }
        let scopeless = try await fixture.key { $0.scopes = [.batch, .domains] }
        let elsewhere = try await fixture.key { $0.networks = [NetworkBlock(host: "198.51.100.1")] }
        let cases: [(APIKey, RefusalReason)] = [
            (revoked, .keyRevoked), (expired, .keyExpired), (scopeless, .scope), (elsewhere, .network),
            (Sample.key().secret, .keyUnknown),
        ]
        for (key, reason) in cases { #expect(await fixture.authenticate(key).reason == reason) }
        await fixture.admission.flushActivity()
        for key in [revoked, expired, scopeless, elsewhere] {
            let record = try #require(try await fixture.store.keyRecord(key.id, now: clock.now()))
            #expect(record.usage.authFailures == 1)
            #expect(record.usage.lastUsedAt == nil)
        }
    }

    @Test func wrongSecretForAKnownIDIsKeyUnknownAndCounted() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        var generator = SeededGenerator.next()
        let forged = APIKey(rotating: key.id, .test, using: &generator)
        #expect(await fixture.authenticate(forged).reason == .keyUnknown)
        // A live key with the id of a test key is unknown too.
        let live = APIKey(rotating: key.id, .live, using: &generator)
        #expect(await fixture.authenticate(live).reason == .keyUnknown)
        await fixture.admission.flushActivity()
        #expect(try await fixture.store.keyRecord(key.id, now: fixture.clock.now())?.usage.authFailures == 2)
    }

    @Test func guessingKeysBlocksThatNetworkForTenMinutes() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let guesser = IPAddress(ipv4: 0xC633_6401)
        for _ in 0..<10 {
            #expect(await fixture.authenticate(Sample.key().secret, from: guesser).reason == .keyUnknown)
        }
        guard case .failure(let failure) = await fixture.authenticate(key, from: guesser) else {
            Issue.record("the guessing client was authenticated")
            return
        }
        #expect(failure.refusal.reason == .authThrottled && failure.endsConnection)
        #expect(await fixture.authenticate(key).reason == nil)
        fixture.clock.advance(.seconds(599))
        #expect(await fixture.authenticate(key, from: guesser).reason == .authThrottled)
        fixture.clock.advance(.seconds(2))
        #expect(await fixture.authenticate(key, from: guesser).reason == nil)
    }

    @Test func networkThatAuthenticatesBetweenFailuresIsNotThrottled() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        for _ in 0..<100 {
            for _ in 0..<9 { _ = await fixture.authenticate(Sample.key().secret) }
            #expect(await fixture.authenticate(key).reason == nil)
        }
    }

    /// In these cases the secret is right or was right, or the text can't be a key at all. They must not block other
    /// applications at the same address.
    @Test func failuresThatAreNotGuessesBlockNobody() async throws {
        let fixture = try AdmissionFixture()
        let clock = fixture.clock
        let good = try await fixture.key()
        let revoked = try await fixture.key()
        try await fixture.store.revokeKey(revoked.id, queued: .deliver, now: clock.now())
        let expired = try await fixture.key { $0.expiresAt = clock.now() }
        let scopeless = try await fixture.key { $0.scopes = [] }
        let elsewhere = try await fixture.key { $0.networks = [NetworkBlock(host: "198.51.100.1")] }
        let rotated = try await fixture.key()
        try await fixture.store.rotateKey(rotated.id, digest: Sample.key().secret.digest, previousUntil: clock.now())
        for key in [revoked, expired, scopeless, elsewhere, rotated] {
            for _ in 0..<11 {
                guard case .failure(let failure) = await fixture.authenticate(key) else {
                    Issue.record("an unusable key was authenticated")
                    return
                }
                #expect(failure.refusal.reason != .authThrottled)
            }
        }
        for _ in 0..<11 {
            let mistyped = await fixture.admission.authenticate(
                userName: [], password: Array(good.revealed.utf8.dropLast()), client: Sample.client)
            #expect(mistyped.reason == .keyMalformed)
        }
        guard case .failure(let failure) = await fixture.authenticate(scopeless) else { return }
        #expect(failure.delay == .seconds(1))
        #expect(await fixture.authenticate(good).reason == nil)
    }
}

@Suite struct DomainRuleTests {
    @Test func senderAndHeaderAreHeldToTheAllowlist() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key {
            $0.domains = [DomainPattern(normalised: "example.com"), DomainPattern(normalised: "*.example.org")]
        }
        let grant = try await fixture.authenticate(key).get()
        let good = "From: from@example.com\r\n"
        let cases: [(sender: String, header: String, RefusalReason?)] = [
            ("from@example.com", good, nil), ("from@EXAMPLE.com", good, nil), ("a@b.example.org", good, nil),
            ("", good, nil), ("a@example.org", good, .senderDomain), ("a@evilexample.com", good, .senderDomain),
            ("a@sub.example.com", good, .senderDomain), ("a@[192.0.2.1]", good, .senderDomain),
            ("from@example.com", "From: a@evil.example\r\n", .headerDomain),
            ("from@example.com", good + "Sender: a@evil.example\r\n", .headerDomain),
            ("from@example.com", good + "Resent-From: a@evil.example\r\n", .headerDomain),
            ("from@example.com", good + good, .headerFrom), ("from@example.com", "Subject: x\r\n", .headerFrom),
        ]
        for (sender, header, reason) in cases {
            #expect(
                await fixture.send(grant, from: sender, header: header).reason == reason, "from \(sender), \(header)")
        }
    }
}

@Suite struct RateTests {
    @Test func aBurstGoesAtOnceThenClientsAreServedInOrder() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 2, burst: 3) }
        let grant = try await fixture.authenticate(key).get()
        var waits: [Double] = []
        for _ in 0..<6 {
            switch try fixture.open(grant) {
            case .now: waits.append(0)
            case .after(let delay): waits.append(delay.inSeconds)
            case .refused: waits.append(-1)
            case .ask: Issue.record("this store has no shared rates")
            }
        }
        #expect(waits == [0, 0, 0, 0.5, 1, 1.5])
    }

    @Test func refusalBeyondTheMaximumDelayNamesTheRetryTime() async throws {
        let fixture = try AdmissionFixture(maximumRateDelay: .seconds(1))
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        _ = try fixture.open(grant)
        guard case .after = try fixture.open(grant), case .refused(let refusal) = try fixture.open(grant)
        else {
            Issue.record("the second message was not delayed, or the third was not refused")
            return
        }
        #expect(refusal.reason == .rateSecond)
        #expect(refusal.explanation.mentions("API key", "1 emails", "second", "retry in 2 s"))
        fixture.clock.advance(.seconds(2))
        guard case .now = try fixture.open(grant) else {
            Issue.record("the message has to wait longer than the refusal said")
            return
        }
    }

    @Test func reconfiguredLimitsApplyFromTheNextMessage() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        let large = Array(("From: from@example.com\r\n\r\n" + String(repeating: "x", count: 100)).utf8)
        var before = try fixture.begin(grant)
        guard case .now = before.open(), case .after = try fixture.open(grant) else {
            Issue.record("the first message was delayed, or the second was not")
            return
        }
        fixture.admission.reconfigure(
            .init(
                hostname: "other.example.com", maximumMessageSize: 100, maximumRecipients: 1, maximumRateDelay: .zero,
                preparation: PreparationPolicy()))
        guard case .refused(let refusal) = try fixture.open(grant) else {
            Issue.record("the message was not refused")
            return
        }
        #expect(refusal.reason == .rateSecond)
        fixture.clock.advance(.seconds(10))
        var after = try fixture.begin(grant)
        #expect(after.add(try address("another@example.net"))?.reason == .recipients)
        guard case .now = after.open() else {
            Issue.record("the message was not accepted")
            return
        }
        large.withUnsafeBytes { before.consume($0) }
        large.withUnsafeBytes { after.consume($0) }
        guard case .complete(let message) = before.finish(), case .refused(let tooLarge) = after.finish() else {
            Issue.record("the earlier message was refused, or the later one was not")
            return
        }
        #expect(tooLarge.reason == .size)
        guard case .inline(let body) = message.submission.body else { return }
        #expect(String(decoding: body, as: UTF8.self).contains("by relay.example.com "))
    }

    @Test func aMessageForMoreThanTheBucketHoldsGoesIntoDebt() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 10) }
        let grant = try await fixture.authenticate(key).get()
        guard case .now = try fixture.open(grant, recipients: 50), case .after(let delay) = try fixture.open(grant)
        else {
            Issue.record("the large message was delayed, or the next one was not")
            return
        }
        #expect(delay == .seconds(4.1))
    }

    @Test func disconnectedClientReturnsItsRateReservation() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        _ = try fixture.open(grant)
        func wait() throws -> Duration? {
            // The reception ends with this function, and gives its place back.
            var reception = try fixture.begin(grant)
            guard case .after(let delay) = reception.open() else { return nil }
            return delay
        }
        let first = try wait()
        let second = try wait()
        #expect(first != nil)
        #expect(first == second)
    }

    @Test func theDailyCapIsExactUnder50ConnectionsAtOnce() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1_000_000, perDay: 120) }
        let grant = try await fixture.authenticate(key).get()
        let outcomes = await withTaskGroup(of: [RefusalReason?].self) { group in
            for _ in 0..<50 {
                group.addTask {
                    var outcomes: [RefusalReason?] = []
                    for _ in 0..<4 { outcomes.append(await fixture.send(grant).reason) }
                    return outcomes
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(outcomes.count { $0 == nil } == 120)
        #expect(outcomes.allSatisfy { $0 == nil || $0 == .rateDay })
        #expect(try await fixture.store.messages(MessageFilter(limit: 1000)).count == 120)
        await fixture.admission.flushActivity()
        let usage = try #require(try await fixture.store.keyRecord(key.id, now: fixture.clock.now())).usage
        #expect(usage.emailsToday == 120)
        #expect(usage.rateLimitHits == 80)
    }
}

@Suite struct RevocationTests {
    @Test func revocationByAnotherProcessStopsUnacknowledgedMessages() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let grant = try await fixture.authenticate(key).get()
        #expect(await fixture.send(grant).reason == nil)
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
        try await tool.revokeKey(key.id, queued: .deliver, now: fixture.clock.now())
        // The grant does not show the revocation yet. The store's transaction decides.
        #expect(grant.refusal(at: fixture.clock.now()) == nil)
        #expect(await fixture.send(grant).reason == .keyRevoked)
        // From then on, the early answers refuse the key too.
        #expect(grant.refusal(at: fixture.clock.now())?.reason == .keyRevoked)
    }

    @Test func ruleChangesApplyToOpenSessions() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let grant = try await fixture.authenticate(key).get()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
        try await tool.updateKey(key.id) { $0.domains = [DomainPattern(normalised: "example.org")] }
        try await fixture.admission.refreshGrants()
        #expect(await fixture.send(grant).reason == .senderDomain)
        try await tool.revokeKey(key.id, queued: .deliver, now: fixture.clock.now())
        try await fixture.admission.refreshGrants()
        #expect(grant.refusal(at: fixture.clock.now())?.reason == .keyRevoked)
    }

    enum Change: CaseIterable, Sendable {
        case scope, network, secret
    }

    /// Everything that authentication requires must hold as long as the session is used.
    @Test(arguments: Change.allCases) func keyRestrictionsApplyToOpenSessions(_ change: Change) async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let grant = try await fixture.authenticate(key).get()
        #expect(await fixture.send(grant).reason == nil)
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
        let expected: RefusalReason
        switch change {
        case .scope:
            try await tool.updateKey(key.id) { $0.scopes = [] }
            expected = .scope
        case .network:
            let elsewhere = try NetworkBlock("198.51.100.0/24")
            try await tool.updateKey(key.id) { $0.networks = [elsewhere] }
            expected = .network
        case .secret:
            let other = Sample.key().secret
            let now = fixture.clock.now()
            try await tool.rotateKey(key.id, digest: other.digest, previousUntil: now + .seconds(60))
            #expect(await fixture.send(grant).reason == nil)
            fixture.clock.advance(.seconds(60))
            expected = .keyUnknown
        }
        // The message is refused at the end of its data at once, even before the early answers refuse the key.
        #expect(await fixture.send(grant).reason == expected)
        try await fixture.admission.refreshGrants()
        #expect(grant.refusal(at: fixture.clock.now())?.reason == expected)
        #expect(fixture.admission.begin(from: .null, origin: AdmissionFixture.origin, grant).reason == expected)
    }

    /// While 50 senders submit messages, the key is revoked. No message is accepted whose submission began after the
    /// revocation had returned.
    @Test func nothingIsAcceptedOnceRevocationHasReturned() async throws {
        for _ in 0..<20 {
            let fixture = try AdmissionFixture()
            let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1_000_000) }
            let grant = try await fixture.authenticate(key).get()
            let revoked = Flag()
            let late = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        var late = 0
                        for _ in 0..<4 {
                            let before = revoked.isSet
                            if await fixture.send(grant).reason == nil, before { late += 1 }
                        }
                        return late
                    }
                }
                group.addTask {
                    do {
                        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
                        try await tool.revokeKey(key.id, queued: .deliver, now: fixture.clock.now())
                        revoked.set()
                    } catch {
                        Issue.record(error)
                    }
                    return 0
                }
                return await group.reduce(0, +)
            }
            #expect(late == 0)
            let accepted = try await fixture.store.messages(MessageFilter(limit: 1000)).count
            #expect(try await fixture.store.keyRecord(key.id, now: fixture.clock.now())?.usage.emailsTotal == accepted)
        }
    }
}

final class Flag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}

extension NetworkBlock {
    /// One address, given as a literal.
    init(host: StaticString) {
        try! self.init("\(host)")  // a literal of the test, known to be an address
    }
}
