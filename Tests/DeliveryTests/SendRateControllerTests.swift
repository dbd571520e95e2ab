import RelayCore
import TestSupport
import Testing

@testable import Delivery

@Suite struct SendRateControllerTests {
    @Test(
        arguments: [(nil, nil, 14.0), (5, nil, 5), (nil, 200, 200), (50, 20, 20), (10, 20, 10)]
            as [(Double?, Double?, Double)])
    func allowedRateIsTheLowerOfSettingAndQuota(setting: Double?, quota: Double?, allowed: Double) {
        var rateController = SendRateController(setting: setting, at: 0)
        if let quota { rateController.learn(rate: quota, at: 0) }
        #expect(rateController.allowedRate == allowed)
        #expect(rateController.rate(at: 0) <= allowed && rateController.rate(at: 0) >= 0.95 * allowed)
    }

    @Test(
        arguments: [
            (nil, nil, 14.0), (5, nil, 5), (nil, 200, 200), (50, 20, 20), (10, 20, 10), (0.01, nil, 0.01),
            (0.01, 0, 0.01), (0, nil, 0.001), (nil, 0, 0.1),
        ]
            as [(Double?, Double?, Double)])
    func anotherSettingCountsFromThenOn(setting: Double?, quota: Double?, allowed: Double) {
        var rateController = SendRateController(setting: 30, at: 0)
        if let quota { rateController.learn(rate: quota, at: 0) }
        rateController.limit(to: setting, at: 1)
        #expect(rateController.allowedRate == allowed)
    }

    @Test func rateCutSurvivesASettingChange() {
        var rateController = SendRateController(setting: 100, at: 0)
        let wasCut = rateController.answered(throttled: true, sentAt: 0, at: 0)
        #expect(wasCut)
        let cut = rateController.rate(at: 0)
        rateController.limit(to: 200, at: 0)
        #expect(rateController.rate(at: 0) == cut)
        rateController.limit(to: 10, at: 0)
        #expect(rateController.rate(at: 0) < 10)
    }

    // MARK: Shares

    /// The shares are whole numbers that add up to the rate. The first ones may be greater by one, and the first one
    /// has the fraction.
    @Test(
        arguments: [
            (14, [14]), (13.5, [13.5]), (14, [7, 7]), (14, [5, 5, 4]), (20, [7, 7, 6]), (2, [1, 1, 0]),
            (7.5, [3.5, 2, 2]), (0.5, [0.5, 0, 0]),
        ] as [(Double, [Double])])
    func relaysDivideTheRateInWholeNumbers(allowed: Double, parts: [Double]) {
        for (place, part) in parts.enumerated() {
            var rateController = SendRateController(setting: allowed, at: 0)
            rateController.take(share: RateShare(place: place, count: parts.count), at: 0)
            #expect(rateController.allowedRate == allowed)
            let headroom = parts.count > 1 ? SendRateController.sharedHeadroom : SendRateController.headroom
            #expect(abs(rateController.rate(at: 0) - part * headroom) < 1e-6)
            #expect(rateController.maySend == (part > 0))
        }
    }

    @Test(arguments: [(14, 2), (14, 3), (50, 3), (100, 7), (333, 10)] as [(Double, Int)])
    func combinedRelayRateIsNeverExceededInAnySecond(allowed: Double, relays: Int) {
        var controllers = (0..<relays).map { _ in SendRateController(setting: allowed, at: 0) }
        for i in controllers.indices { controllers[i].take(share: RateShare(place: i, count: relays), at: 0) }
        // All controllers are full, so they begin at the same time, which is the worst case.
        var sent: [MonotonicTime] = []
        for step in 0..<5000 {
            let now = MonotonicTime(seconds: 100 + Double(step) / 1000)
            for i in controllers.indices where controllers[i].delay(at: now) <= 0 {
                controllers[i].take(1, at: now)
                sent.append(now)
            }
        }
        var first = 0
        for (last, moment) in sent.enumerated() {
            while moment.seconds(since: sent[first]) >= 1 { first += 1 }
            #expect(Double(last - first + 1) <= allowed)
        }
        #expect(Double(sent.count) >= 0.9 * 5 * allowed)
    }

    @Test func newRateShareAppliesAtOnce() {
        var rateController = SendRateController(setting: 100, at: 0)
        rateController.take(share: .none, at: 0)
        #expect(!rateController.maySend && rateController.rate(at: 0) == 0)
        #expect(rateController.delay(at: 1000) == .infinity)
        rateController.take(share: RateShare(place: 0, count: 4), at: 1000)
        #expect(rateController.delay(at: 1000) <= 0)
        rateController.take(10, at: 1000)
        let slow = rateController.delay(at: 1000)
        rateController.take(share: RateShare(place: 0, count: 2), at: 1000)
        #expect(abs(rateController.delay(at: 1000) - slow / 2) < 1e-6)
    }

    @Test func rateCutScalesWithTheShare() {
        var rateController = SendRateController(setting: 100, at: 0)
        rateController.take(share: RateShare(place: 0, count: 2), at: 0)
        let wasCut = rateController.answered(throttled: true, sentAt: 0, at: 0)
        #expect(wasCut)
        let cut = rateController.rate(at: 0)
        rateController.take(share: RateShare(place: 0, count: 4), at: 0)
        #expect(abs(rateController.rate(at: 0) - cut / 2) < 1e-6)
    }

    // MARK: Seconds

    @Test(arguments: [0.5, 1, 2, 14, 50, 90, 333, 1000])
    func rateIsNeverExceededInAnySecond(allowed: Double) {
        var rateController = SendRateController(setting: allowed, at: 0)
        var sent: [MonotonicTime] = []
        var now: MonotonicTime = 100
        while now < 110 {
            let delay = rateController.delay(at: now)
            if delay <= 0 {
                rateController.take(1, at: now)
                sent.append(now)
            } else {
                now = now.advanced(bySeconds: delay + 1e-9)
                // The worker sometimes wakes a little late, and once very late.
                if sent.count % 7 == 3 { now = now + .milliseconds(4) }
                if sent.count == 20 { now = now + .seconds(2) }
            }
        }
        var first = 0
        var most = 0
        for i in sent.indices {
            while sent[i].seconds(since: sent[first]) >= 1 { first += 1 }
            most = max(most, i - first + 1)
        }
        #expect(Double(most) <= max(1, allowed))
    }

    @Test func manyRecipientsDelayTheNextDelivery() {
        var rateController = SendRateController(setting: 10, at: 0)
        rateController.take(50, at: 0)
        let delay = rateController.delay(at: 0)
        #expect(delay > 5 && delay < 5.3)
        let rest = rateController.delay(at: MonotonicTime(seconds: delay + 0.001))
        #expect(rest == 0)
    }

    @Test func throttledAnswersOfOneEpisodeCutTheRateOnce() {
        var rateController = SendRateController(setting: 100, at: 0)
        let full = rateController.rate(at: 9)
        // A throttled answer leads to another cut only if its request was sent after the last cut, and the answer came
        // at least a second after that cut.
        let answers: [(sentAt: MonotonicTime, at: MonotonicTime, cuts: Bool)] = [
            (9.9, 10, true), (9.95, 10.1, false), (10.5, 10.9, false), (9.99, 11.05, false), (10.9, 11.1, true),
        ]
        for answer in answers {
            let wasCut = rateController.answered(throttled: true, sentAt: answer.sentAt, at: answer.at)
            #expect(wasCut == answer.cuts, "\(answer)")
            if answer.at == 10 {
                #expect(rateController.rate(at: 10) < full && rateController.rate(at: 10) > 0.8 * full)
            }
        }
        // All answers since the first cut were throttled, so the rate is halved now.
        #expect(rateController.rate(at: 11.1) < 0.5 * full)
    }

    @Test func climbsBackToTheQuotaAndNeverAboveIt() {
        var rateController = SendRateController(setting: nil, at: 0)
        rateController.learn(rate: 40, at: 0)
        let full = rateController.rate(at: 0)
        _ = rateController.answered(throttled: true, sentAt: 0, at: 0.1)
        var before = rateController.rate(at: 0.1)
        for second in 1...300 {
            let rate = rateController.rate(at: MonotonicTime(seconds: Double(second)))
            #expect(rate >= before && rate <= 40)
            before = rate
        }
        #expect(before == full)
    }

    @Test func newQuotaAppliesAtOnceAndAnUnchangedOneKeepsTheCut() {
        var rateController = SendRateController(setting: nil, at: 0)
        rateController.learn(rate: 40, at: 0)
        _ = rateController.answered(throttled: true, sentAt: 0, at: 1)
        let cut = rateController.rate(at: 1)
        rateController.learn(rate: 40, at: 1)
        #expect(rateController.rate(at: 1) == cut)
        rateController.learn(rate: 80, at: 1)
        #expect(rateController.rate(at: 1) > 70)
        rateController.learn(rate: 1, at: 1)
        #expect(rateController.rate(at: 1) <= 1)
    }

    @Test(arguments: [0, -1, Double.nan, .infinity])
    func invalidQuotaNeitherStopsSendingNorLiftsTheLimit(rate: Double) {
        var rateController = SendRateController(setting: nil, at: 0)
        rateController.learn(rate: rate, at: 0)
        #expect(rateController.rate(at: 0) > 0 && rateController.rate(at: 0) <= 14)
        let delay = rateController.delay(at: 1)
        #expect(delay.isFinite)
    }

    @Test func neverStopsForGood() {
        var rateController = SendRateController(setting: 14, at: 0)
        for second in 1...200 {
            let now = MonotonicTime(seconds: Double(second))
            _ = rateController.answered(throttled: true, sentAt: now.advanced(bySeconds: -0.5), at: now)
        }
        #expect(rateController.rate(at: 200) > 0.05)
    }

    /// An hour with an account whose limit changes, while the quota shows the change only minutes later. The quota is
    /// never exceeded, which costs up to 170 s at 20 instead of 80 emails a second.
    @Test func anHourWithAChangingLimit() {
        let account = SESAccount(.anySecond, limits: [(0, 50), (1200, 20), (2400, 80)])
        let result = simulate(account, reportEvery: 170)
        #expect(result.accepted >= 0.9 * result.allowed)
        #expect(result.accepted >= 0.93 * result.told)
        #expect(Double(result.throttled) <= 0.01 * Double(result.calls), "\(result)")
    }

    /// The results are good however SES counts, and even at rates of which each email is a large part.
    @Test(arguments: SESAccount.Measure.allCases)
    func anHourOfASmallAccount(measure: SESAccount.Measure) {
        let account = SESAccount(measure, limits: [(0, 14), (1200, 5), (2400, 10)])
        let result = simulate(account, reportEvery: 170)
        #expect(result.accepted >= 0.9 * result.allowed)
        #expect(Double(result.throttled) <= 0.01 * Double(result.calls), "\(result)")
    }

    /// The setting is too high for the account, or another program sends through the account. Only throttling shows
    /// this.
    @Test(arguments: SESAccount.Measure.allCases)
    func anHourWithAnUnreportedLimit(measure: SESAccount.Measure) {
        let account = SESAccount(measure, limits: [(0, 20), (1200, 35), (2400, 12)])
        let result = simulate(account, setting: 40)
        #expect(result.accepted >= 0.9 * result.allowed)
        #expect(Double(result.throttled) <= 0.01 * Double(result.calls), "\(result)")
    }
}

extension SendRateController {
    mutating func learn(rate: Double, at now: MonotonicTime) {
        learn(SendQuota(maximumRate: rate, maximum24Hours: nil, sentLast24Hours: 0), at: now)
    }
}

/// An account that counts in one of the ways in which SES might count the emails that it accepts.
struct SESAccount {
    enum Measure: CaseIterable { case secondsOfTheClock, anySecond, bucket }

    private let measure: Measure
    private let limits: [(from: Double, rate: Double)]
    private var recent: [Double] = []
    private var head = 0
    private var second = 0.0
    private var inSecond = 0.0
    private var tokens = 0.0
    private var updatedAt = 0.0

    init(_ measure: Measure, limits: [(from: Double, rate: Double)]) {
        self.measure = measure
        self.limits = limits
    }

    func limit(at time: Double) -> Double { limits.last { $0.from <= time }?.rate ?? 0 }

    func allowed(until end: Double) -> Double {
        zip(limits, limits.dropFirst().map(\.from) + [end]).reduce(0) { $0 + $1.0.rate * ($1.1 - $1.0.from) }
    }

    mutating func accepts(at time: Double) -> Bool {
        let limit = limit(at: time)
        switch measure {
        case .secondsOfTheClock:
            if time.rounded(.down) != second { (second, inSecond) = (time.rounded(.down), 0) }
            guard inSecond < limit else { return false }
            inSecond += 1
            return true
        case .anySecond:
            while head < recent.count, recent[head] <= time - 1 { head += 1 }
            if head > 4096 { recent.removeFirst(head); head = 0 }
            guard Double(recent.count - head) < limit else { return false }
            recent.append(time)
            return true
        case .bucket:
            tokens = min(limit, tokens + (time - updatedAt) * limit)
            updatedAt = time
            guard tokens >= 1 else { return false }
            tokens -= 1
            return true
        }
    }
}

struct SimulatedHour {
    /// The emails that the account's limit allowed, and those that the smaller of this limit and the known quota
    /// allowed.
    var allowed = 0.0
    var told = 0.0
    var calls = 0
    var accepted = 0.0
    var throttled = 0
}

/// Sends all the time for an hour. A request takes 5 to 45 ms to reach the account, and so does the answer on its way
/// back.
private func simulate(
    _ account: SESAccount, setting: Double? = nil, reportEvery: Double? = nil, seed: UInt64 = 1
) -> SimulatedHour {
    var account = account
    var random = SplitMix(seed)
    var rateController = SendRateController(setting: setting, at: 0)
    var onTheWay = Timeline<Double>()
    var answers = Timeline<(sentAt: Double, throttled: Bool)>()
    var result = SimulatedHour(allowed: account.allowed(until: 3600))
    var now = 0.0
    var reportAt = reportEvery == nil ? Double.infinity : 0
    var nextSend = 0.0
    while true {
        let before = now
        now = min(reportAt, nextSend, onTheWay.next, answers.next)
        guard now < 3600 else { return result }
        result.told += (now - before) * min(account.limit(at: now), rateController.allowedRate)
        if now == reportAt {
            rateController.learn(rate: account.limit(at: now), at: MonotonicTime(seconds: now))
            reportAt += reportEvery ?? .infinity
        } else if now == answers.next {
            let answer = answers.removeFirst()
            _ = rateController.answered(
                throttled: answer.throttled, sentAt: MonotonicTime(seconds: answer.sentAt),
                at: MonotonicTime(seconds: now))
        } else if now == onTheWay.next {
            let sentAt = onTheWay.removeFirst()
            let accepts = account.accepts(at: now)
            result.calls += 1
            if accepts { result.accepted += 1 } else { result.throttled += 1 }
            answers.insert((sentAt, !accepts), at: now + random.uniform(0.005, 0.045))
            continue
        } else {
            rateController.take(1, at: MonotonicTime(seconds: now))
            onTheWay.insert(now, at: now + random.uniform(0.005, 0.045))
        }
        // The timer wakes the sender a little late.
        let delay = rateController.delay(at: MonotonicTime(seconds: now))
        nextSend = delay == 0 ? now : now + delay + random.uniform(0, 0.001)
    }
}

/// A few future events, in the order of their times.
private struct Timeline<Element> {
    private var entries: [(time: Double, element: Element)] = []

    /// The entries are in the order of time with the latest first, so the next one is the last entry.
    var next: Double { entries.last?.time ?? .infinity }

    mutating func insert(_ element: Element, at time: Double) {
        let index = entries.firstIndex { $0.time <= time } ?? entries.endIndex
        entries.insert((time, element), at: index)
    }

    mutating func removeFirst() -> Element { entries.removeLast().element }
}

struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func uniform(_ from: Double, _ to: Double) -> Double {
        from + (to - from) * Double(next() >> 11) * 0x1p-53
    }
}
