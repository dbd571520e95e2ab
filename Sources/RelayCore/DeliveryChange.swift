/// A change to a delivery's record. It is decided here for every store; the store only writes it.
///
/// Every change ends the lease: the worker that held the delivery no longer holds it. Fields that a change does not set
/// stay as they are.
public struct DeliveryChange: Hashable, Sendable {
    /// What happens to the recorded reason.
    public enum Reason: Hashable, Sendable {
        /// The recorded reason stays.
        case kept
        /// The recorded reason is replaced; nil removes it.
        case set(String?)
    }

    /// An attempt to be recorded. Its number follows from the attempts so far.
    public struct Attempt: Hashable, Sendable {
        /// `sent`, `simulated`, `retry` or `failed`.
        public var outcome: String
        /// Why the attempt had this outcome: the `Settlement.reason`. Nil if there is nothing to report.
        public var reason: String?
    }

    /// The state after the change.
    public private(set) var state: DeliveryState
    /// What happens to the reason that the delivery's record has.
    public private(set) var reason: Reason
    /// When the delivery is attempted next; nil: unchanged.
    public private(set) var due: Timestamp?
    /// The time from which the give-up time counts; nil: unchanged. If it is set, the pauses begin with the shortest
    /// again.
    public private(set) var queuedSince: Timestamp?
    /// The attempt to add to the record, which also raises the number of attempts by 1. Nil: none is added.
    public private(set) var attempt: Attempt?
    /// Whether the next pause between attempts is longer than the last one.
    public private(set) var lengthensPause = false
    /// Whether SES may have accepted the message already. If true, the delivery is marked permanently.
    public private(set) var mayBeDuplicate = false
    /// The id that SES or the simulation gave the message; nil: unchanged.
    public private(set) var sesMessageID: String?
    /// When the delivery ended; nil if the state is not final.
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
    /// The delivery's record at the moment when an attempt's outcome is recorded.
    public struct Standing: Hashable, Sendable {
        /// The state that the store has for the delivery.
        public var state: DeliveryState
        /// Whether the delivery is being sent by the worker that reports the outcome.
        public var isHeldByReporter: Bool
        /// What happens to the delivery if it returns to the queue, as was decided when its key was revoked.
        public var onReturn: QueuedDisposition

        public init(state: DeliveryState, isHeldByReporter: Bool, onReturn: QueuedDisposition = .deliver) {
            self.state = state
            self.isHeldByReporter = isHeldByReporter
            self.onReturn = onReturn
        }
    }

    /// The change that follows from an attempt's outcome. Nil if the outcome no longer changes the delivery.
    ///
    /// The lease may have run out before the outcome was reported. The delivery was then returned to the queue. Since
    /// then it may have been given to another worker, or have ended because its key was revoked. In this case the
    /// outcome counts only if the message was sent and the record does not say so yet.
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

    /// The change for a delivery that was being sent when its worker disappeared.
    public init(abandonedIn lane: Lane, onReturn: QueuedDisposition, at now: Timestamp) {
        let reason = "interrupted: the relay stopped while this message was being sent"
        self.init(.queued, .set(reason), at: now)
        due = now
        attempt = Attempt(outcome: "retry", reason: reason)
        // A simulated send has no effect outside the relay, so it leaves no duplicate. SES may have accepted a live
        // message.
        mayBeDuplicate = lane == .live
        goesBack(onReturn, at: now)
    }

    /// Applies what was decided when the delivery's key was revoked: the delivery returns to the queue only if the
    /// key's queued deliveries were still to be delivered.
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

    /// The outcome's word in the record; nil if there was no attempt.
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
    /// The states of the deliveries that the disposition changes at once. A delivery that is being sent is not
    /// interrupted. If it returns to the queue later, the disposition is applied to it then.
    public var states: [DeliveryState] {
        switch self {
        case .deliver: []
        case .hold: [.queued]
        case .drop: [.queued, .held]
        }
    }
}

extension DeliveryChange {
    /// The change for a waiting delivery whose key is revoked; nil if nothing changes.
    public init?(revoked disposition: QueuedDisposition, at now: Timestamp) {
        switch disposition {
        case .deliver: return nil
        case .hold:
            self.init(
                .held,
                .set(
                    "held: its key was revoked with --queued hold; 'hiveku-relay messages release' sends it, 'hiveku-relay messages drop' gives it up"
                ), at: now)
        case .drop: self = .dropped(at: now)
        }
    }

    /// The change for a delivery that the action changes (``OperatorAction/affects(_:reason:)``). A delivery that is
    /// scheduled for later keeps its time.
    public init(_ operatorAction: OperatorAction, scheduledAt: Timestamp?, at now: Timestamp) {
        switch operatorAction {
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
    /// The change for a delivery that its key's holder cancels.
    public init(cancelledAt now: Timestamp) {
        self.init(.cancelled, .set("cancelled: by the application"), at: now)
    }
}

extension OperatorAction {
    /// The states of the deliveries that the action changes.
    public var states: [DeliveryState] {
        switch self {
        case .retry: [.failed]
        case .hold: [.queued]
        case .release: [.held]
        case .drop: [.queued, .held]
        }
    }

    /// The recorded reason of the deliveries that the action leaves unchanged although their state matches; nil if
    /// there are none.
    public var sparedReason: String? { if case .retry(dropped: false) = self { droppedReason } else { nil } }

    /// Whether the action needs the message's bytes, without which the message can't be sent.
    public var needsBody: Bool { if case .retry = self { true } else { false } }

    /// Whether the action changes a delivery with this state and recorded reason.
    public func affects(_ state: DeliveryState, reason: String?) -> Bool {
        states.contains(state) && (sparedReason == nil || reason != sparedReason)
    }
}
