import AWSTestSupport
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import AWSClient

@Suite struct DeadlinesTests {
    private let clock = ManualClock()

    /// The numbers of the calls whose time is over, in order. `next` waits for the next number.
    private final class Ends: Sendable {
        private let ended = Mutex<[Int]>([])
        private let (stream, continuation) = AsyncStream.makeStream(of: Int.self)

        var all: [Int] { ended.withLock { $0 } }

        func add(_ number: Int) {
            ended.withLock { $0.append(number) }
            continuation.yield(number)
        }

        func next() async -> Int? { await stream.first { _ in true } }
    }

    /// Moves the clock in steps of `duration` until `ends` gets a number. Returns the number.
    private func pass(_ duration: Duration, until ends: Ends) async -> Int? {
        let mover = Task { [clock] in
            while !Task.isCancelled {
                clock.advance(duration)
                await Task.yield()
            }
        }
        defer { mover.cancel() }
        return await ends.next()
    }

    @Test func aCallThatTakesTooLongIsEndedOnce() async {
        let (deadlines, ends) = (Deadlines(clock: clock), Ends())
        let first = deadlines.begin(within: .seconds(60)) { ends.add(1) }
        _ = deadlines.begin(within: .seconds(30)) { ends.add(2) }
        let third = deadlines.begin(within: .seconds(10)) { ends.add(3) }
        deadlines.ended(third)
        #expect(await pass(.seconds(1), until: ends) == 2)
        deadlines.ended(first)
        _ = deadlines.begin(within: .seconds(90)) { ends.add(4) }
        #expect(await pass(.seconds(1), until: ends) == 4)
        #expect(ends.all == [2, 4])
    }

    @Test(arguments: [3600, -3600])
    func wallClockStepsDoNotAffectDeadlines(step: Int) async {
        let (deadlines, ends) = (Deadlines(clock: clock), Ends())
        let began = clock.monotonicNow()
        _ = deadlines.begin(within: .seconds(60)) { ends.add(1) }
        clock.step(to: clock.now() + .seconds(step))
        #expect(await pass(.seconds(1), until: ends) == 1)
        #expect(clock.monotonicNow() - began >= .seconds(60))
    }
}
