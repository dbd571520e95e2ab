import RelayCore
import TestSupport
import Testing

@testable import PostgreSQLStore

/// The row with a key's rate, from which several relays take emails. The tests need no server.
@Suite struct KeyRateRowTests {
    @Test func emailsTakenAheadCountAsStillInTheBucket() {
        let limits = SendingLimits(perSecond: 50, burst: 10)
        var bucket = TokenBucket(limits: limits, at: 0)
        var (ahead, until) = (0, 0.0)
        /// Asks for one email at the time `seconds`. At most `most` emails are taken, including those that are taken
        /// ahead. Returns how many were taken.
        func take(_ seconds: Double, most: Int) -> Int {
            var row = KeyRateRow(
                bucket: bucket, ahead: ahead, aheadUntil: until, now: MonotonicTime(seconds: seconds))
            let taken = row.take(1, most: most, limits: limits, maximumWait: 0).taken
            (bucket, ahead, until) = (row.bucket, row.ahead, row.aheadUntil)
            return taken
        }
        // Three relays send one message each, and take ahead as many emails as they may.
        #expect((0..<3).map { _ in take(0, most: 5) } == [5, 2, 1])
        #expect(ahead == 5)
        // The bucket has filled up since then, and the relays still hold the emails that they took ahead.
        var sent = ahead
        while take(0.4, most: 1) == 1 { sent += 1 }
        #expect(sent == 10)
        // The emails that the relays took ahead have expired, and the bucket has room for them again.
        #expect((0..<12).map { _ in take(1, most: 1) }.reduce(0, +) == 10)
        // Emails that are taken ahead at this time may be spent until 1.5 s. Until then, the bucket fills up only as
        // far as they leave room.
        #expect(take(1.2, most: 5) == 5)
        let held = ahead
        #expect(held == 4)
        // So the bucket fills the room of these emails only from 1.5 s on.
        var behind = 0
        while take(1.501, most: 1) == 1 { behind += 1 }
        #expect(held + behind == 10)
    }

    /// Simulates several relays that use one row and have one clock.
    private struct Site {
        struct Slice {
            var left = 0
            var until = MonotonicTime.distantPast
        }

        struct Returning {
            var emails: Int
            var since: MonotonicTime
        }

        let limits: SendingLimits
        var now: MonotonicTime = 1000
        var bucket: TokenBucket
        var (ahead, aheadUntil) = (0, 0.0)
        var slices = [Slice](repeating: Slice(), count: 3)
        var returning: [Returning] = []
        var sent: [MonotonicTime] = []

        init(_ limits: SendingLimits) {
            self.limits = limits
            bucket = TokenBucket(limits: limits, at: now)
        }

        private mutating func change<Result>(_ body: (inout KeyRateRow) -> Result) -> Result {
            var row = KeyRateRow(bucket: bucket, ahead: ahead, aheadUntil: aheadUntil, now: now)
            let result = body(&row)
            (bucket, ahead, aheadUntil) = (row.bucket, row.ahead, row.aheadUntil)
            return result
        }

        /// Sends a message at a relay. If the relay must ask the server, the request takes `transit` seconds to reach
        /// it.
        mutating func send(_ place: Int, transit: Double) {
            if now < slices[place].until, slices[place].left > 0 {
                slices[place].left -= 1
                return sent.append(now)
            }
            giveBack(place)
            let (askedAt, limits) = (now, limits)
            now = now.advanced(bySeconds: transit)
            let answer = change { $0.take(1, most: 5, limits: limits, maximumWait: 0) }
            guard answer.answer == .go else { return }
            sent.append(now)
            slices[place] = Slice(left: answer.taken - 1, until: askedAt.advanced(bySeconds: answer.aheadLasts))
        }

        /// A relay gives back what it holds. The server hears of it later.
        mutating func giveBack(_ place: Int) {
            if slices[place].left > 0 {
                returning.append(Returning(emails: slices[place].left, since: slices[place].until))
            }
            slices[place].left = 0
        }

        mutating func hear(transit: Double) {
            guard !returning.isEmpty else { return }
            let (rest, limits) = (returning.removeFirst(), limits)
            let age = now.advanced(bySeconds: transit).seconds(since: rest.since)
            change { $0.giveBack(rest.emails, age: age, limits: limits) }
        }

        /// The largest excess of any window over rate × time + burst, in emails.
        var excess: Double {
            var most = -Double.infinity
            for (place, start) in sent.enumerated() {
                for (count, end) in sent[place...].enumerated() {
                    let allowed = limits.perSecond * end.seconds(since: start) + limits.capacity
                    most = max(most, Double(count + 1) - allowed)
                }
            }
            return most
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func noWindowExceedsRateTimesTimePlusBurst(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var site = Site(SendingLimits(perSecond: 50, burst: 10))
        for _ in 0..<600 {
            let place = Int.random(in: 0..<3, using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<14: site.send(place, transit: .random(in: 0...0.003, using: &random))
            case 14: site.giveBack(place)
            case 15, 16: site.hear(transit: .random(in: 0...0.003, using: &random))
            default: site.now = site.now.advanced(bySeconds: .random(in: 0...0.25, using: &random))
            }
        }
        #expect(site.excess < 1e-6)
        #expect(site.sent.count > 100)
    }

    @Test func emailsReturnedBeforeExpiryAreAvailableToOthers() {
        var site = Site(SendingLimits(perSecond: 0.001, burst: 10))
        site.send(0, transit: 0)
        #expect(site.slices[0].left == 4)
        site.giveBack(0)
        site.hear(transit: 0)
        for _ in 0..<12 { site.send(1, transit: 0) }
        #expect(site.sent.count == 10)
    }
}
