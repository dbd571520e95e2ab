import RelayCore
import Supervision
import TestSupport
import Testing

@Suite struct HeartbeatsTests {
    private static let parts = [Heartbeats.Part("loop", timeout: 15), Heartbeats.Part("store", timeout: 120)]

    struct Step: Sendable, CustomTestStringConvertible {
        var at: MonotonicTime
        var answers: [Int] = []
        var asked: [Int]
        var silent: [String]
        var testDescription: String { "at \(at.seconds)" }
    }

    /// In each step, the answers come first. Then the test lists the silent parts, and then it asks the parts.
    @Test(arguments: [
        (
            "all parts answer",
            [
                Step(at: 0, asked: [0, 1], silent: []), Step(at: 7, answers: [0, 1], asked: [0, 1], silent: []),
                Step(at: 14, answers: [1, 0], asked: [0, 1], silent: []),
            ]
        ),
        (
            "a part is asked once until it answers, and is silent only after its timeout",
            [
                Step(at: 0, asked: [0, 1], silent: []), Step(at: 7, answers: [1], asked: [1], silent: []),
                Step(at: 15, answers: [1], asked: [1], silent: []),
                Step(at: 15.1, answers: [1], asked: [1], silent: ["loop"]),
                Step(at: 60, answers: [1], asked: [1], silent: ["loop"]),
                Step(at: 67, answers: [0, 1], asked: [0, 1], silent: []),
            ]
        ),
        (
            "each part has its own timeout",
            [
                Step(at: 0, asked: [0, 1], silent: []), Step(at: 120, asked: [], silent: ["loop"]),
                Step(at: 121, asked: [], silent: ["loop", "store"]),
                Step(at: 122, answers: [0], asked: [0], silent: ["store"]),
            ]
        ),
        (
            "after a long sleep, a part that answers on waking is not silent",
            [
                Step(at: 0, asked: [0, 1], silent: []), Step(at: 36_000, answers: [0, 1], asked: [0, 1], silent: []),
            ]
        ),
    ])
    func whoIsSilent(name: String, steps: [Step]) {
        var heartbeats = Heartbeats(HeartbeatsTests.parts)
        for step in steps {
            for part in step.answers { heartbeats.answered(part) }
            #expect(heartbeats.silences(at: step.at).map(\.name) == step.silent, "\(name), at \(step.at.seconds)")
            #expect(heartbeats.ask(at: step.at) == step.asked, "\(name), at \(step.at.seconds)")
        }
    }

    @Test func silenceReportsItsDuration() {
        var heartbeats = Heartbeats(HeartbeatsTests.parts)
        _ = heartbeats.ask(at: 100)
        heartbeats.answered(1)
        #expect(heartbeats.silences(at: 116.5) == [.init(name: "loop", seconds: 16.5)])
    }
}
