/// Events of emails, counted by recipient.
public struct FeedbackCounts: Hashable, Sendable {
    /// Recipients with the event `delivered`.
    public var deliveries: Int
    /// Hard and soft bounces.
    public var bounces: Int
    /// The hard bounces among `bounces`: addresses that can never work (`BounceType.hard`).
    public var hardBounces: Int
    /// Recipients with the event `complained`.
    public var complaints: Int

    public init(deliveries: Int = 0, bounces: Int = 0, hardBounces: Int = 0, complaints: Int = 0) {
        self.deliveries = deliveries
        self.bounces = bounces
        self.hardBounces = hardBounces
        self.complaints = complaints
    }

    /// Counts an event, if it is one of the counted kinds.
    public mutating func count(_ event: RecipientEvent) {
        switch event.kind {
        case .delivered: deliveries += 1
        case .bounced:
            bounces += 1
            if event.detail.bounceType == .hard { hardBounces += 1 }
        case .complained: complaints += 1
        default: break
        }
    }

    /// The sum of each count of `a` and the same count of `b`.
    public static func + (a: FeedbackCounts, b: FeedbackCounts) -> FeedbackCounts {
        FeedbackCounts(
            deliveries: a.deliveries + b.deliveries, bounces: a.bounces + b.bounces,
            hardBounces: a.hardBounces + b.hardBounces, complaints: a.complaints + b.complaints)
    }
}

/// A sender's standing with SES, which reviews accounts with many bounces and complaints and may pause them.
///
/// SES counts hard bounces against the emails sent, and complaints against those delivered. Here hard bounces are
/// counted against the emails that are known to have been delivered or to have bounced hard, and complaints against
/// those that are known to have been delivered.
public struct SendingStanding: Hashable, Sendable {
    /// The counts that the rates are computed from.
    public var counts: FeedbackCounts

    /// The standing that these counts give.
    public init(_ counts: FeedbackCounts) { self.counts = counts }

    /// A review begins at 5 % (SES Developer Guide, "Reputation metrics").
    public static let bounceThreshold = 0.05
    /// A review begins at 0.1 %.
    public static let complaintThreshold = 0.001
    /// The fewest emails with a known outcome for which a rate is meaningful. One bounce among ten emails says nothing.
    public static let fewest = 100

    private var known: Int { counts.deliveries + counts.hardBounces }

    /// Hard bounces per email that is known to have been delivered or to have bounced hard, 0 to 1; nil if there is no
    /// such email.
    public var bounceRate: Double? { known == 0 ? nil : Double(counts.hardBounces) / Double(known) }
    /// Complaints per email that is known to have been delivered, 0 to 1; nil if there is no such email.
    public var complaintRate: Double? {
        counts.deliveries == 0 ? nil : min(1, Double(counts.complaints) / Double(counts.deliveries))
    }

    /// Whether enough outcomes are known for a rate.
    public var isTelling: Bool { known >= SendingStanding.fewest }

    /// Whether SES would review the sender because of its bounces.
    public var bouncesTooOften: Bool {
        isTelling && (bounceRate ?? 0) >= SendingStanding.bounceThreshold
    }

    /// Whether SES would review the sender because of its complaints.
    public var complainedOfTooOften: Bool {
        isTelling && (complaintRate ?? 0) >= SendingStanding.complaintThreshold
    }
}
