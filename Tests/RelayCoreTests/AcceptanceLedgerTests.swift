import RelayCore
import TestSupport
import Testing

@Suite struct AcceptanceLedgerTests {
    private struct Store {
        var standings: [KeyID: KeyStanding] = [:]
        var remembered: [Fingerprint: MessageID] = [:]
        var requests: [Fingerprint: AcceptanceLedger.EarlierRequest] = [:]
    }

    /// A key and a submission that break every rule.
    private struct Case {
        var key: (secret: APIKey, stored: StoredKey)
        var submission: Submission
        var store = Store()
        var free: Int? = 0
    }

    private static let id = MessageID.first(at: Sample.now)

    private func worst() throws -> Case {
        var key = Sample.key { key in
            key.revokedAt = Sample.now
            key.expiresAt = Sample.now
            key.scopes = []
            key.networks = []
            key.domains = [.init(normalised: "other.example")]
            key.limits.perDay = 1
        }
        key.stored.key.networks = [try NetworkBlock("198.51.100.0/24")]
        let message = try #require(MessageID(rawValue: AcceptanceLedgerTests.id))
        var submission = Sample.submission(message, key: key.secret.id)
        var generator = SeededGenerator.next()
        submission.secret = APIKey(generating: .test, using: &generator).digest
        submission.domains = [
            ClaimedDomain(.envelope, name: "a.example", text: "a.example"),
            ClaimedDomain(.from, name: "b.example", text: "b.example"),
        ]
        let fingerprint = Fingerprint(key: key.secret.id, idempotencyKey: "order-42")
        submission.fingerprint = fingerprint
        var found = Case(key: key, submission: submission)
        found.store.remembered = [fingerprint: message]
        return found
    }

    private func decide(_ example: Case) -> AcceptanceLedger.Decision {
        let standing = KeyStanding(stored: example.key.stored, emailsToday: 1)
        var ledger = AcceptanceLedger(
            now: Sample.now, storage: StoragePolicy(reserve: 1, reserveTest: 1), free: example.free)
        return ledger.decide(
            on: example.submission, standing: { $0 == example.key.secret.id ? standing : nil },
            firstOfRepeat: { example.store.remembered[$0] },
            earlierRequest: { example.store.requests[$0] })
    }

    private func reason(_ decision: AcceptanceLedger.Decision) -> RefusalReason? {
        if case .refuse(let refusal) = decision { refusal.reason } else { nil }
    }

    /// The test begins with the worst case and corrects one fault after the other. Each time, the next rule applies.
    @Test func rulesAreCheckedInOrder() throws {
        var example = try worst()
        #expect(reason(decide(example)) == .keyRevoked)
        example.key.stored.key.revokedAt = nil
        #expect(reason(decide(example)) == .keyExpired)
        example.key.stored.key.expiresAt = nil
        #expect(reason(decide(example)) == .keyUnknown)
        example.submission.secret = example.key.secret.digest
        #expect(reason(decide(example)) == .scope)
        example.key.stored.key.scopes = [.send]
        #expect(reason(decide(example)) == .network)
        example.key.stored.key.networks = []
        #expect(reason(decide(example)) == .senderDomain)
        example.key.stored.key.domains.append(.init(normalised: "a.example"))
        #expect(reason(decide(example)) == .headerDomain)
        example.key.stored.key.domains = []
        // The client's idempotency key is checked before the message's fingerprint.
        let request = Fingerprint(key: example.key.secret.id, request: "order-42")
        example.submission.idempotency = Idempotency(request: request, content: [1])
        example.store.requests[request] = .init(message: example.submission.id, content: [2])
        #expect(decide(example) == .refuse(.idempotencyMismatch))
        example.submission.idempotency = nil
        #expect(decide(example) == .repeated(example.submission.id))
        example.store.remembered = [:]
        #expect(reason(decide(example)) == .rateDay)
        example.key.stored.key.limits.perDay = 2
        #expect(reason(decide(example)) == .storage)
        example.free = nil
        #expect(decide(example) == .accept(.test, remembering: example.submission.fingerprint))
    }

    @Test("A repeat is also found under the former fingerprint, and a new message is remembered under the other one")
    func formerFingerprint() throws {
        var example = try worst()
        example.key.stored = Sample.key().stored
        example.key.stored.digest = example.key.secret.digest
        example.submission.secret = nil
        example.submission.domains = []
        example.free = nil
        example.submission.fingerprint = Fingerprint(key: example.key.secret.id, idempotencyKey: "another")
        example.submission.formerFingerprint = example.store.remembered.keys.first
        #expect(decide(example) == .repeated(example.submission.id))
        example.store.remembered = [:]
        #expect(decide(example) == .accept(.test, remembering: example.submission.fingerprint))
    }

    @Test(arguments: [Scope.batch, .send])
    func requiredScopeIsTheSubmissionsOwn(_ scope: Scope) throws {
        var example = try worst()
        example.key.stored = Sample.key { $0.scopes = [.batch] }.stored
        example.key.stored.digest = example.key.secret.digest
        example.submission.secret = nil
        example.submission.fingerprint = nil
        example.submission.scope = scope
        example.free = nil
        #expect(reason(decide(example)) == (scope == .batch ? nil : .scope))
    }

    @Test func missingKeyIsRefusedAsRevoked() throws {
        var ledger = AcceptanceLedger(now: Sample.now, storage: .unlimited, free: nil)
        let decision = ledger.decide(
            on: try worst().submission, standing: { _ in nil }, firstOfRepeat: { _ in nil },
            earlierRequest: { _ in nil })
        #expect(reason(decision) == .keyRevoked)
    }

    /// The cap is 5, of which 1 is used. Each message is accepted if its recipients still fit.
    @Test func dailyCapIsExactWithinOneBatch() throws {
        let (secret, stored) = Sample.key { $0.limits.perDay = 5 }
        var ledger = AcceptanceLedger(now: Sample.now, storage: .unlimited, free: nil)
        var lookUps = 0
        let taken = [2, 3, 1, 1, 1].enumerated().map { index, count in
            let submission = Sample.submission(
                MessageID(rawValue: AcceptanceLedgerTests.id + Int64(index))!, key: secret.id,
                recipients: Sample.recipients(count))
            return ledger.decide(
                on: submission,
                standing: { _ in
                    lookUps += 1
                    return KeyStanding(stored: stored, emailsToday: 1)
                }, firstOfRepeat: { _ in nil },
                earlierRequest: { _ in nil }) == .accept(.test, remembering: nil)
        }
        #expect(taken == [true, false, true, true, false])
        #expect(lookUps == 1)
        #expect(ledger.usage == [secret.id: .init(emails: 4, messages: 3)])
        #expect(ledger.testBodies == 9)
    }

    @Test func spaceTakenByTheBatchIsNoLongerFree() throws {
        let (secret, stored) = Sample.key()
        var ledger = AcceptanceLedger(
            now: Sample.now, storage: StoragePolicy(reserve: 0, reserveTest: 100), free: 106)
        let reasons = (0..<4).map { index in
            reason(
                ledger.decide(
                    on: Sample.submission(
                        MessageID(rawValue: AcceptanceLedgerTests.id + Int64(index))!, key: secret.id),
                    standing: { _ in KeyStanding(stored: stored, emailsToday: 0) }, firstOfRepeat: { _ in nil },
                    earlierRequest: { _ in nil }))
        }
        // Each message has 3 octets.
        #expect(reasons == [nil, nil, .storage, .storage])
    }

    /// If no day has room for a message, the refusal does not say when to retry.
    @Test(
        arguments: [(5, 0, 5, nil), (5, 1, 5, "resets at 00:00 UTC"), (5, 0, 6, "never fit"), (0, 0, 1, "never fit")]
            as [(Int, Int, Int, String?)])
    func dailyCapRefusal(cap: Int, used: Int, emails: Int, words: String?) throws {
        let refusal = SendingLimits(perDay: cap).refusalOfDay(emails, after: used, at: Sample.now)
        #expect((refusal == nil) == (words == nil))
        guard let refusal, let words else { return }
        #expect(refusal.reason == .rateDay && refusal.explanation.contains(words))
        #expect((refusal.retryAfter == nil) == (words == "never fit"))
    }

    /// This also applies to a key for which repeats are not detected.
    @Test(arguments: [true, false])
    func sameRequestIsARepeatAndADifferentOneIsRefused(_ detectsRepeats: Bool) throws {
        var (secret, stored) = Sample.key()
        stored.key.detectsRepeats = detectsRepeats
        let first = try #require(MessageID(rawValue: 1))
        let fingerprint = Fingerprint(key: secret.id, request: "order-42")
        func decision(_ content: [UInt8]) -> AcceptanceLedger.Decision {
            var ledger = AcceptanceLedger(now: Sample.now, storage: .unlimited, free: nil)
            var submission = Sample.submission(MessageID(rawValue: AcceptanceLedgerTests.id)!, key: secret.id)
            submission.idempotency = Idempotency(request: fingerprint, content: content)
            return ledger.decide(
                on: submission, standing: { _ in KeyStanding(stored: stored, emailsToday: 0) },
                firstOfRepeat: { _ in nil },
                earlierRequest: { $0 == fingerprint ? .init(message: first, content: [1, 2]) : nil })
        }
        #expect(decision([1, 2]) == .repeated(first))
        #expect(decision([1, 3]) == .refuse(.idempotencyMismatch))
    }

    /// For an email of a batch, the whole request is looked up first, then the email's place in it.
    @Test func batchCountsAsOneIdempotentRequest() throws {
        let (secret, stored) = Sample.key()
        let first = try #require(MessageID(rawValue: 1))
        let whole = Fingerprint(key: secret.id, request: "order-42")
        let parts = (0..<2).map { Fingerprint(key: secret.id, request: "order-42", part: $0) }
        func decision(part: Int, content: [UInt8]) -> AcceptanceLedger.Decision {
            var ledger = AcceptanceLedger(now: Sample.now, storage: .unlimited, free: nil)
            var submission = Sample.submission(MessageID(rawValue: AcceptanceLedgerTests.id)!, key: secret.id)
            submission.idempotency = Idempotency(request: whole, part: parts[part], content: content)
            return ledger.decide(
                on: submission, standing: { _ in KeyStanding(stored: stored, emailsToday: 0) },
                firstOfRepeat: { _ in nil },
                earlierRequest: { [whole, parts[0]].contains($0) ? .init(message: first, content: [1]) : nil })
        }
        #expect(decision(part: 0, content: [1]) == .repeated(first))
        #expect(decision(part: 1, content: [1]) == .accept(.test, remembering: nil, requests: [parts[1]]))
        // Another batch under the same idempotency key is refused, even for an email at a place where the first batch
        // had none.
        #expect(decision(part: 0, content: [2]) == .refuse(.idempotencyMismatch))
        #expect(decision(part: 1, content: [2]) == .refuse(.idempotencyMismatch))
    }

    /// Each submission has a number of recipients, and the name of its batch if it has one. Each batch is submitted
    /// with all its emails. The cap is 10.
    @Test(
        arguments: [
            // All emails of the batch fit.
            ([(4, "a"), (6, "a")], [nil, nil]),
            // The batch has one email too many, so none is accepted. The next message can use the whole cap.
            ([(4, "a"), (7, "a"), (10, nil)], [.rateDay, .rateDay, nil]),
            // A message between the emails of a batch does not take their room.
            ([(4, "a"), (1, nil), (6, "a")], [nil, .rateDay, nil]),
            ([(4, "a"), (1, nil), (5, "a")], [nil, nil, nil]),
            ([(4, "a"), (2, "b"), (4, "a"), (1, "b")], [nil, .rateDay, nil, .rateDay]),
            ([(2, "a"), (3, "b"), (3, "a"), (2, "b"), (1, nil)], [nil, nil, nil, nil, .rateDay]),
        ] as [([(Int, String?)], [RefusalReason?])])
    func aBatchFitsTheDayAsAWhole(_ members: [(recipients: Int, batch: String?)], _ expected: [RefusalReason?]) {
        let (secret, stored) = Sample.key { $0.limits.perDay = 10 }
        var ledger = AcceptanceLedger(now: Sample.now, storage: .unlimited, free: nil)
        let reasons = members.enumerated().map { index, member in
            var submission = Sample.submission(
                MessageID(rawValue: AcceptanceLedgerTests.id + Int64(index))!, key: secret.id,
                recipients: Sample.recipients(member.recipients))
            submission.batch = member.batch.map { name in
                SubmissionBatch(
                    first: MessageID(rawValue: Int64(name.utf8.first ?? 0))!,
                    emails: members.filter { $0.batch == name }.reduce(0) { $0 + $1.recipients })
            }
            return reason(
                ledger.decide(
                    on: submission, standing: { _ in KeyStanding(stored: stored, emailsToday: 0) },
                    firstOfRepeat: { _ in nil }, earlierRequest: { _ in nil }))
        }
        #expect(reasons == expected)
    }

    @Test(
        arguments: [(5, 0, 5, nil), (5, 1, 5, "4 more emails"), (5, 0, 6, "never fit")] as [(Int, Int, Int, String?)])
    func dailyCapRefusalOfABatch(cap: Int, used: Int, emails: Int, words: String?) throws {
        let refusal = SendingLimits(perDay: cap).refusalOfDay(ofBatch: emails, after: used, at: Sample.now)
        #expect((refusal == nil) == (words == nil))
        guard let refusal, let words else { return }
        #expect(refusal.reason == .rateDay && refusal.explanation.contains(words))
        #expect((refusal.retryAfter == nil) == (words == "never fit"))
    }
}
