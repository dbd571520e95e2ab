import RelayCore

/// The configuration of a lane's worker.
public struct DeliveryConfiguration: Sendable {
    /// How the sending rate is limited.
    public enum Pacing: Hashable, Sendable {
        /// As fast as the transport can send.
        case unlimited
        /// At the rate of the setting or of the account's quota, in recipients per second. If both exist, the lower one
        /// applies.
        case account(maximumRate: Double?)
    }

    /// The most deliveries that the worker gives to the transport at the same time.
    public var concurrency: Int
    /// The most deliveries that the worker may have at a time, each from its claim until its outcome is recorded. The
    /// queue may contain more deliveries. By default, the initializer computes this number from ``concurrency``. This
    /// number does not follow later changes of ``concurrency``.
    public var maxActive: Int
    /// The most deliveries that one claim takes. Each claim costs a transaction. By default, the initializer sets this
    /// number to ``maxActive``. It does not follow later changes of ``maxActive``.
    public var claimBatch: Int
    /// The least number of outcomes that are recorded together. Fewer are recorded together only if no delivery
    /// waits for its turn, or if nothing may be sent at all, for example because the store fails. With 1, each outcome
    /// can be recorded at once. Use 1 for a transport whose attempts take time or can't be undone.
    public var settleBatch: Int
    /// The longest time that an outcome waits to be recorded together with others. An outcome waits only while there
    /// are fewer waiting outcomes than attempts in progress. So with one attempt at a time no outcome waits. After a
    /// crash, the attempts in progress are repeated in any case. The waiting outcomes at most double the number of
    /// repeated attempts.
    public var settleDelay: Duration
    /// How the sending rate is limited.
    public var pacing: Pacing
    /// When deliveries are retried and given up.
    public var schedule: RetrySchedule
    /// How long attempts in progress may continue at shutdown.
    public var drainTime: Duration
    /// How long a claim is valid if it is not renewed.
    public var leaseTime: Duration
    /// How often to look for deliveries that another process put into the queue.
    public var pollInterval: Duration
    /// How often to ask for the account's quota while there is something to send.
    public var quotaInterval: Duration

    public init(
        concurrency: Int = 16, maxActive: Int? = nil, claimBatch: Int? = nil, settleBatch: Int = 1,
        settleDelay: Duration = .zero, pacing: Pacing = .account(maximumRate: nil),
        schedule: RetrySchedule = RetrySchedule(),
        drainTime: Duration = .seconds(10), leaseTime: Duration = .seconds(120), pollInterval: Duration = .seconds(1),
        quotaInterval: Duration = .seconds(60)
    ) {
        self.concurrency = max(1, concurrency)
        // A sender is a task that sends one delivery at a time. Each claim and each settlement needs a sync, which may
        // take as long as a call to SES. With 8 deliveries for each sender, senders still rarely wait for the queue. In
        // a measurement with 50 senders, they were busy 95 % of the time with 8 deliveries for each, and 90 % of the
        // time with 4.
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

    /// The configuration for a transport that answers at once: few tasks and large batches.
    public static func simulated(schedule: RetrySchedule = RetrySchedule()) -> DeliveryConfiguration {
        DeliveryConfiguration(
            concurrency: 2, maxActive: 1024, claimBatch: 256, settleBatch: 256, pacing: .unlimited, schedule: schedule)
    }
}
