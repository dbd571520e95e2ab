import TestSupport
import Testing

@testable import RelayCore

@Suite("Token bucket")
struct TokenBucketTests {
    private enum Step {
        case take(Int, at: MonotonicTime, TokenBucket.Answer)
        case giveBack(Int, takenAt: MonotonicTime = 0, at: MonotonicTime)
        case isFull(at: MonotonicTime, Bool)
    }

    private struct Scenario {
        let limits: SendingLimits
        var maximumWait = 5.0
        let steps: [Step]
    }

    /// All rates are powers of two or divide evenly, so that the numbers are exact.
    private static let scenarios: [String: Scenario] = [
        "burst, then a wait": Scenario(
            limits: SendingLimits(perSecond: 4),
            steps: [
                .isFull(at: 100, true),
                .take(1, at: 100, .go), .take(1, at: 100, .go), .take(1, at: 100, .go), .take(1, at: 100, .go),
                .isFull(at: 100, false),
                .take(1, at: 100, .wait(seconds: 0.25)),
                .isFull(at: 101, false), .isFull(at: 101.25, true),
            ]),
        "waits are handed out in order": Scenario(
            limits: SendingLimits(perSecond: 2, burst: 1),
            steps: [
                .take(1, at: 0, .go),
                .take(1, at: 0, .wait(seconds: 0.5)), .take(1, at: 0, .wait(seconds: 1)),
                .take(1, at: 0, .wait(seconds: 1.5)),
                // A caller that comes later, even a little later, gets a later time: 0.25 + 1.75 > 1.5.
                .take(1, at: 0.25, .wait(seconds: 1.75)),
                .take(1, at: 10, .go),
            ]),
        "a burst of its own": Scenario(
            limits: SendingLimits(perSecond: 1, burst: 3),
            steps: [
                .take(1, at: 0, .go), .take(1, at: 0, .go), .take(1, at: 0, .go), .take(1, at: 0, .wait(seconds: 1)),
                // During the pause, the bucket pays its debt and fills up to the burst, but no further.
                .take(3, at: 100, .go), .take(1, at: 100, .wait(seconds: 1)),
            ]),
        "a message larger than the bucket leaves it in debt": Scenario(
            limits: SendingLimits(perSecond: 10), maximumWait: 5,
            steps: [
                .take(50, at: 0, .go),
                .take(1, at: 0, .wait(seconds: 4.1)),
                .take(1, at: 3, .wait(seconds: 1.2)),
                .take(10, at: 3, .wait(seconds: 1.3)),
                .take(1, at: 3, .wait(seconds: 2.3)),
                .isFull(at: 6.2, false), .isFull(at: 6.4, true),
            ]),
        "one email in the bucket admits any message": Scenario(
            limits: SendingLimits(perSecond: 4),
            steps: [.take(3, at: 0, .go), .take(100, at: 0, .go), .take(1, at: 0, .refuse(seconds: 25))]),
        "less than one email does not": Scenario(
            limits: SendingLimits(perSecond: 1),
            steps: [.take(1, at: 0, .go), .take(1, at: 0.5, .wait(seconds: 0.5)), .take(1, at: 2, .go)]),
        "past the maximum wait nothing is taken": Scenario(
            limits: SendingLimits(perSecond: 1), maximumWait: 2,
            steps: [
                .take(1, at: 0, .go), .take(1, at: 0, .wait(seconds: 1)), .take(1, at: 0, .wait(seconds: 2)),
                .take(1, at: 0, .refuse(seconds: 3)), .take(1, at: 0, .refuse(seconds: 3)),
                .take(1, at: 1, .wait(seconds: 2)),
            ]),
        "a wait of exactly the maximum is granted": Scenario(
            limits: SendingLimits(perSecond: 2), maximumWait: 0.5,
            steps: [
                .take(2, at: 0, .go), .take(1, at: 0, .wait(seconds: 0.5)), .take(1, at: 0, .refuse(seconds: 1)),
            ]),
        "no waiting at all": Scenario(
            limits: SendingLimits(perSecond: 2), maximumWait: 0,
            steps: [.take(2, at: 0, .go), .take(1, at: 0, .refuse(seconds: 0.5)), .take(1, at: 0.5, .go)]),
        "what was not sent is given back": Scenario(
            limits: SendingLimits(perSecond: 4),
            steps: [
                .take(4, at: 0, .go), .giveBack(4, at: 0), .isFull(at: 0, true),
                .take(8, at: 0, .go), .giveBack(8, at: 0), .isFull(at: 0, true),
            ]),
        "what has flowed in since is not given back once more": Scenario(
            limits: SendingLimits(perSecond: 4),
            steps: [
                .take(4, at: 0, .go), .take(4, at: 1, .go), .take(4, at: 2, .go),
                // The first emails were kept for so long that they are worth nothing. The last ones are worth all.
                .giveBack(4, takenAt: 0, at: 2), .giveBack(4, takenAt: 1, at: 2), .take(1, at: 2, .wait(seconds: 0.25)),
                .giveBack(1, takenAt: 2, at: 2), .giveBack(4, takenAt: 2, at: 2), .isFull(at: 2, true),
            ]),
        "giving back never fills above the burst": Scenario(
            limits: SendingLimits(perSecond: 4),
            steps: [.giveBack(100, at: 0), .take(4, at: 0, .go), .take(1, at: 0, .wait(seconds: 0.25))]),
        "a rate below one": Scenario(
            limits: SendingLimits(perSecond: 0.25),
            steps: [
                .take(1, at: 0, .go), .take(1, at: 0, .wait(seconds: 4)), .take(1, at: 0, .refuse(seconds: 8)),
                .isFull(at: 7, false), .isFull(at: 8, true),
            ]),
        "a clock that steps back gives nothing and takes nothing": Scenario(
            limits: SendingLimits(perSecond: 1),
            steps: [
                .take(1, at: 100, .go), .take(1, at: 50, .wait(seconds: 1)), .isFull(at: 50, false),
                .take(1, at: 102, .go),
            ]),
    ]

    @Test("Scenarios", arguments: scenarios.keys.sorted())
    func scenario(name: String) throws {
        let scenario = try #require(Self.scenarios[name])
        var bucket = TokenBucket(limits: scenario.limits, at: name.hasPrefix("a clock") ? 100 : 0)
        for (index, step) in scenario.steps.enumerated() {
            switch step {
            case .take(let count, let now, let expected):
                let answer = bucket.take(
                    count, limits: scenario.limits, at: now, maximumWait: scenario.maximumWait)
                #expect(Self.isSame(answer, expected), "step \(index): \(answer)")
            case .giveBack(let count, let takenAt, let now):
                bucket.giveBack(count, takenAt: takenAt, limits: scenario.limits, at: now)
            case .isFull(let now, let expected):
                #expect(bucket.isFull(limits: scenario.limits, at: now) == expected, "step \(index)")
            }
        }
    }

    private static func isSame(_ a: TokenBucket.Answer, _ b: TokenBucket.Answer) -> Bool {
        switch (a, b) {
        case (.go, .go): true
        case (.wait(let a), .wait(let b)), (.refuse(let a), .refuse(let b)): abs(a - b) < 1e-9
        default: false
        }
    }

    @Test("Changed limits apply at once")
    func changedLimits() {
        let wide = SendingLimits(perSecond: 100)
        let narrow = SendingLimits(perSecond: 2)
        var bucket = TokenBucket(limits: wide, at: 0)
        #expect(bucket.take(2, limits: narrow, at: 0, maximumWait: 5) == .go)
        #expect(bucket.take(1, limits: narrow, at: 0, maximumWait: 5) == .wait(seconds: 0.5))
        #expect(bucket.take(1, limits: wide, at: 1, maximumWait: 5) == .go)
    }

    @Test("Over a long time, no more emails are sent than the rate and one burst allow")
    func longRun() {
        let limits = SendingLimits(perSecond: 7, burst: 20)
        var bucket = TokenBucket(limits: limits, at: 0)
        var generator = SeededGenerator(seed: 11)
        var now: MonotonicTime = 0
        var moments: [(at: MonotonicTime, count: Int)] = []
        var latest: MonotonicTime = 0
        for _ in 0..<5000 {
            now = now.advanced(bySeconds: Double.random(in: 0..<0.3, using: &generator))
            let count = Int.random(in: 1...4, using: &generator)
            switch bucket.take(count, limits: limits, at: now, maximumWait: 2) {
            case .go: moments.append((now, count))
            case .wait(let seconds):
                #expect(seconds > 0 && seconds <= 2)
                moments.append((now.advanced(bySeconds: seconds), count))
            case .refuse(let seconds): #expect(seconds > 2)
            }
            if let last = moments.last {
                #expect(last.at.seconds(since: latest) >= -1e-9)
                latest = max(latest, last.at)
            }
        }
        let sent = moments.reduce(0) { $0 + $1.count }
        // The last message may exceed this by its own emails.
        #expect(Double(sent) <= 20 + 7 * latest.seconds + 4)
        #expect(Double(sent) >= 7 * latest.seconds * 0.9)
    }
}
