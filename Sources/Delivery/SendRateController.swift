import RelayCore

/// Keeps a lane within the rate that the account may send at, in recipients per second, as SES counts.
///
/// A pure value over times of a monotonic clock. The rate comes from a setting or from the account's quota. If both
/// exist, the lower one applies. SES may throttle all the same, because the quota was lowered since the relay asked for
/// it, or because other clients send through the same account. The rate is then cut and rises again along a cubic
/// curve, as in TCP CUBIC. It rises quickly at first and slowly around the rate at which throttling began. Then it
/// rises faster and faster until it reaches the quota or is throttled again. So most of the time the rate is just below
/// the limit, whatever the limit is.
public struct SendRateController: Sendable {
    private var setting: Double?
    private var quota: Double?
    /// The rate at which all relays together may send, as far as is known, in recipients per second.
    public private(set) var allowedRate: Double
    /// The part of the rate that this relay may use.
    public private(set) var share = RateShare.whole
    private var climb: Climb?
    private var tokens = 1.0
    private var updatedAt: MonotonicTime

    /// What happened since the rate was last cut.
    private struct Climb: Sendable {
        /// The rate at which throttling began.
        var knee: Double
        var cutAt: MonotonicTime
        var accepted = 0
        var throttled = 0

        func rate(at now: MonotonicTime) -> Double {
            let distance = now.seconds(since: cutAt) / SendRateController.recovery - 1
            return knee * (1 + (1 - SendRateController.cut) * distance * distance * distance)
        }
    }

    /// The rate of new SES accounts outside the sandbox, in emails per second.
    public static let defaultRate = 14.0
    /// `headroom` is the part of the allowed rate that is used. `burst` is how many seconds of sending can be caught up
    /// on when the worker woke late. SES counts per second. A full bucket and one second of sending are together 0.984
    /// of the allowed rate plus one email. So the whole number of emails in a second never exceeds the allowed number.
    /// The rest is a reserve for the network, which delays unevenly.
    static let headroom = 0.96
    static let burst = 0.025
    /// The same two numbers for several relays that divide the rate. The network delays each relay's emails
    /// independently, but SES counts the emails of all relays together. With these values, the first email that would
    /// be too many for a second is sent 0.077 s after the end of that second.
    static let sharedHeadroom = 0.92
    static let sharedBurst = 0.01
    /// A cut leaves this part of the rate. It leaves a smaller part if a smaller share of the requests was accepted,
    /// but at least `deepestCut`.
    static let cut = 0.88
    static let deepestCut = 0.5
    /// The time after a cut, in seconds, until the rate is again the one at which throttling began.
    static let recovery = 20.0
    /// In seconds. Throttled answers within this time after a cut are still caused by the rate before the cut.
    static let settling = 1.0
    static let minimumRate = 0.1
    /// The lowest rate that an operator can set.
    static let leastSetting = 0.001

    /// - Parameter setting: the operator's limit in recipients per second. Nil: only the quota applies.
    public init(setting: Double?, at now: MonotonicTime) {
        self.setting = setting
        allowedRate = max(setting ?? SendRateController.defaultRate, SendRateController.leastSetting)
        updatedAt = now
    }

    /// Sets another setting from now on. With nil, only the quota limits the rate. What was learned about the account's
    /// limit is kept.
    public mutating func limit(to setting: Double?, at now: MonotonicTime) {
        refill(now)
        self.setting = setting
        let known = quota.map { min(setting ?? .infinity, $0) } ?? setting
        allowedRate = max(known ?? SendRateController.defaultRate, leastRate)
    }

    /// Sets another share of the account's rate from now on.
    public mutating func take(share: RateShare, at now: MonotonicTime) {
        guard share != self.share else { return }
        refill(now)
        let former = ownRate
        self.share = share
        // What was learned about the limit applies to the whole account, so it is converted to the new share.
        let own = ownRate
        if former > 0, own > 0 { climb?.knee *= own / former }
        if former == 0 { climb = nil }
        tokens = min(tokens, burstSize(at: now))
    }

    /// Whether this relay may send anything at all.
    public var maySend: Bool { ownRate > 0 }

    /// The lowest rate that is used, however little the quota allows. Only the operator's setting can be lower.
    private var leastRate: Double {
        min(max(setting ?? .infinity, SendRateController.leastSetting), SendRateController.minimumRate)
    }

    /// The highest rate of this relay at this moment, in recipients per second.
    public func rate(at now: MonotonicTime) -> Double {
        let ceiling = ownRate * (isShared ? SendRateController.sharedHeadroom : SendRateController.headroom)
        guard let climb else { return ceiling }
        return max(min(climb.rate(at: now), ceiling), min(ceiling, SendRateController.minimumRate))
    }

    private var ownRate: Double { share.part(of: allowedRate) }

    private func burstSize(at now: MonotonicTime) -> Double {
        1 + rate(at: now) * (isShared ? SendRateController.sharedBurst : SendRateController.burst)
    }

    private var isShared: Bool { share.count > 1 }

    /// Stores the account's quota. If the quota changed, the limit changed too, so what was learned about the former
    /// limit is discarded.
    public mutating func learn(_ quota: SendQuota, at now: MonotonicTime) {
        guard quota.maximumRate.isFinite, quota.maximumRate >= 0, quota.maximumRate != self.quota else { return }
        refill(now)
        self.quota = quota.maximumRate
        allowedRate = max(min(setting ?? .infinity, quota.maximumRate), leastRate)
        climb = nil
    }

    /// The seconds until the next delivery may be sent; 0 means now. Infinite while the share is 0.
    public mutating func delay(at now: MonotonicTime) -> Double {
        refill(now)
        guard maySend else { return .infinity }
        return tokens >= 1 ? 0 : (1 - tokens) / rate(at: now)
    }

    /// Records that a delivery is sent now. If it has more recipients than the bucket holds, the bucket goes into debt,
    /// which delays later deliveries.
    public mutating func take(_ recipients: Int, at now: MonotonicTime) {
        refill(now)
        tokens -= Double(recipients)
    }

    /// Records that SES answered a request that was sent at `sentAt`. Returns whether the rate was cut.
    public mutating func answered(throttled: Bool, sentAt: MonotonicTime, at now: MonotonicTime) -> Bool {
        if let cutAt = climb?.cutAt {
            // A request that was sent before the cut says nothing about the rate after it.
            guard sentAt >= cutAt else { return false }
            if throttled { climb?.throttled += 1 } else { climb?.accepted += 1 }
            guard throttled, now.seconds(since: cutAt) >= SendRateController.settling else { return false }
        }
        guard throttled else { return false }
        refill(now)
        let left = rate(at: now) * min(SendRateController.cut, max(SendRateController.deepestCut, acceptedShare))
        climb = Climb(knee: max(left, SendRateController.minimumRate) / SendRateController.cut, cutAt: now)
        return true
    }

    private var acceptedShare: Double {
        guard let climb, climb.accepted + climb.throttled > 0 else { return 1 }
        return Double(climb.accepted) / Double(climb.accepted + climb.throttled)
    }

    private mutating func refill(_ now: MonotonicTime) {
        let rate = rate(at: now)
        tokens = min(burstSize(at: now), tokens + max(0, now.seconds(since: updatedAt)) * rate)
        updatedAt = max(updatedAt, now)
    }
}
