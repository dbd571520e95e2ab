import RelayCore
import Synchronization

/// Holds the rates of the keys in use, and decides whether a message may be sent now, later or not at all.
///
/// When the store does not share rates, this process alone decides, at once. When several relays share the rates
/// (``RelayCore/SharedRates``), this process spends slices that the store has granted, and asks for more.
final class KeyRates: Sendable {
    private struct State: Sendable {
        /// The buckets. Where rates are shared, their state comes from the store's last answers.
        var limiter = RateLimiter()
        var slices = RateSlices<Waiter>()
        /// How often each key's rate was reached since the last call of ``KeyRates/takeHits()``.
        var hits: [KeyID: Int] = [:]
    }

    private struct Waiter: Sendable {
        var request: Request
        var completion: @Sendable (Answer) -> Void
    }

    /// Emails that a message needs from a key's rate, which only the store can grant.
    struct Request: Sendable {
        let key: KeyInUse
        let emails: Int
        let maximumDelay: Duration
    }

    enum Answer: Sendable {
        case now(Reservation)
        case after(Duration, Reservation)
        case refused(Refusal)
    }

    enum Step: Sendable {
        case answered(Answer)
        case ask(Request)
    }

    /// Emails that were taken from a key's rate for a message in progress. They go back when the last reference is
    /// released, unless `spend()` was called before. So they go back on every path out of a reception, and also when
    /// the store's answer arrives after the caller has given the message up.
    final class Reservation: Sendable {
        private let rates: KeyRates
        private let key: KeyInUse
        private let emails: Int
        private let takenAt: MonotonicTime
        private let isSettled = Atomic(false)

        fileprivate init(_ rates: KeyRates, _ key: KeyInUse, emails: Int, takenAt: MonotonicTime) {
            self.rates = rates
            self.key = key
            self.emails = emails
            self.takenAt = takenAt
        }

        /// Splits the emails among several reservations, so that each can go back separately. The sum of `counts` must
        /// be the number of emails.
        func parts(_ counts: [Int]) -> [Reservation] {
            spend()
            return counts.map { Reservation(rates, key, emails: $0, takenAt: takenAt) }
        }

        /// Marks the emails as used, so that they do not go back: the message is in the queue, or other reservations
        /// now hold the emails.
        func spend() { isSettled.store(true, ordering: .relaxed) }

        /// Gives the emails back. Does nothing if they were given back or spent before.
        func giveBack() {
            guard !isSettled.exchange(true, ordering: .relaxed) else { return }
            rates.giveBack(emails, takenAt: takenAt, key.stored.key)
        }

        deinit { giveBack() }
    }

    private let shared: (any SharedRates)?
    private let clock: any RelayClock
    private let storageFailed: @Sendable (any Error) -> Void
    private let state = Mutex(State())

    /// - Parameter storageFailed: called when the store can't answer, on a thread of the store.
    init(
        shared: (any SharedRates)?, clock: any RelayClock, storageFailed: @escaping @Sendable (any Error) -> Void
    ) {
        self.shared = shared
        self.clock = clock
        self.storageFailed = storageFailed
    }

    /// Takes emails from the key's rate. Returns whether the message may be sent now, later or not at all, or the
    /// request that the store must answer.
    func take(_ emails: Int, _ key: KeyInUse, maximumDelay: Duration) -> Step {
        let rules = key.stored.key
        let now = clock.monotonicNow()
        guard shared != nil else {
            let answer = state.withLock { state in
                let answer = state.limiter.take(emails, key: rules, now: now, maximumWait: maximumDelay.inSeconds)
                if answer != .go { state.hits[rules.id, default: 0] += 1 }
                return answer
            }
            return .answered(self.answer(answer, emails, key, takenAt: now))
        }
        let isInHand =
            emails <= 0 || state.withLock { $0.slices.take(emails, key: rules.id, limits: rules.limits, at: now) }
        return isInHand
            ? .answered(answer(.go, emails, key, takenAt: now))
            : .ask(Request(key: key, emails: emails, maximumDelay: maximumDelay))
    }

    /// Asks the store. `completion` is called once: before this function returns, or on a thread of the store.
    func ask(_ request: Request, completion: @escaping @Sendable (Answer) -> Void) {
        let rules = request.key.stored.key
        let now = clock.monotonicNow()
        let (step, unused) = state.withLock { state in
            // This must come before `enlist`. In the other order, the unused emails of the old slice would count as
            // part of the next one.
            let unused = state.slices.removeUnused(of: rules.id, at: now)
            let step = state.slices.enlist(
                Waiter(request: request, completion: completion), for: request.emails,
                maximumWait: request.maximumDelay.inSeconds, key: rules.id, limits: rules.limits, at: now)
            return (step, unused)
        }
        if let unused { giveBack([unused], at: now) }
        switch step {
        case .now: completion(answer(.go, request.emails, request.key, takenAt: now))
        case .ask(let query): send(query)
        case .wait: break
        case .full: completion(.refused(.storageUnavailable))
        }
    }

    private func send(_ query: RateSlices<Waiter>.StoreQuery) {
        guard let shared else { return }
        shared.take(
            query.emails, most: query.most, key: query.key, limits: query.limits,
            maximumWait: query.maximumWait
        ) { [self] result in answered(query, result) }
    }

    private func answered(
        _ query: RateSlices<Waiter>.StoreQuery, _ result: Result<SharedRateAnswer, any Error>
    ) {
        let now = clock.monotonicNow()
        let (outcomes, next) = state.withLock { state in
            if case .success(let given) = result {
                state.limiter.learn(
                    given.answer, taken: given.taken, key: query.key, limits: query.limits, now: now)
            }
            let (outcomes, next) = state.slices.answered(query, result, at: now)
            let hits = outcomes.count { if case .success(let answer) = $0.result { answer != .go } else { false } }
            if hits > 0 { state.hits[query.key, default: 0] += hits }
            return (outcomes, next)
        }
        if case .failure(let error) = result { storageFailed(error) }
        for outcome in outcomes {
            let (request, completion) = (outcome.waiter.request, outcome.waiter.completion)
            switch outcome.result {
            case .success(let told):
                // The store took the emails after the query was sent. If they go back, the emails that have flowed into
                // the bucket since `askedAt` are subtracted.
                completion(answer(told, request.emails, request.key, takenAt: query.askedAt))
            case .failure: completion(.refused(.storageUnavailable))
            }
        }
        if let next { send(next) }
    }

    private func answer(
        _ answer: TokenBucket.Answer, _ emails: Int, _ key: KeyInUse, takenAt now: MonotonicTime
    ) -> Answer {
        switch answer {
        case .go: return .now(Reservation(self, key, emails: emails, takenAt: now))
        case .wait(let seconds):
            return .after(.seconds(seconds), Reservation(self, key, emails: emails, takenAt: now))
        case .refuse(let seconds):
            // A rate close to zero means that the key must send nothing.
            let wait = Int(min(seconds, 1e9).rounded(.up))
            return .refused(
                Refusal(
                    .rateSecond,
                    "The API key's limit of \(decimal(key.stored.key.limits.perSecond)) emails per second is reached, retry in \(wait) s",
                    retryAfter: .seconds(wait)))
        }
    }

    private func giveBack(_ emails: Int, takenAt: MonotonicTime, _ key: Key) {
        let now = clock.monotonicNow()
        state.withLock { $0.limiter.giveBack(emails, takenAt: takenAt, key: key, now: now) }
        giveBackToStore(emails, since: takenAt, key.id, key.limits, at: now)
    }

    /// Gives emails back to the store. Does nothing if at least as many emails have flowed into the bucket since
    /// `since`.
    private func giveBackToStore(
        _ emails: Int, since: MonotonicTime, _ key: KeyID, _ limits: SendingLimits, at now: MonotonicTime
    ) {
        guard now.seconds(since: since) * limits.perSecond < Double(emails) else { return }
        shared?.giveBack(emails, since: since, key: key, limits: limits)
    }

    /// The number of emails that the key may send at once. It is negative while the key is in debt. Where relays share
    /// the rate, it is the store's last answer to this relay plus the rest of the slice. Emails that other relays have
    /// taken since are not counted.
    func available(_ key: Key) -> Double {
        let now = clock.monotonicNow()
        return state.withLock { state in
            min(
                key.limits.capacity,
                state.limiter.available(key: key, now: now)
                    + Double(state.slices.left(key.id, limits: key.limits, at: now)))
        }
    }

    /// Gives back the rest of the slices that expire within `time`; nil: the rest of all slices.
    func giveBackUnused(expiringWithin time: Duration?) {
        guard shared != nil else { return }
        let now = clock.monotonicNow()
        giveBack(state.withLock { $0.slices.removeUnused(expiringBefore: time.map { now + $0 }) }, at: now)
    }

    private func giveBack(_ unused: [RateSlices<Waiter>.Unused], at now: MonotonicTime) {
        guard !unused.isEmpty else { return }
        state.withLock { state in
            for rest in unused {
                state.limiter.learn(
                    givenBack: rest.emails, since: min(now, rest.until), key: rest.key, limits: rest.limits, now: now)
            }
        }
        for rest in unused { giveBackToStore(rest.emails, since: rest.until, rest.key, rest.limits, at: now) }
    }

    /// Returns how often each key's rate was reached since the last call.
    func takeHits() -> [KeyID: Int] { state.withLock { exchange(&$0.hits, [:]) } }
}
