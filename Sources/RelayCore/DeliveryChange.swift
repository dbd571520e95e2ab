/// What becomes of a delivery's record: decided here for every store, which only writes it down.
///
/// Every change ends a lease: who had the delivery has it no longer. What is not named stays as it is.
public struct DeliveryChange: Hashable, Sendable {
    public enum Reason: Hashable, Sendable {
        case kept
        case set(String?)
    }

    /// An attempt that goes on record, numbered by the attempts so far.
    public struct Attempt: Hashable, Sendable {
        /// `sent`, `simulated`, `retry` or `failed`.
        public var outcome: String
        public var reason: String?
    }

    public private(set) var state: DeliveryState
    public private(set) var reason: Reason
    /// When it is tried next; nil: as it was.
    public private(set) var due: Timestamp?
    /// Since when the time after which it is given up counts; nil: as it was. Where it is set, the pauses begin with the
    /// shortest again.
    public private(set) var queuedSince: Timestamp?
    /// To be added to the record, and then counts as one attempt more.
    public private(set) var attempt: Attempt?
    /// Whether the next pause is longer than the last.
    public private(set) var lengthensPause = false
    /// SES may have it already: it is marked for good.
    public private(set) var mayBeDuplicate = false
    public private(set) var sesMessageID: String?
    /// Exactly where the state is final.
    public private(set) var endedAt: Timestamp?

    init(_ state: DeliveryState, _ reason: Reason, at now: Timestamp) {
        self.state = state
        self.reason = reason
        endedAt = state.isFinal ? now : nil
    }

    private static func dropped(at now: Timestamp) -> DeliveryChange {
        DeliveryChange(.failed, .set(droppedReason), at: now)
    }
}

// MARK: Attempts

extension DeliveryChange {
    /// What a delivery is when an attempt's outcome comes to be recorded.
    public struct Standing: Hashable, Sendable {
        public var state: DeliveryState
        /// Whether it is under way with who reports the outcome.
        public var isHeldByReporter: Bool
        /// What was decided for the case that it comes back, when its key was revoked.
        public var onReturn: QueuedDisposition

        public init(state: DeliveryState, isHeldByReporter: Bool, onReturn: QueuedDisposition = .deliver) {
            self.state = state
            self.isHeldByReporter = isHeldByReporter
            self.onReturn = onReturn
        }
    }

    /// What follows from an attempt's outcome; nil: nothing, it is somebody else's by now.
    ///
    /// A lease that ran out may have put the delivery back, and given it to another, or ended it with its key. Then only one
    /// thing is still of interest: what was sent is sent.
    public init?(settling settlement: Settlement, of standing: Standing) {
        let isOnRecord = standing.state == .sent || standing.state == .simulated
        guard standing.isHeldByReporter && standing.state == .sending || settlement.result.isSent && !isOnRecord else {
            return nil
        }
        let now = settlement.finishedAt
        switch settlement.result {
        case .sent(let id):
            self.init(.sent, .set(settlement.reason), at: now)
            sesMessageID = id
        case .simulated(let id):
            self.init(.simulated, .set(settlement.reason), at: now)
            sesMessageID = id
        case .failed: self.init(.failed, .set(settlement.reason), at: now)
        case .retry(let next):
            self.init(.queued, .set(settlement.reason), at: now)
            due = next
            lengthensPause = settlement.lengthensPause
        case .released: self.init(.queued, settlement.reason.map { .set($0) } ?? .kept, at: now)
        }
        attempt = settlement.result.word.map { Attempt(outcome: $0, reason: settlement.reason) }
        mayBeDuplicate = settlement.mayHaveBeenTaken
        if state == .queued { goesBack(standing.onReturn, at: now) }
    }

    /// What becomes of a delivery under way whose holder is gone.
    public init(abandonedIn lane: Lane, onReturn: QueuedDisposition, at now: Timestamp) {
        let reason = "abandoned: the relay stopped while it was being sent"
        self.init(.queued, .set(reason), at: now)
        due = now
        attempt = Attempt(outcome: "retry", reason: reason)
        // A simulated send touches nothing outside, so it can't have happened twice. A live one may have been taken.
        mayBeDuplicate = lane == .live
        goesBack(onReturn, at: now)
    }

    /// What was under way when its key was revoked goes back to the queue only if the queue was still to be delivered.
    private mutating func goesBack(_ onReturn: QueuedDisposition, at now: Timestamp) {
        guard let instead = DeliveryChange(revoked: onReturn, at: now) else { return }
        (state, reason, endedAt) = (instead.state, instead.reason, instead.endedAt)
    }
}

extension Settlement.Result {
    fileprivate var isSent: Bool {
        switch self {
        case .sent, .simulated: true
        case .retry, .failed, .released: false
        }
    }

    /// As it goes on record; nil: this was no attempt.
    fileprivate var word: String? {
        switch self {
        case .sent: "sent"
        case .simulated: "simulated"
        case .retry: "retry"
        case .failed: "failed"
        case .released: nil
        }
    }
}

// MARK: Operators

extension QueuedDisposition {
    /// The deliveries that it changes at once. What is under way ends as it ends, and has the same fate if it comes back.
    public var states: [DeliveryState] {
        switch self {
        case .deliver: []
        case .hold: [.queued]
        case .drop: [.queued, .held]
        }
    }
}

extension DeliveryChange {
    /// What becomes of a waiting delivery whose key is revoked; nil: nothing.
    public init?(revoked disposition: QueuedDisposition, at now: Timestamp) {
        switch disposition {
        case .deliver: return nil
        case .hold:
            self.init(
                .held,
                .set(
                    "held: its key was revoked with --queued hold; 'messages release' sends it, 'messages drop' gives it up"
                ), at: now)
        case .drop: self = .dropped(at: now)
        }
    }

    /// What becomes of a delivery that ``Steering/affects(_:reason:)``. One that is scheduled for later keeps its time.
    public init(_ steering: Steering, scheduledAt: Timestamp?, at now: Timestamp) {
        switch steering {
        case .retry, .release:
            self.init(.queued, .set(nil), at: now)
            let time = Schedule.wait(until: scheduledAt, at: now) ?? now
            due = time
            queuedSince = time
        case .hold: self.init(.held, .set("held: by the operator"), at: now)
        case .drop: self = .dropped(at: now)
        }
    }
}

// MARK: Keys' holders

extension DeliveryChange {
    /// What becomes of a delivery that its key's holder cancels.
    public init(cancelledAt now: Timestamp) {
        self.init(.cancelled, .set("cancelled: by the application"), at: now)
    }
}

extension Steering {
    /// The states of the deliveries that it changes.
    public var states: [DeliveryState] {
        switch self {
        case .retry: [.failed]
        case .hold: [.queued]
        case .release: [.held]
        case .drop: [.queued, .held]
        }
    }

    /// The reason on record of those that it leaves alone all the same.
    public var sparedReason: String? { if case .retry(dropped: false) = self { droppedReason } else { nil } }

    /// Without its bytes a message can't be sent.
    public var needsBody: Bool { if case .retry = self { true } else { false } }

    public func affects(_ state: DeliveryState, reason: String?) -> Bool {
        states.contains(state) && (sparedReason == nil || reason != sparedReason)
    }
}
