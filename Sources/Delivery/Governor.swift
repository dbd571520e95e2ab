import RelayCore

/// Keeps a lane within the rate that the account may send at, in recipients per second, as SES counts.
///
/// A pure value over moments of a monotonic clock. The rate comes from a setting, from the account's quota, or
/// from both, then the lower one. SES answers with throttling when it is exceeded all the same, because the quota was
/// lowered since it was asked for or because somebody else sends through the account. The rate is then cut, and climbs
/// back along a cubic curve, as TCP CUBIC does: fast at first, slowly around the rate at which throttling set in, then
/// faster and faster until it meets the quota or is throttled again. So most of the time is spent just below the limit,
/// wherever it is.
public struct Governor: Sendable {
    private var setting: Double?
    private var quota: Double?
    /// What may be sent per second as far as is known, by all relays that use the account together.
    public private(set) var allowedRate: Double
    /// The part of it that this relay may use.
    public private(set) var share = RateShare.whole
    private var climb: Climb?
    private var tokens = 1.0
    private var updatedAt: MonotonicTime

    /// What happened since the last cut.
    private struct Climb: Sendable {
        /// The rate at which throttling set in.
        var knee: Double
        var cutAt: MonotonicTime
        var accepted = 0
        var throttled = 0

        func rate(at now: MonotonicTime) -> Double {
            let distance = now.seconds(since: cutAt) / Governor.recovery - 1
            return knee * (1 + (1 - Governor.cut) * distance * distance * distance)
        }
    }

    /// New SES accounts out of the sandbox get this rate.
    public static let defaultRate = 14.0
    /// Part of the allowed rate that is used, and how many seconds of sending can be caught up on when the worker woke
    /// late. SES counts by the second: a full bucket and a second's worth are 0.984 of what is allowed and one email
    /// more, and so never more than the allowed whole number. The rest is for the network, which delays unevenly.
    static let headroom = 0.96
    /// The same where several relays divide the rate: each one's network delays by itself, and all of them count together.
    static let sharedHeadroom = 0.93
    static let burst = 0.025
    /// A cut leaves this part of the rate, or less when a larger part was throttled, but not less than half.
    static let cut = 0.88
    static let deepestCut = 0.5
    /// Seconds until the rate is again where throttling set in.
    static let recovery = 20.0
    /// Throttled answers within a second of a cut are about the second before it.
    static let settling = 1.0
    static let minimumRate = 0.1
    /// Of what an operator may ask for.
    static let leastSetting = 0.001

    public init(setting: Double?, at now: MonotonicTime) {
        self.setting = setting
        allowedRate = max(setting ?? Governor.defaultRate, Governor.leastSetting)
        updatedAt = now
    }

    /// Another setting from now on; nil: what the quota says. What was found out about the account's limit stays.
    public mutating func limit(to setting: Double?, at now: MonotonicTime) {
        refill(now)
        self.setting = setting
        let known = quota.map { min(setting ?? .infinity, $0) } ?? setting
        allowedRate = max(known ?? Governor.defaultRate, leastRate)
    }

    /// Another part of the account's rate from now on.
    public mutating func take(share: RateShare, at now: MonotonicTime) {
        guard share != self.share else { return }
        refill(now)
        let former = ownRate
        self.share = share
        // What was found out about the limit holds for the account, and so for this part of it.
        let own = ownRate
        if former > 0, own > 0 { climb?.knee *= own / former }
        if former == 0 { climb = nil }
        tokens = min(tokens, burstSize(at: now))
    }

    /// Whether anything may be sent at all.
    public var maySend: Bool { ownRate > 0 }

    /// However little is allowed, unless it is the operator who allows less.
    private var leastRate: Double {
        min(max(setting ?? .infinity, Governor.leastSetting), Governor.minimumRate)
    }

    /// What this relay sends per second at most, just now.
    public func rate(at now: MonotonicTime) -> Double {
        let ceiling = ownRate * (share.count > 1 ? Governor.sharedHeadroom : Governor.headroom)
        guard let climb else { return ceiling }
        return max(min(climb.rate(at: now), ceiling), min(ceiling, Governor.minimumRate))
    }

    private var ownRate: Double { share.part(of: allowedRate) }

    private func burstSize(at now: MonotonicTime) -> Double { 1 + rate(at: now) * Governor.burst }

    /// A quota that changed is news about the limit: what was found out about the one before is forgotten.
    public mutating func learn(_ quota: SendQuota, at now: MonotonicTime) {
        guard quota.maximumRate.isFinite, quota.maximumRate >= 0, quota.maximumRate != self.quota else { return }
        refill(now)
        self.quota = quota.maximumRate
        allowedRate = max(min(setting ?? .infinity, quota.maximumRate), leastRate)
        climb = nil
    }

    /// Seconds until something may be sent; 0: now. Infinite while the share is 0.
    public mutating func delay(at now: MonotonicTime) -> Double {
        refill(now)
        guard maySend else { return .infinity }
        return tokens >= 1 ? 0 : (1 - tokens) / rate(at: now)
    }

    /// Something is sent now. More recipients than the bucket holds leave it in debt, which delays what follows.
    public mutating func take(_ recipients: Int, at now: MonotonicTime) {
        refill(now)
        tokens -= Double(recipients)
    }

    /// SES answered a request that was sent at `sentAt`. Returns whether the rate was cut.
    public mutating func answered(throttled: Bool, sentAt: MonotonicTime, at now: MonotonicTime) -> Bool {
        if let cutAt = climb?.cutAt {
            // What was sent before the cut tells nothing about the rate after it.
            guard sentAt >= cutAt else { return false }
            if throttled { climb?.throttled += 1 } else { climb?.accepted += 1 }
            guard throttled, now.seconds(since: cutAt) >= Governor.settling else { return false }
        }
        guard throttled else { return false }
        refill(now)
        let left = rate(at: now) * min(Governor.cut, max(Governor.deepestCut, acceptedShare))
        climb = Climb(knee: max(left, Governor.minimumRate) / Governor.cut, cutAt: now)
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
