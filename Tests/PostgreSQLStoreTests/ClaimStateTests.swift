import RelayCore
import Testing

@testable import PostgreSQLStore

/// The values that decide where searches begin and how often slow work is done.
@Suite struct ClaimStateTests {
    private let moment = MonotonicTime(seconds: 1000)
    private let now = Timestamp(milliseconds: 1_000_000)

    private func known(_ key: String) -> QueuedKeys {
        var queued = QueuedKeys()
        queued.add([key], at: moment)
        return queued
    }

    @Test func searchStartsAtTheFirstDueDelivery() {
        var queued = known("a")
        #expect(queued.mark(of: "a") == .min)
        queued.saw([("a", 5000)], now: now, from: moment, at: moment + .seconds(1))
        #expect(queued.mark(of: "a") == 5000)
    }

    @Test(arguments: [nil, 1_000_000, Int64.max])
    func searchStartsSlightlyInThePastIfNothingIsDue(first: Int64?) {
        var queued = known("a")
        queued.saw([("a", first)], now: now, from: moment, at: moment)
        #expect(queued.mark(of: "a") == 1_000_000 - QueuedKeys.margin)
    }

    @Test func deliveryQueuedDuringASearchIsFoundByTheNext() {
        var queued = known("a")
        queued.saw([("a", 5000)], now: now, from: moment, at: moment)
        let start = moment + .seconds(1)
        queued.queued("a", due: Timestamp(milliseconds: 4000), at: start + .seconds(1))
        queued.saw([("a", nil)], now: now, from: start, at: start + .seconds(2))
        #expect(queued.mark(of: "a") == 4000)
        queued.saw([("a", nil)], now: now, from: start + .seconds(3), at: start + .seconds(4))
        #expect(queued.mark(of: "a") == 1_000_000 - QueuedKeys.margin)
    }

    @Test func fullSearchesAreRarerWhenTheyTakeLong() {
        var queued = known("a")
        func rewinds(at time: MonotonicTime) -> Bool {
            queued.saw([("a", 5000)], now: now, from: time, at: time)
            queued.rewind(at: time)
            return queued.mark(of: "a") == .min
        }
        #expect(rewinds(at: moment))
        queued.searched(from: moment, to: moment + .milliseconds(10))
        #expect(!rewinds(at: moment + .seconds(10)))
        let second = moment + .seconds(10.01)
        #expect(rewinds(at: second))
        queued.searched(from: second, to: second + .seconds(0.5))
        #expect(!rewinds(at: second + .seconds(25)))
        #expect(rewinds(at: second + .seconds(26)))
    }

    @Test(arguments: [(0.01, 2.0), (0.09, 2.0), (0.15, 7.5), (3, 60.0), (600, 60.0)])
    func slowWorkIsFollowedByLongerPauses(took: Double, pause: Double) {
        var work = PacedWork(interval: .seconds(2), longest: .seconds(60))
        #expect(work.isDue(at: moment))
        let end = moment + .seconds(took)
        work.ran(from: moment, to: end)
        #expect(!work.isDue(at: end + .seconds(pause - 0.01)))
        #expect(work.isDue(at: end + .seconds(pause + 0.01)))
    }

    @Test func countsMoveToAnotherRowPeriodically() {
        var slots = CountSlots()
        let (today, tomorrow) = (CountSlots.Place(whose: "a", day: 1), CountSlots.Place(whose: "a", day: 2))
        for _ in 0..<CountSlots.additionsPerSlot { #expect(slots.next(today) == 0) }
        #expect(slots.next(today) == 1)
        #expect(slots.next(tomorrow) == 0)
        #expect(slots.next(today) == 1)
    }

    @Test func countSlotsAreResetWhenThereAreTooMany() {
        var slots = CountSlots()
        for day in 0..<Int64(CountSlots.mostPlaces) {
            for _ in 0...(day == 0 ? CountSlots.additionsPerSlot : 0) { _ = slots.next(.init(whose: "a", day: day)) }
        }
        #expect(slots.next(.init(whose: "a", day: 0)) == 1)
        #expect(slots.next(.init(whose: "b", day: 0)) == 0)
        #expect(slots.next(.init(whose: "a", day: 0)) == 0)
    }
}
