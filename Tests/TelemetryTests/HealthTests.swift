import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Telemetry

@Suite struct HealthTests {
    private let clock = ManualClock()

    @Test func eachPartIsNamedWithWhatIsWrong() async {
        let health = Health(
            [.init("a") {}, .init("b") { throw Health.Problem("broken") }, .init("c") { throw StoreError.full }],
            clock: clock)
        let findings = await health.findings()
        #expect(findings.map(\.name) == ["a", "b", "c"])
        #expect(findings.map(\.problem) == [nil, "broken", StoreError.full.description])
    }

    /// A part that hangs is asked only once, however often its health is asked for. It is healthy again as soon as it
    /// answers.
    @Test func hangingPartIsCheckedOnlyOnce() async {
        let gate = Gate()
        let health = Health(
            [.init("hung") { await gate.pass() }, .init("well") {}], clock: clock, limit: .milliseconds(1))
        for _ in 0..<5 {
            let problems = await health.findings().map(\.problem)
            #expect(problems.map { $0 == nil } == [false, true])
            #expect(problems.first?.mentions("answer") == true)
        }
        #expect(gate.arrivals == 1)
        gate.open()
        while await health.findings().first?.problem != nil { await Task.yield() }
    }

    @Test func healthAnswerIsCachedWhileFresh() async {
        let asked = Atomic(0)
        let health = Health(
            [
                .init("dear", freshFor: .seconds(1)) {
                    if asked.add(1, ordering: .relaxed).newValue > 1 { throw Health.Problem("broken") }
                }
            ], clock: clock)
        #expect(await health.findings().first?.problem == nil)
        clock.advance(.milliseconds(999))
        #expect(await health.findings().first?.problem == nil)
        #expect(asked.load(ordering: .relaxed) == 1)
        clock.advance(.milliseconds(1))
        #expect(await health.findings().first?.problem == "broken")
    }
}

/// Makes the callers of `pass` wait until it is opened.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var arrivals = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var arrivals: Int { state.withLock { $0.arrivals } }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                state.arrivals += 1
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
