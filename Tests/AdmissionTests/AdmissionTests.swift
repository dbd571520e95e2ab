import Admission
import InternetMessage
import RelayCore
import SQLiteStore
import Synchronization
import TestSupport
import Testing

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
            store: store, clock: clock, observe: { _ in })
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
    ) async -> Result<Grant, Refusal> {
        await admission.authenticate(
            userName: Array(user.utf8), password: Array(key.revealed.utf8), client: client)
    }

    /// The whole way of a message, as a session goes it.
    func send(
        _ grant: Grant, from sender: String = "from@example.com", header: String = "From: from@example.com\r\n",
        recipients: [String] = ["to@example.net"]
    ) async -> Result<MessageID, Refusal> {
        do {
            let (path, _) = try SMTPPath.parsePath(Array("<\(sender)>".utf8))
            if let refusal = admission.refusalOfSender(path, grant) { return .failure(refusal) }
        } catch {
            return .failure(Refusal(.address, error.explanation))
        }
        let reservation: Admission.Reservation
        switch admission.open(recipients: recipients.count, grant) {
        case .now(let found), .after(_, let found): reservation = found
        case .refused(let refusal): return .failure(refusal)
        }
        var (id, intake) = admission.receive(
            from: .init(clientName: "client", client: Sample.client, with: "ESMTPSA"), expectedSize: nil, grant)
        Array((header + "\r\nHello\r\n").utf8).withUnsafeBytes { intake.consume($0) }
        switch intake.finish() {
        case .failure(let refusal):
            admission.cancel(reservation, grant)
            return .failure(refusal)
        case .success(let summary):
            if let refusal = admission.refusalOfHeader(summary, grant) {
                admission.cancel(reservation, grant)
                return .failure(refusal)
            }
        }
        let submission = Submission(
            id: id, key: grant.id, client: Sample.client,
            envelope: Envelope(reversePath: sender.isEmpty ? nil : sender, recipients: recipients), subject: nil,
            body: .inline(intake.takeBuffered()), acceptedAt: clock.now())
        return await withCheckedContinuation { continuation in
            admission.submit(submission, reservation, grant) { continuation.resume(returning: $0) }
        }
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

    @Test func eachRuleHasItsReason() async throws {
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

    @Test func aWrongSecretForAKnownIdIsUnknownAndCounted() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        var generator = SeededGenerator.next()
        let forged = APIKey(rotating: key.id, .test, using: &generator)
        #expect(await fixture.authenticate(forged).reason == .keyUnknown)
        // A live key with the id of a test key is no key either.
        let live = APIKey(rotating: key.id, .live, using: &generator)
        #expect(await fixture.authenticate(live).reason == .keyUnknown)
        await fixture.admission.flushActivity()
        #expect(try await fixture.store.keyRecord(key.id, now: fixture.clock.now())?.usage.authFailures == 2)
    }

    @Test func guessingShutsTheDoorOfThatNetworkForAWhile() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let guesser = IPAddress(ipv4: 0xC633_6401)
        for _ in 0..<10 {
            #expect(fixture.admission.refusalOfTrying(client: guesser) == nil)
            _ = await fixture.authenticate(Sample.key().secret, from: guesser)
        }
        #expect(fixture.admission.refusalOfTrying(client: guesser)?.reason == .authThrottled)
        #expect(fixture.admission.refusalOfTrying(client: Sample.client) == nil)
        fixture.clock.advance(.seconds(599))
        #expect(fixture.admission.refusalOfTrying(client: guesser) != nil)
        fixture.clock.advance(.seconds(2))
        #expect(fixture.admission.refusalOfTrying(client: guesser) == nil)
        #expect(await fixture.authenticate(key, from: guesser).reason == nil)
    }

    @Test func aNetworkWhoseLastAuthenticationSucceededIsNotHindered() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        for _ in 0..<100 {
            for _ in 0..<9 { _ = await fixture.authenticate(Sample.key().secret) }
            #expect(await fixture.authenticate(key).reason == nil)
        }
        // And right after a success, however many failures follow at first.
        #expect(fixture.admission.refusalOfTrying(client: Sample.client) == nil)
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
            switch fixture.admission.open(recipients: 1, grant) {
            case .now: waits.append(0)
            case .after(let delay, _):
                waits.append(Double(delay.components.attoseconds) / 1e18 + Double(delay.components.seconds))
            case .refused: waits.append(-1)
            }
        }
        #expect(waits == [0, 0, 0, 0.5, 1, 1.5])
    }

    @Test func beyondTheDelayThereIsARefusalThatSaysHowLong() async throws {
        let fixture = try AdmissionFixture(maximumRateDelay: .seconds(1))
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        _ = fixture.admission.open(recipients: 1, grant)
        guard case .after = fixture.admission.open(recipients: 1, grant),
            case .refused(let refusal) = fixture.admission.open(recipients: 1, grant)
        else {
            Issue.record("neither delayed nor refused")
            return
        }
        #expect(refusal.reason == .rateSecond)
        #expect(refusal.explanation == "The API key's limit of 1 emails per second is reached, retry in 2 s")
        fixture.clock.advance(.seconds(2))
        guard case .now = fixture.admission.open(recipients: 1, grant) else {
            Issue.record("still not allowed after the time that was named")
            return
        }
    }

    @Test func otherSettingsCountForTheNextMessage() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        guard case .now = fixture.admission.open(recipients: 1, grant),
            case .after = fixture.admission.open(recipients: 1, grant)
        else {
            Issue.record("neither taken nor slowed down")
            return
        }
        let origin = Admission.Origin(clientName: "client", client: Sample.client, with: "ESMTPSA")
        var (_, before) = fixture.admission.receive(from: origin, expectedSize: nil, grant)
        fixture.admission.reconfigure(
            .init(
                hostname: "other.example.com", maximumMessageSize: 100, maximumRateDelay: .zero,
                preparation: PreparationPolicy()))
        guard case .refused(let refusal) = fixture.admission.open(recipients: 1, grant) else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .rateSecond)
        var (_, after) = fixture.admission.receive(from: origin, expectedSize: nil, grant)
        let message = Array(("From: from@example.com\r\n\r\n" + String(repeating: "x", count: 100)).utf8)
        message.withUnsafeBytes { before.consume($0) }
        message.withUnsafeBytes { after.consume($0) }
        #expect(throws: Never.self) { try before.finish().get() }
        #expect(throws: Refusal.self) { try after.finish().get() }
        let content = String(decoding: before.takeBuffered(), as: UTF8.self)
        #expect(content.contains("by relay.example.com "))
    }

    @Test func aMessageForMoreThanTheBucketHoldsGoesIntoDebt() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 10) }
        let grant = try await fixture.authenticate(key).get()
        guard case .now = fixture.admission.open(recipients: 50, grant),
            case .after(let delay, _) = fixture.admission.open(recipients: 1, grant)
        else {
            Issue.record("not admitted into debt")
            return
        }
        #expect(delay == .seconds(4.1))
    }

    @Test func aClientThatLeavesGivesItsPlaceBack() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key { $0.limits = SendingLimits(perSecond: 1, burst: 1) }
        let grant = try await fixture.authenticate(key).get()
        _ = fixture.admission.open(recipients: 1, grant)
        guard case .after(let first, let reservation) = fixture.admission.open(recipients: 1, grant) else {
            Issue.record("not held")
            return
        }
        fixture.admission.cancel(reservation, grant)
        guard case .after(let second, _) = fixture.admission.open(recipients: 1, grant) else {
            Issue.record("not held")
            return
        }
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
    @Test func aRevocationFromAnotherProcessStopsWhatHasNotBeenAnswered() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let grant = try await fixture.authenticate(key).get()
        #expect(await fixture.send(grant).reason == nil)
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
        try await tool.revokeKey(key.id, queued: .deliver, now: fixture.clock.now())
        // The grant has not heard of it; the store's transaction decides.
        #expect(fixture.admission.refusalOfUse(grant) == nil)
        #expect(await fixture.send(grant).reason == .keyRevoked)
        // And from then on the early answers know.
        #expect(fixture.admission.refusalOfUse(grant)?.reason == .keyRevoked)
    }

    @Test func changesOfTheRulesReachSessionsThatAreOpen() async throws {
        let fixture = try AdmissionFixture()
        let key = try await fixture.key()
        let grant = try await fixture.authenticate(key).get()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: fixture.clock.now())
        try await tool.updateKey(key.id) { $0.domains = [DomainPattern(normalised: "example.org")] }
        try await fixture.admission.refreshGrants()
        #expect(await fixture.send(grant).reason == .senderDomain)
        try await tool.revokeKey(key.id, queued: .deliver, now: fixture.clock.now())
        try await fixture.admission.refreshGrants()
        #expect(fixture.admission.refusalOfUse(grant)?.reason == .keyRevoked)
    }

    enum Change: CaseIterable, Sendable {
        case scope, network, secret
    }

    /// All that authentication asks for must hold as long as the session is used.
    @Test(arguments: Change.allCases) func whatIsTakenFromTheKeyIsTakenFromOpenSessions(_ change: Change) async throws {
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
        // At the end of data at once, also before the early answers know.
        #expect(await fixture.send(grant).reason == expected)
        try await fixture.admission.refreshGrants()
        #expect(fixture.admission.refusalOfUse(grant)?.reason == expected)
        guard case .refused(let refusal) = fixture.admission.open(recipients: 1, grant) else {
            Issue.record("opened")
            return
        }
        #expect(refusal.reason == expected)
    }

    /// The issue's ledger: 50 senders, a revocation in the middle, and not one acceptance that began after it returned.
    @Test func afterRevocationReturnsNothingIsAccepted() async throws {
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

extension Admission {
    func authenticate(userName: [UInt8], password: [UInt8], client: IPAddress) async -> Result<Grant, Refusal> {
        await withCheckedContinuation { continuation in
            authenticate(userName: userName, password: password, client: client) { continuation.resume(returning: $0) }
        }
    }
}
