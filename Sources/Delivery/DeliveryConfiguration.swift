import RelayCore

/// How a lane's worker works.
public struct DeliveryConfiguration: Sendable {
    public enum Pacing: Hashable, Sendable {
        /// As fast as the transport goes.
        case unlimited
        /// At the rate that the account may send at: the setting's, the quota's, or the lower one of both.
        case account(maximumRate: Double?)
    }

    /// Deliveries handed to the transport at a time.
    public var concurrency: Int
    /// Deliveries held at a time: those that wait for their turn, are under way, or have an outcome that is not yet on
    /// record. The queue behind them has no bound; this has.
    public var maxActive: Int
    /// Deliveries taken from the queue at once. Each time costs a transaction.
    public var claimBatch: Int
    /// While more wait for their turn, outcomes go on record once there are so many of them. 1: at once, as it must be
    /// where an attempt takes time or can't be taken back.
    public var settleBatch: Int
    /// How long an outcome waits at most for others to go on record with, as long as fewer wait than attempts are under way. So with few
    /// attempts at a time nothing waits, and what a crash makes the relay send again becomes at most twice as much: it
    /// sends what was under way again as well.
    public var settleDelay: Duration
    public var pacing: Pacing
    public var schedule: RetrySchedule
    /// How long what is under way may go on at shutdown.
    public var drainTime: Duration
    /// How long a claim lasts that is not renewed.
    public var leaseTime: Duration
    /// How often to look for what another process put into the queue.
    public var pollInterval: Duration
    /// How often the account's quota is asked for while there is something to send.
    public var quotaInterval: Duration

    public init(
        concurrency: Int = 16, maxActive: Int? = nil, claimBatch: Int? = nil, settleBatch: Int = 1,
        settleDelay: Duration = .zero, pacing: Pacing = .account(maximumRate: nil),
        schedule: RetrySchedule = RetrySchedule(),
        drainTime: Duration = .seconds(10), leaseTime: Duration = .seconds(120), pollInterval: Duration = .seconds(1),
        quotaInterval: Duration = .seconds(60)
    ) {
        self.concurrency = max(1, concurrency)
        // Enough that senders never wait for the queue, although each claim and each record takes a sync, which may be as
        // long as an answer: measured, 4 times as many keep 50 senders 90 % busy, 8 times as many keep them 95 % busy.
        self.maxActive = max(self.concurrency, maxActive ?? max(64, 8 * self.concurrency))
        self.claimBatch = max(1, claimBatch ?? self.maxActive)
        self.settleBatch = max(1, settleBatch)
        self.settleDelay = settleDelay
        self.pacing = pacing
        self.schedule = schedule
        self.drainTime = drainTime
        self.leaseTime = leaseTime
        self.pollInterval = pollInterval
        self.quotaInterval = quotaInterval
    }

    /// For a transport that answers at once: few tasks, large batches.
    public static func simulated(schedule: RetrySchedule = RetrySchedule()) -> DeliveryConfiguration {
        DeliveryConfiguration(
            concurrency: 2, maxActive: 1024, claimBatch: 256, settleBatch: 256, pacing: .unlimited, schedule: schedule)
    }
}
