import RelayCore

/// A moment on both clocks: `time` goes on record and is compared across processes, `monotonic` measures.
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

/// The deliveries that a worker holds, a bounded part of the queue: first they wait for their turn, then they are under
/// way, then they have an outcome that is not yet on record.
struct ActiveSet {
    struct Claim: Sendable {
        var delivery: ClaimedDelivery
        var leaseUntil: Timestamp
    }

    /// A delivery in the hands of the transport.
    struct Attempt: Sendable {
        /// Which of the concurrent senders has it.
        var slot: Int
        var claim: Claim
        var startedAt: Moment
        /// Tries whether a held lane moves again.
        var isProbe: Bool

        var delivery: ClaimedDelivery { claim.delivery }
    }

    struct Ended: Sendable {
        var claim: Claim
        var settlement: Settlement
        /// Of a retry.
        var pace: DeliveryOutcome.Pace?

        var delivery: ClaimedDelivery { claim.delivery }
    }

    private var queue: [Claim] = []
    /// Those before it in `queue` have started.
    private var head = 0
    private(set) var waitingRecipients = 0
    private(set) var underWay: [DeliveryID: Attempt] = [:]
    private(set) var unsettled: [Ended] = []
    /// Those whose settlement is being synced.
    private(set) var settling: [Ended] = []

    var waiting: Int { queue.count - head }
    var count: Int { waiting + underWay.count + unsettled.count + settling.count }
    var isEmpty: Bool { count == 0 }

    /// A lease that ran out may bring back what is still held here; it stays as it is.
    mutating func claimed(_ deliveries: [ClaimedDelivery], leaseUntil: Timestamp) {
        if head > 0 {
            queue.removeFirst(head)
            head = 0
        }
        var held = Set(unsettled.map(\.delivery.id))
        held.formUnion(queue.lazy.map(\.delivery.id))
        // What has ended is about to be so on record.
        held.formUnion(settling.lazy.filter { $0.settlement.result.isEnd }.map(\.delivery.id))
        for delivery in deliveries where underWay[delivery.id] == nil && !held.contains(delivery.id) {
            queue.append(Claim(delivery: delivery, leaseUntil: leaseUntil))
            waitingRecipients += delivery.recipientCount
        }
    }

    /// The one whose turn it is, taken out.
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

    /// The attempt with its lease as it stands now; nil when it had been given up before its outcome came.
    mutating func finished(_ attempt: Attempt) -> Attempt? { underWay.removeValue(forKey: attempt.delivery.id) }

    mutating func ended(_ claim: Claim, _ settlement: Settlement, pace: DeliveryOutcome.Pace? = nil) {
        unsettled.append(Ended(claim: claim, settlement: settlement, pace: pace))
    }

    /// All that wait go back to the queue untried.
    mutating func releaseWaiting(at now: Timestamp) {
        while let claim = next() { ended(claim, Settlement(releasing: claim.delivery, at: now)) }
    }

    mutating func beginSettling() -> [Ended] {
        settling = unsettled
        unsettled = []
        return settling
    }

    mutating func settled() { settling = [] }

    /// They are kept, before what has ended since.
    mutating func settlingFailed() {
        unsettled = settling + unsettled
        settling = []
    }

    /// What is held under a lease that ends before `limit`, also what is being settled: that may fail.
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
    /// What SES counts.
    var recipientCount: Int { max(1, envelope.recipients.count) }
}
