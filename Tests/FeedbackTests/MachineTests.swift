import RelayCore
import TestSupport
import Testing

@testable import Feedback

@Suite struct FeedbackMachineTests {
    private let wall = Timestamp(milliseconds: 1_795_608_000_000)

    private func report(_ number: Int) -> FeedbackReport {
        FeedbackReport(
            sesMessageID: "id-\(number)", recipient: "a@example.com",
            event: RecipientEvent(.delivered, at: Timestamp(milliseconds: 0)))
    }

    private func messages(_ numbers: Range<Int>, reports: Int = 1) -> [FeedbackMachine.Message] {
        numbers.map { number in
            .init(receipt: "r\(number)", reading: .reports((0..<reports).map { report(1000 * number + $0) }))
        }
    }

    private func receipts(_ numbers: Range<Int>) -> [String] { numbers.map { "r\($0)" } }

    /// A machine that waits for its first message. No event in the store waits for a match.
    private func started() -> FeedbackMachine {
        var machine = FeedbackMachine()
        #expect(machine.next(at: 0) == [.matchWaiting, .receive(limit: 10)])
        machine.matched(nil, at: 0)
        #expect(machine.next(at: 0) == [.tell(.stored(FeedbackOutcome(), matched: true))])
        return machine
    }

    /// The actions without `.log`, `.tell` and `.note`.
    private func work(_ actions: [FeedbackMachine.Action]) -> [FeedbackMachine.Action] {
        actions.filter {
            switch $0 {
            case .tell, .log, .note: false
            default: true
            }
        }
    }

    private func lines(_ actions: [FeedbackMachine.Action]) -> [FeedbackLine] {
        actions.compactMap { if case .log(let line) = $0 { line } else { nil } }
    }

    private func outcome(_ count: Int, waiting: Int = 0) -> FeedbackOutcome {
        var outcome = FeedbackOutcome()
        outcome.recorded = [.delivered: count]
        outcome.waiting = waiting
        return outcome
    }

    @Test func deletesOnlyCommittedMessages() {
        var machine = started()
        machine.received(messages(0..<3), limit: 10, at: 1, wall)
        #expect(work(machine.next(at: 1)) == [.record([report(0), report(1000), report(2000)]), .receive(limit: 10)])
        #expect(work(machine.next(at: 2)).isEmpty)
        machine.recorded(outcome(3), at: 3)
        #expect(machine.next(at: 3) == [.tell(.stored(outcome(3), matched: false)), .delete(receipts(0..<3))])
        machine.deleted(3, kept: 0, at: 4)
        #expect(machine.next(at: 4).isEmpty)
    }

    @Test func messagesWithoutReportsAreDeletedAtOnce() {
        var machine = started()
        machine.received(
            [
                .init(receipt: "a", reading: .passedOver(.open)), .init(receipt: "b", reading: .unknownKind("New")),
                .init(receipt: "c", reading: .malformed("no JSON")),
            ], limit: 10, at: 1, wall)
        let actions = machine.next(at: 1)
        #expect(work(actions) == [.delete(["a", "b", "c"]), .receive(limit: 10)])
        #expect(lines(actions) == [.unknownKind("New"), .malformed("no JSON", others: 0)])
        #expect(actions.contains(.tell(.passedOver(.open))))
        #expect(actions.contains(.tell(.unknownKind)))
        #expect(actions.contains(.tell(.malformed)))
    }

    /// While one transaction runs, the messages that other calls receive are gathered for the next transaction.
    @Test func severalReceivesShareOneTransaction() {
        var machine = started()
        machine.received(messages(0..<10), limit: 10, at: 1, wall)
        #expect(work(machine.next(at: 1)).count == 3, "one action records, and two receive more")
        machine.received(messages(10..<20), limit: 10, at: 1, wall)
        machine.received(messages(20..<30), limit: 10, at: 1, wall)
        #expect(work(machine.next(at: 1)).allSatisfy { $0 == .receive(limit: 10) })
        machine.recorded(outcome(10), at: 2)
        #expect(work(machine.next(at: 2)) == [.delete(receipts(0..<10))])
        // Each transaction syncs the disk, so the machine waits a moment for more messages.
        #expect(machine.wakeAt == MonotonicTime(seconds: 2) + FeedbackMachine.gatherTime)
        #expect(work(machine.next(at: 3)) == [.record((10..<30).map { report(1000 * $0) })])
    }

    @Test func fullBatchIsRecordedWithoutDelay() {
        var machine = started()
        machine.received(messages(0..<10), limit: 10, at: 1, wall)
        _ = machine.next(at: 1)
        for start in stride(from: 10, to: 10 + FeedbackMachine.gathered, by: 10) {
            machine.received(messages(start..<start + 10), limit: 10, at: 1, wall)
        }
        machine.recorded(outcome(10), at: 2)
        let actions = work(machine.next(at: 2))
        #expect(actions.contains(.record((10..<10 + FeedbackMachine.gathered).map { report(1000 * $0) })))
    }

    @Test func reportsPerTransactionAreBounded() {
        var machine = started()
        machine.received(messages(0..<10, reports: 200), limit: 10, at: 1, wall)
        let recorded = machine.next(at: 1).compactMap {
            if case .record(let reports) = $0 { reports.count } else { nil }
        }
        #expect(recorded == [400])
        machine.recorded(outcome(400), at: 2)
        #expect(work(machine.next(at: 2)).first == .delete(["r0", "r1"]))
    }

    @Test func receiversMultiplyWhileTheQueueIsFull() {
        var machine = started()
        var receivers = 1
        var counts: [Int] = []
        for round in 0..<6 {
            machine.received(messages(10 * round..<10 * round + 10), limit: 10, at: 1, wall)
            receivers -= 1
            for action in machine.next(at: 1) where action == .receive(limit: 10) { receivers += 1 }
            counts.append(receivers)
        }
        #expect(counts == [2, 4, 8, 8, 8, 8])
        machine.received([], limit: 10, at: 2, wall)
        #expect(work(machine.next(at: 2)).isEmpty, "receivers end until one is left")
    }

    @Test func messagesHeldInMemoryAreBounded() {
        var machine = started()
        var taken = 0
        var receivers = 1
        while receivers > 0, taken < 2000 {
            machine.received(messages(taken..<taken + 10), limit: 10, at: 1, wall)
            taken += 10
            receivers -= 1
            for action in machine.next(at: 1) where action == .receive(limit: 10) { receivers += 1 }
        }
        #expect(taken <= FeedbackMachine.mostInHand + 10 * FeedbackMachine.mostReceivers)
    }

    @Test func aFailedCommitDeletesNothingAndIsTriedAgain() {
        var machine = started()
        machine.received(messages(0..<2), limit: 10, at: 1, wall)
        _ = machine.next(at: 1)
        machine.recordFailed("disk full", at: 2)
        let actions = machine.next(at: 2)
        #expect(work(actions).isEmpty)
        #expect(lines(actions) == [.storeFailed("disk full")])
        #expect(machine.wakeAt == 3)
        // After a failure, messages are recorded one by one, and no more messages are received meanwhile.
        #expect(work(machine.next(at: 3)) == [.record([report(0)])])
        machine.recordFailed("disk full", at: 3)
        #expect(lines(machine.next(at: 3)).isEmpty, "the failure was logged before")
        #expect(machine.wakeAt == 5)
        #expect(work(machine.next(at: 5)) == [.record([report(1000)])])
        machine.recorded(outcome(1), at: 6)
        let recovered = machine.next(at: 6)
        #expect(lines(recovered) == [.storeRecovered(seconds: 4)])
        #expect(work(recovered) == [.delete(["r1"])])
        #expect(work(machine.next(at: 7)) == [.record([report(0)])])
        machine.recorded(outcome(1), at: 8)
        #expect(work(machine.next(at: 8)) == [.delete(["r0"])])
    }

    @Test func reportsTheStoreKeepsRejectingStayInTheQueue() {
        var machine = started()
        machine.received(messages(0..<1), limit: 10, at: 1, wall)
        var now: MonotonicTime = 1
        var failures = 0
        var actions = machine.next(at: now)
        while actions.contains(where: { if case .record = $0 { true } else { false } }) {
            failures += 1
            machine.recordFailed("no", at: now)
            actions = machine.next(at: now)
            if let wake = machine.wakeAt, failures < FeedbackMachine.mostFailures {
                now = wake
                actions = machine.next(at: now)
            }
        }
        #expect(failures == FeedbackMachine.mostFailures)
        #expect(actions.contains(.tell(.leftAlone)))
        #expect(!actions.contains { if case .delete = $0 { true } else { false } })
    }

    @Test func queueOutageIsLoggedOnceAndPolledLessOften() {
        var machine = started()
        let refused = SQSFailure(.unreachable, "no connection")
        var now: MonotonicTime = 0
        var pauses: [Double] = []
        var told: [FeedbackLine] = []
        for _ in 0..<9 {
            machine.receiveFailed(refused, limit: 10, at: now, wall)
            told += lines(machine.next(at: now))
            var wake = now
            // The action `.note` may come first.
            repeat {
                wake = machine.wakeAt ?? now
                let actions = machine.next(at: wake)
                for case .note in actions { machine.noted(isStored: true) }
                if actions.contains(.receive(limit: 10)) { break }
            } while true
            pauses.append(wake.seconds(since: now))
            now = wake
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        #expect(told == [.queueFailed(refused)])
        machine.receiveFailed(SQSFailure(.denied, "not allowed"), limit: 10, at: now, wall)
        #expect(lines(machine.next(at: now)) == [.queueFailed(SQSFailure(.denied, "not allowed"))], "another kind")
        now = now + .seconds(60)
        _ = machine.next(at: now)
        machine.received([], limit: 10, at: now, wall)
        #expect(lines(machine.next(at: now)) == [.queueRecovered(seconds: now.seconds)])
    }

    /// If a policy lacks sqs:DeleteMessage, only the failed deletion shows it.
    @Test func deleteFailureIsAnOutage() {
        var machine = started()
        machine.received(messages(0..<1), limit: 10, at: 1, wall)
        _ = machine.next(at: 1)
        machine.recorded(outcome(1), at: 1)
        _ = machine.next(at: 1)
        machine.deleteFailed(1, SQSFailure(.denied, "not allowed"), at: 1, wall)
        #expect(lines(machine.next(at: 1)) == [.queueFailed(SQSFailure(.denied, "not allowed"))])
        machine.received([], limit: 10, at: 2, wall)
        #expect(lines(machine.next(at: 2)).isEmpty, "a successful read does not end the outage")
        machine.deleted(1, kept: 0, at: 3)
    }

    @Test func oversizedReceiveIsRetriedOneMessageAtATime() {
        var machine = started()
        machine.receiveFailed(SQSFailure(.tooLong, "too long"), limit: 10, at: 1, wall)
        #expect(machine.next(at: 1) == [.receive(limit: 1)])
        for _ in 0..<FeedbackMachine.singles - 1 {
            machine.received([], limit: 1, at: 2, wall)
            #expect(work(machine.next(at: 2)) == [.receive(limit: 1)])
        }
        machine.received([], limit: 1, at: 2, wall)
        #expect(work(machine.next(at: 2)) == [.receive(limit: 10)])
        machine.receiveFailed(SQSFailure(.tooLong, "too long"), limit: 1, at: 3, wall)
    }

    @Test func waitingReportsAreMatchedEverySecond() {
        var machine = started()
        machine.received(messages(0..<1), limit: 10, at: 1, wall)
        _ = machine.next(at: 1)
        machine.recorded(outcome(0, waiting: 1), at: 1)
        #expect(!machine.next(at: 1).contains(.matchWaiting))
        #expect(machine.wakeAt == 2)
        #expect(machine.next(at: 2).contains(.matchWaiting))
        machine.matched(outcome(0, waiting: 1), at: 2)
        #expect(!machine.next(at: 2).contains(.matchWaiting))
        #expect(machine.next(at: 3).contains(.matchWaiting))
        machine.matched(nil, at: 3)
        #expect(!machine.next(at: 100).contains(.matchWaiting))
    }

    @Test func putsItsStateOnRecordEveryTenSecondsAtMost() {
        var machine = started()
        var notes: [Int] = []
        for second in 0..<35 {
            let now = MonotonicTime(seconds: Double(second))
            machine.received([], limit: 10, at: now, wall)
            for case .note in machine.next(at: now) {
                notes.append(second)
                machine.noted(isStored: true)
            }
        }
        #expect(notes == [0, 10, 20, 30])
    }

    @Test func malformedMessagesAreLoggedFiveTimesAMinute() {
        var machine = started()
        var told: [FeedbackLine] = []
        for number in 0..<100 {
            machine.received(
                [.init(receipt: "\(number)", reading: .malformed("no JSON"))], limit: 10, at: 1, wall)
            told += lines(machine.next(at: 1))
            machine.deleted(1, kept: 0, at: 1)
        }
        machine.received([.init(receipt: "last", reading: .malformed("no JSON"))], limit: 10, at: 62, wall)
        told += lines(machine.next(at: 62))
        #expect(told.count == 6)
        #expect(told.last == .malformed("no JSON", others: 95))
    }

    @Test func committedMessagesAreDeletedDuringShutdown() {
        var machine = started()
        machine.received(messages(0..<1), limit: 10, at: 1, wall)
        #expect(work(machine.next(at: 1)) == [.record([report(0)]), .receive(limit: 10)])
        machine.received(messages(1..<2), limit: 10, at: 1, wall)
        machine.end(at: 1)
        machine.noted(isStored: true)
        #expect(!machine.next(at: 1).contains(.stop))
        machine.recorded(outcome(1), at: 1.5)
        #expect(work(machine.next(at: 1.5)) == [.delete(["r0"])], "a message that came meanwhile is left in the queue")
        machine.noted(isStored: true)
        machine.deleted(1, kept: 0, at: 2)
        #expect(machine.next(at: 2) == [.stop])
    }

    @Test func shutdownTakesAtMostTwoSeconds() {
        var machine = started()
        machine.end(at: 1)
        #expect(machine.next(at: 1).isEmpty)
        #expect(machine.wakeAt == 3)
        #expect(machine.next(at: 3) == [.stop])
    }
}
