import RelayCore

/// A moment on both clocks. `time` is recorded and compared across processes; `monotonic` measures durations.
struct Moment: Sendable {
    var time: Timestamp
    var monotonic: MonotonicTime

    init(_ clock: any RelayClock) {
        time = clock.now()
        monotonic = clock.monotonicNow()
    }

    init(time: Timestamp, monotonic: MonotonicTime) {
        self.time = time
        self.monotonic = monotonic
    }
}

/// The deliveries that a worker holds, which are a bounded part of the queue. A delivery first waits for its turn, then
/// is being sent, and then has an outcome that is not recorded yet.
struct ActiveSet {
    struct Claim: Sendable {
        var delivery: ClaimedDelivery
        var leaseUntil: Timestamp
    }

    /// A delivery that the transport is working on.
    struct Attempt: Sendable {
        /// The number of the sender that has the delivery. Each new sender gets the next number.
        var sender: Int
        var claim: Claim
        var startedAt: Moment
        /// Whether this attempt is to find out if a held lane can move again.
        var isProbe: Bool

        var delivery: ClaimedDelivery { claim.delivery }
    }

    struct Ended: Sendable {
        var claim: Claim
        var settlement: Settlement
        /// The pace of a retry; nil for other outcomes.
        var pace: DeliveryOutcome.Pace?

        var delivery: ClaimedDelivery { claim.delivery }
    }

    private var queue: [Claim] = []
    /// The claims before this index in `queue` have started.
    private var head = 0
    private(set) var waitingRecipients = 0
    private(set) var underWay: [DeliveryID: Attempt] = [:]
    private(set) var unsettled: [Ended] = []
    /// The outcomes whose settlement is being synced.
    private(set) var settling: [Ended] = []

    var waiting: Int { queue.count - head }
    var count: Int { waiting + underWay.count + unsettled.count + settling.count }
    var isEmpty: Bool { count == 0 }

    /// Adds claimed deliveries. After its lease has expired, a delivery can be claimed again while it is still held
    /// here. The held delivery is left unchanged.
    mutating func claimed(_ deliveries: [ClaimedDelivery], leaseUntil: Timestamp) {
        if head > 0 {
            queue.removeFirst(head)
            head = 0
        }
        var held = Set(unsettled.map(\.delivery.id))
        held.formUnion(queue.lazy.map(\.delivery.id))
        // A delivery that has ended is about to be recorded as ended, and must not be sent again.
        held.formUnion(settling.lazy.filter { $0.settlement.result.isEnd }.map(\.delivery.id))
        for delivery in deliveries where underWay[delivery.id] == nil && !held.contains(delivery.id) {
            queue.append(Claim(delivery: delivery, leaseUntil: leaseUntil))
            waitingRecipients += delivery.recipientCount
        }
    }

    /// Removes and returns the claim whose turn it is; nil if none is waiting.
    mutating func next() -> Claim? {
        guard head < queue.count else { return nil }
        let claim = queue[head]
        head += 1
        waitingRecipients -= claim.delivery.recipientCount
        if head == queue.count {
            queue.removeAll(keepingCapacity: true)
            head = 0
        }
        return claim
    }

    mutating func started(_ attempt: Attempt) { underWay[attempt.delivery.id] = attempt }

    /// Removes the attempt and returns it with its present lease. Nil when the attempt was given up before its outcome
    /// came.
    mutating func finished(_ attempt: Attempt) -> Attempt? { underWay.removeValue(forKey: attempt.delivery.id) }

    mutating func ended(_ claim: Claim, _ settlement: Settlement, pace: DeliveryOutcome.Pace? = nil) {
        unsettled.append(Ended(claim: claim, settlement: settlement, pace: pace))
    }

    /// Returns all waiting deliveries to the queue untried.
    mutating func releaseWaiting(at now: Timestamp) {
        while let claim = next() { ended(claim, Settlement(releasing: claim.delivery, at: now)) }
    }

    mutating func beginSettling() -> [Ended] {
        settling = unsettled
        unsettled = []
        return settling
    }

    mutating func settled() { settling = [] }

    /// Keeps the outcomes that could not be recorded, before the outcomes that have come since.
    mutating func settlingFailed() {
        unsettled = settling + unsettled
        settling = []
    }

    /// The deliveries whose lease ends before `limit`. They include deliveries that are being settled, because settling
    /// may fail.
    func leased(before limit: Timestamp) -> [DeliveryID] {
        let claims = queue[head...] + underWay.values.map(\.claim) + (settling + unsettled).map(\.claim)
        return claims.filter { $0.leaseUntil < limit }.map(\.delivery.id)
    }

    mutating func extended(_ deliveries: [DeliveryID], until: Timestamp) {
        let extended = Set(deliveries)
        for i in queue.indices where extended.contains(queue[i].delivery.id) { queue[i].leaseUntil = until }
        for i in unsettled.indices where extended.contains(unsettled[i].delivery.id) {
            unsettled[i].claim.leaseUntil = until
        }
        for i in settling.indices where extended.contains(settling[i].delivery.id) {
            settling[i].claim.leaseUntil = until
        }
        for id in deliveries { underWay[id]?.claim.leaseUntil = until }
    }
}

extension ClaimedDelivery {
    /// The number of recipients as SES counts them, at least 1.
    var recipientCount: Int { max(1, envelope.recipients.count) }
}
