import InternetMessage
import Logging
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Admission

/// Admission with a store that keeps the rates for several relays.
@Suite struct SharedRatesTests {
    private struct Site {
        let rates: StubRates
        let store = MemoryStore()
        let clock = ManualClock()
        let admission: Admission
        let grant: Grant

        init(
            _ rates: StubRates = StubRates(), limits: SendingLimits = SendingLimits(perSecond: 100),
            perDay: Int? = nil
        ) async throws {
            self.rates = rates
            let (secret, stored) = Sample.key(createdAt: clock.now()) { key in
                key.limits = limits
                key.limits.perDay = perDay
            }
            try await store.insertKey(stored)
            admission = Admission(
                configuration: .init(
                    hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .seconds(5),
                    preparation: PreparationPolicy()),
                store: StoreWithRates(store, rates: rates), clock: clock,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, observe: { _ in })
            grant = try await admission.authenticate(
                userName: Array("apikey".utf8), password: Array(secret.revealed.utf8), client: Sample.client
            ).get()
        }

        func begin(recipients: Int = 1) throws -> Admission.Reception {
            var reception = try admission.begin(
                from: .mailbox(address("from@example.com")), origin: AdmissionFixture.origin, grant
            ).get()
            for i in 0..<recipients { #expect(try reception.add(address("to\(i)@example.net")) == nil) }
            return reception
        }

        func send(recipients: Int = 1) async throws -> Result<MessageID, Refusal> {
            let content = AsyncStream<[UInt8]> { continuation in
                continuation.yield(Array("From: from@example.com\r\n\r\nHello\r\n".utf8))
                continuation.finish()
            }
            return try await admission.receive(
                from: .mailbox(address("from@example.com")),
                to: (0..<recipients).map { try address("to\($0)@example.net") }, content: content,
                origin: AdmissionFixture.origin, grant)
        }
    }

    private func word(_ opening: Admission.Reception.Opening) -> String {
        switch opening {
        case .now: "now"
        case .after(let delay): "after \(delay.inSeconds)"
        case .refused(let refusal): refusal.reason.rawValue
        case .ask: "ask"
        }
    }

    /// Opens a message for which the store must be asked. Returns the question.
    private func question(_ reception: inout Admission.Reception) throws -> Admission.RateQuestion {
        guard case .ask(let question) = reception.open() else {
            throw Refusal(.invalid, "nothing is asked")
        }
        return question
    }

    @Test(
        arguments: [
            (.success(SharedRateAnswer(answer: .go, taken: 10, aheadLasts: 0.2)), "now", []),
            (.success(SharedRateAnswer(answer: .wait(seconds: 2.5), taken: 3, aheadLasts: 0.2)), "after 2.5", [3]),
            (.success(SharedRateAnswer(answer: .refuse(seconds: 9), taken: 0, aheadLasts: 0.2)), "rate-second", []),
            (.failure(StoreError.unavailable("down")), "storage", []),
        ] as [(StubRates.Answer, String, [Int])])
    func theStoresAnswerDecides(answer: StubRates.Answer, told: String, givenBack: [Int]) async throws {
        let site = try await Site()
        var reception = try site.begin(recipients: 3)
        let question = try question(&reception)
        #expect(site.rates.questions.isEmpty, "the face has not asked yet")
        let answers = Mutex<[Admission.RateAnswer]>([])
        site.admission.ask(question) { answer in answers.withLock { $0.append(answer) } }
        #expect(
            site.rates.questions == [
                .init(emails: 3, most: 10, key: site.grant.id, limits: site.grant.key.limits, maximumWait: 5)
            ])
        site.rates.answer(answer)
        let known = try #require(answers.withLock { exchange(&$0, []).first })
        #expect(word(reception.opened(known)) == told)
        reception.giveUp()
        #expect(site.rates.givenBack == (told == "now" ? [3] : givenBack))
    }

    @Test func sliceServesMessagesWithoutAStoreQuery() async throws {
        let site = try await Site(
            StubRates { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) })
        for _ in 0..<10 { _ = try await site.send().get() }
        #expect(site.rates.questions.count == 1)
        #expect(site.rates.givenBack == [])
        _ = try await site.send().get()
        #expect(site.rates.questions.count == 2)
    }

    @Test func expiredSliceIsReturnedBeforeTheNextIsTaken() async throws {
        let site = try await Site(
            StubRates { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) })
        _ = try await site.send().get()
        site.clock.advance(.milliseconds(250))
        _ = try await site.send().get()
        #expect(site.rates.questions.count == 2 && site.rates.givenBack == [9])
    }

    @Test(arguments: [true, false]) func receptionAbandonedDuringARateQueryReturnsItsEmails(isTold: Bool) async throws {
        let site = try await Site()
        var reception = try site.begin(recipients: 2)
        let question = try question(&reception)
        let answers = Mutex<[Admission.RateAnswer]>([])
        site.admission.ask(question) { answer in
            if isTold { answers.withLock { $0.append(answer) } }
        }
        reception.giveUp()
        site.rates.allow(10)
        if let answer = answers.withLock({ exchange(&$0, []).first }) {
            #expect(word(reception.opened(answer)) == "storage")
        }
        // The two emails of the message go back first, and the rest of the slice later.
        #expect(site.rates.givenBack == [2])
        site.clock.advance(.milliseconds(250))
        site.admission.rates.giveBackUnused(expiringWithin: .zero)
        #expect(site.rates.givenBack == [2, 8])
    }

    @Test func unusedEmailsAlreadyRefilledAreNotReturned() async throws {
        let site = try await Site(
            StubRates { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) })
        _ = try await site.send().get()
        site.clock.advance(.seconds(1))
        site.admission.rates.giveBackUnused(expiringWithin: .zero)
        #expect(site.rates.givenBack == [])
    }

    @Test func emailsCountFromTheTimeOfTheStoreQuery() async throws {
        let site = try await Site()
        var reception = try site.begin(recipients: 5)
        let question = try question(&reception)
        let answers = Mutex<[Admission.RateAnswer]>([])
        site.admission.ask(question) { answer in answers.withLock { $0.append(answer) } }
        let askedAt = site.clock.monotonicNow()
        site.clock.advance(.milliseconds(20))
        site.rates.allow(5)
        let known = try #require(answers.withLock { exchange(&$0, []).first })
        #expect(word(reception.opened(known)) == "now")
        reception.giveUp()
        #expect(site.rates.givenBack == [5] && site.rates.givenBackSince == [askedAt])
    }

    @Test func connectionsOfOneKeyWaitInTheirOrder() async throws {
        let site = try await Site(limits: SendingLimits(perSecond: 10))
        let told = Mutex<[Int]>([])
        var receptions: [Admission.Reception] = []
        for i in 0..<5 {
            var reception = try site.begin()
            let question = try question(&reception)
            site.admission.ask(question) { _ in told.withLock { $0.append(i) } }
            receptions.append(reception)
        }
        for i in 1...5 {
            #expect(site.rates.open == 1)
            site.rates.allow(1)
            #expect(told.withLock { $0 } == Array(0..<i))
        }
        #expect(site.rates.open == 0)
    }

    @Test func batchIsOneRateQueryWithSharesReturnedSeparately() async throws {
        let site = try await Site(
            StubRates { .success(SharedRateAnswer(answer: .go, taken: $0.emails, aheadLasts: 0.2)) })
        let shares = try await site.admission.takeRate(forBatch: [30, 20], site.grant).get()
        #expect(site.rates.questions.map(\.emails) == [50] && site.rates.questions.map(\.maximumWait) == [0])
        shares[0].reservation.spend()
        shares[1].reservation.giveBack()
        #expect(site.rates.givenBack == [20])
    }

    @Test(
        arguments: [
            (.success(SharedRateAnswer(answer: .refuse(seconds: 3), taken: 0, aheadLasts: 0.2)), .rateSecond),
            (.failure(StoreError.instanceLost), .storage),
        ] as [(StubRates.Answer, RefusalReason)])
    func aBatchThatIsRefusedTakesNothing(answer: StubRates.Answer, reason: RefusalReason) async throws {
        let site = try await Site(StubRates { _ in answer })
        #expect(await site.admission.takeRate(forBatch: [30, 20], site.grant).reason == reason)
        #expect(site.rates.givenBack == [])
        #expect(try await site.send().reason == reason)
    }

    @Test func rateStandingReflectsStoreAnswers() async throws {
        let site = try await Site(limits: SendingLimits(perSecond: 10, burst: 50))
        func available() -> Double { site.admission.rateStanding(of: site.grant).available }
        func ask(_ emails: Int, _ answer: StubRates.Answer) throws -> Admission.Reception {
            var reception = try site.begin(recipients: emails)
            let question = try question(&reception)
            site.admission.ask(question) { answer in if case .now(let taken) = answer.answer { taken.spend() } }
            site.rates.answer(answer)
            return reception
        }
        #expect(available() == 50)
        _ = try ask(5, .success(SharedRateAnswer(answer: .go, taken: 5, aheadLasts: 0.2)))
        #expect(available() == 45)
        // Other relays have used the rate up in the meantime.
        _ = try ask(1, .success(SharedRateAnswer(answer: .refuse(seconds: 2), taken: 0, aheadLasts: 0.2)))
        #expect(available() == -19)
        site.clock.advance(.seconds(3))
        #expect(available() == 11)
        // The answer `go` shows that at least one email was available. The rest of the slice counts too.
        _ = try ask(1, .success(SharedRateAnswer(answer: .go, taken: 1, aheadLasts: 0.2)))
        #expect(available() == 10)
    }

    @Test func rateLimitRefusalsAreCounted() async throws {
        let site = try await Site(
            StubRates { _ in .success(SharedRateAnswer(answer: .refuse(seconds: 9), taken: 0, aheadLasts: 0.2)) })
        for _ in 0..<3 { #expect(try await site.send().reason == .rateSecond) }
        await site.admission.flushActivity()
        #expect(try await site.store.keyRecord(site.grant.id, now: site.clock.now())?.usage.rateLimitHits == 3)
    }

    @Test func dailyCapIsCheckedBeforeTheStoreIsAsked() async throws {
        let site = try await Site(perDay: 5)
        var reception = try site.begin(recipients: 6)
        #expect(word(reception.open()) == "rate-day")
        #expect(site.rates.questions.isEmpty)
    }

    @Test func shutdownReturnsUnusedSlices() async throws {
        let site = try await Site(
            StubRates { .success(SharedRateAnswer(answer: .go, taken: $0.most, aheadLasts: 0.2)) })
        _ = try await site.send().get()
        let run = Task { await site.admission.run() }
        run.cancel()
        await run.value
        #expect(site.rates.givenBack == [9])
    }
}

/// Errors of a store that several relays share. They concern the whole batch.
@Suite struct DoubtTests {
    @Test(arguments: [StoreError.inDoubt, .instanceLost]) func inDoubtBatchIsNotRetriedOneByOne(
        error: StoreError
    ) async throws {
        let store = DoubtfulStore(error)
        let clock = ManualClock()
        let commits = GroupCommit(store: store, clock: clock, observe: { _ in })
        let refusals = Mutex<[RefusalReason?]>([])
        let note: GroupCommit.Completion = { _, result in refusals.withLock { $0.append(result.reason) } }
        var ids = InstanceIDs(instance: 1)
        for _ in 0..<4 {
            commits.submit(
                [Sample.submission(ids.next(at: clock.now()), key: Sample.key().stored.key.id)], completion: note)
        }
        // The first submission is a batch of its own. The others arrived while this batch was under way.
        store.fail()
        #expect(store.batches == [1, 3])
        store.fail()
        #expect(refusals.withLock { $0 } == [.storage, .storage, .storage, .storage])
        #expect(store.batches == [1, 3])
    }

    @Test func messageIDsUseTheStoresCurrentInstanceNumber() {
        let store = DoubtfulStore(.inDoubt)
        let clock = ManualClock()
        let admission = Admission(
            configuration: .init(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .zero,
                preparation: PreparationPolicy()),
            store: store, clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            observe: { _ in })
        var ids: [MessageID] = []
        for number in [7, 7, 3, 9] as [Int64] {
            store.number.withLock { $0 = number }
            ids.append(admission.nextID(at: clock.now()))
        }
        #expect(ids.map(\.instance) == [7, 7, 3, 9])
        #expect(ids == ids.sorted() && Set(ids).count == 4)
    }
}

/// A store that fails each batch when a test calls `fail()`, and whose number can change.
private final class DoubtfulStore: KeyDirectoryStore, SubmissionStore {
    private struct State {
        var batches: [Int] = []
        var waiting: [@Sendable (Result<[Acceptance], any Error>) -> Void] = []
    }

    private let error: StoreError
    private let state = Mutex(State())
    let number = Mutex<Int64>(1)

    init(_ error: StoreError) { self.error = error }

    var batches: [Int] { state.withLock { $0.batches } }

    func fail() {
        let completion = state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
        completion?(.failure(error))
    }

    var instance: Int64 { number.withLock { $0 } }
    var repeatKey: RepeatKey? { nil }
    var newestMessage: MessageID? { nil }

    func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        state.withLock { state in
            state.batches.append(batch.count)
            state.waiting.append(completion)
        }
    }

    func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile { throw error }
    func discard(_ body: SpooledBody) async {}
    func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        completion(.failure(error))
    }
    func record(_ activity: [KeyID: KeyActivity]) async throws {}
    func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] { [:] }
    func changeCounter() async throws -> Int64 { 0 }
}
