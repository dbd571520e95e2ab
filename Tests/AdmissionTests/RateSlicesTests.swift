import RelayCore
import TestSupport
import Testing

@testable import Admission

/// Slices of keys' rates, tested as values: what the store is asked, which waiters are served, and what is given back.
@Suite struct RateSlicesTests {
    private typealias Slices = RateSlices<Int>
    private static let key = Sample.key().stored.key.id
    private static let limits = SendingLimits(perSecond: 100)

    /// Slices of one key, and the waiters that were served.
    private struct Bench {
        var slices = Slices()
        var now: MonotonicTime = 1000
        var served: [String] = []
        var questions: [Slices.StoreQuery] = []

        mutating func ask(
            _ waiter: Int, _ emails: Int = 1, wait: Double = 5, limits: SendingLimits = RateSlicesTests.limits
        ) {
            let step = slices.enlist(
                waiter, for: emails, maximumWait: wait, key: RateSlicesTests.key, limits: limits, at: now)
            switch step {
            case .now: served.append("\(waiter) go")
            case .ask(let question): questions.append(question)
            case .wait: break
            case .full: served.append("\(waiter) full")
            }
        }

        mutating func answer(_ answer: TokenBucket.Answer, taken: Int) {
            answered(.success(SharedRateAnswer(answer: answer, taken: taken, aheadLasts: 0.2)))
        }

        mutating func answered(_ result: Result<SharedRateAnswer, any Error>) {
            guard let question = questions.last else { return }
            let (outcomes, next) = slices.answered(question, result, at: now)
            served += outcomes.map { outcome in
                switch outcome.result {
                case .success(.go): "\(outcome.waiter) go"
                case .success(.wait(let seconds)): "\(outcome.waiter) wait \(seconds)"
                case .success(.refuse(let seconds)): "\(outcome.waiter) refuse \(seconds)"
                case .failure: "\(outcome.waiter) failed"
                }
            }
            if let next { questions.append(next) }
        }

        func left(_ limits: SendingLimits = RateSlicesTests.limits) -> Int {
            slices.left(RateSlicesTests.key, limits: limits, at: now)
        }
    }

    @Test(
        arguments: [
            (100, nil, 1, 10), (100, nil, 50, 50), (15, nil, 1, 1), (0.5, nil, 1, 1), (1000, 5, 1, 5),
            (1e12, nil, 1, 1_000_000),
        ] as [(Double, Int?, Int, Int)])
    func asksForATenthOfASecondAndForTheMessageAtLeast(rate: Double, burst: Int?, emails: Int, most: Int) {
        var bench = Bench()
        bench.ask(1, emails, limits: SendingLimits(perSecond: rate, burst: burst))
        #expect(bench.questions.map(\.most) == [most])
        #expect(bench.questions.map(\.emails) == [emails])
    }

    @Test func leftoverOfASliceServesLaterMessages() {
        var bench = Bench()
        let isEmpty = bench.slices.take(1, key: Self.key, limits: Self.limits, at: bench.now)
        #expect(!isEmpty)
        bench.ask(1, 2)
        bench.answer(.go, taken: 10)
        #expect(bench.served == ["1 go"] && bench.left() == 8)
        let taken = bench.slices.take(8, key: Self.key, limits: Self.limits, at: bench.now)
        #expect(taken && bench.left() == 0 && bench.slices.count == 0)
        let isUsedUp = bench.slices.take(1, key: Self.key, limits: Self.limits, at: bench.now)
        #expect(!isUsedUp)
    }

    @Test func oneStoreQueryAtATimeServesWaitersInOrder() {
        var bench = Bench()
        for waiter in 1...4 { bench.ask(waiter, waiter == 3 ? 20 : 2) }
        #expect(bench.questions.count == 1)
        // No message overtakes the waiting ones, even if the slice has emails left.
        bench.answer(.go, taken: 10)
        #expect(bench.served == ["1 go", "2 go"] && bench.left() == 6)
        let passes = bench.slices.take(1, key: Self.key, limits: Self.limits, at: bench.now)
        #expect(!passes)
        #expect(bench.questions.map(\.emails) == [2, 20])
        bench.answer(.wait(seconds: 0.5), taken: 20)
        #expect(bench.served == ["1 go", "2 go", "3 wait 0.5"])
        #expect(bench.questions.map(\.emails) == [2, 20, 2])
        bench.answer(.go, taken: 10)
        #expect(bench.served.last == "4 go" && bench.questions.count == 3)
    }

    @Test func refusalCoversWaitersWithNoLongerMaximumWait() {
        var bench = Bench()
        for (waiter, wait) in [(1, 0), (2, 5), (3, 0), (4, 1)] { bench.ask(waiter, wait: Double(wait)) }
        bench.answer(.refuse(seconds: 2), taken: 0)
        #expect(bench.served == ["1 refuse 2.0", "3 refuse 2.0", "4 refuse 2.0"])
        #expect(bench.questions.map(\.maximumWait) == [0, 5])
    }

    @Test func storeFailureFailsAllWaiters() {
        var bench = Bench()
        for waiter in 1...3 { bench.ask(waiter) }
        bench.answered(.failure(StoreError.unavailable("down")))
        #expect(bench.served == ["1 failed", "2 failed", "3 failed"])
        #expect(bench.questions.count == 1 && bench.slices.count == 0)
        bench.ask(4)
        #expect(bench.questions.count == 2)
    }

    @Test func atMostAThousandCallersMayWait() {
        var bench = Bench()
        for waiter in 0..<1001 { bench.ask(waiter) }
        #expect(bench.served == ["1000 full"])
    }

    @Test func changedLimitsDropTheSlice() {
        let other = SendingLimits(perSecond: 20)
        var bench = Bench()
        bench.ask(1)
        bench.answer(.go, taken: 10)
        #expect(bench.left() == 9 && bench.left(other) == 0)
        bench.ask(2, limits: other)
        #expect(bench.questions.last?.limits == other && bench.left() == 0)
        bench.answer(.go, taken: 2)
        #expect(bench.left(other) == 1)
    }

    @Test func unusedEmailsAreReturnedOnceTheSliceExpires() {
        var bench = Bench()
        bench.ask(1)
        bench.answer(.go, taken: 10)
        let until = bench.now + .milliseconds(200)
        #expect(bench.slices.removeUnused(expiringBefore: until) == [])
        bench.now = until
        #expect(bench.left() == 0)
        let isStale = bench.slices.take(1, key: Self.key, limits: Self.limits, at: bench.now)
        #expect(!isStale)
        #expect(
            bench.slices.removeUnused(expiringBefore: until + .milliseconds(1))
                == [.init(key: Self.key, emails: 9, until: until, limits: Self.limits)])
        #expect(bench.slices.count == 0)
    }

    @Test func answerAfterSliceExpiryServesOnlyTheFirstWaiter() {
        var bench = Bench()
        for waiter in 1...3 { bench.ask(waiter) }
        bench.now = bench.now + .milliseconds(250)
        bench.answer(.go, taken: 10)
        #expect(bench.served == ["1 go"] && bench.questions.count == 2)
        bench.answer(.go, taken: 10)
        #expect(bench.served == ["1 go", "2 go", "3 go"] && bench.left() == 8)
    }

    @Test func expiredSliceOfASingleKeyCanBeRemoved() {
        var bench = Bench()
        bench.ask(1)
        bench.answer(.go, taken: 10)
        #expect(bench.slices.removeUnused(of: Self.key, at: bench.now) == nil)
        bench.now = bench.now + .seconds(1)
        #expect(bench.slices.removeUnused(of: Self.key, at: bench.now)?.emails == 9)
        #expect(bench.slices.removeUnused(of: Self.key, at: bench.now) == nil)
    }

    @Test func unexpiredSlicesCanAllBeReturnedAtTheEnd() {
        var bench = Bench()
        bench.ask(1)
        bench.answer(.go, taken: 10)
        bench.ask(2, 30)
        #expect(bench.slices.removeUnused(expiringBefore: nil).map(\.emails) == [9])
        // The waiter is answered anyway.
        bench.answer(.go, taken: 30)
        #expect(bench.served == ["1 go", "2 go"])
    }

    @Test func unrequestedStoreAnswerIsIgnored() {
        var bench = Bench()
        bench.ask(1)
        bench.answered(.failure(StoreError.unavailable("down")))
        bench.served = []
        bench.answer(.go, taken: 10)
        #expect(bench.served.isEmpty && bench.slices.count == 0)
    }

    @Test func keysBeyondTheBoundHaveNoSlice() throws {
        var slices = Slices()
        var asked: [Slices.StoreQuery] = []
        for _ in 0...Slices.maximumKeys {
            let key = Sample.key().stored.key.id
            guard
                case .ask(let question) = slices.enlist(
                    1, for: 1, maximumWait: 0, key: key, limits: Self.limits, at: 1000)
            else { continue }
            asked.append(question)
            _ = slices.answered(
                question, .success(SharedRateAnswer(answer: .go, taken: question.most, aheadLasts: 0.2)), at: 1000)
        }
        #expect(asked.first?.most == 10 && asked.last?.most == 1)
        #expect(slices.count == Slices.maximumKeys)
    }
}
