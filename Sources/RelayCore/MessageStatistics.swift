/// The numbers of recipients with each outcome. A recipient counts at most once under each outcome.
public struct RecipientCounts: Hashable, Sendable {
    /// SES or the simulation has accepted the message.
    public var sent: Int
    /// SES or the simulation has reported that the recipient's server accepted the message.
    public var delivered: Int
    /// SES or the simulation has reported a hard or soft bounce.
    public var bounced: Int
    /// SES or the simulation has reported a complaint about the message.
    public var complained: Int

    public init(sent: Int = 0, delivered: Int = 0, bounced: Int = 0, complained: Int = 0) {
        self.sent = sent
        self.delivered = delivered
        self.bounced = bounced
        self.complained = complained
    }

    /// One recipient with this event; all counts are 0 for an event that is not counted.
    public init(_ kind: EventKind) {
        self.init()
        switch kind {
        case .sent: sent = 1
        case .delivered: delivered = 1
        case .bounced: bounced = 1
        case .complained: complained = 1
        case .queued, .scheduled, .delayed, .rejected, .failed, .suppressed, .cancelled: break
        }
    }

    /// Whether all four counts are 0.
    public var isEmpty: Bool { self == RecipientCounts() }

    /// The sum of each count of `a` and the same count of `b`.
    public static func + (a: RecipientCounts, b: RecipientCounts) -> RecipientCounts {
        RecipientCounts(
            sent: a.sent + b.sent, delivered: a.delivered + b.delivered, bounced: a.bounced + b.bounced,
            complained: a.complained + b.complained)
    }

    /// Multiplies each count, for `number` recipients with the same outcome.
    public static func * (counts: RecipientCounts, number: Int) -> RecipientCounts {
        RecipientCounts(
            sent: counts.sent * number, delivered: counts.delivered * number, bounced: counts.bounced * number,
            complained: counts.complained * number)
    }
}

/// Counts of the UTC day of the query, and of the 7 and 30 days that end with it.
public struct MessageStatistics: Hashable, Sendable {
    /// The counts of the query's UTC day, so far.
    public var today: RecipientCounts
    /// The counts of 7 UTC days, including today.
    public var days7: RecipientCounts
    /// The counts of 30 UTC days, including today.
    public var days30: RecipientCounts

    public init(
        today: RecipientCounts = RecipientCounts(), days7: RecipientCounts = RecipientCounts(),
        days30: RecipientCounts = RecipientCounts()
    ) {
        self.today = today
        self.days7 = days7
        self.days30 = days30
    }

    /// Adds the counts of a day. A day outside the 30 is ignored.
    public mutating func add(_ counts: RecipientCounts, of day: UTCDay, today now: UTCDay) {
        let age = now.number - day.number
        guard (0..<30).contains(age) else { return }
        days30 = days30 + counts
        if age < 7 { days7 = days7 + counts }
        if age == 0 { today = today + counts }
    }
}

/// What messages are grouped by.
public enum StatisticsKind: String, CaseIterable, Hashable, Sendable {
    case template, tag

    /// Whether a reported event of this kind is counted. `sent` is not: sent recipients are counted when the delivery
    /// ends.
    public static func counts(reported kind: EventKind) -> Bool {
        kind != .sent && !RecipientCounts(kind).isEmpty
    }

    /// The most names of a key and a kind per UTC day. Further names are counted together under the empty name.
    public static let mostNames = 1000
    /// The number of days that are kept, including the day of the query.
    public static let keptDays: Int64 = 31
}

/// Selects statistics. They must satisfy every condition that is set.
public struct StatisticsFilter: Hashable, Sendable {
    /// Whether the statistics are those of templates or of tags.
    public var kind: StatisticsKind
    /// A template's id or a tag, compared octet by octet; nil: all names.
    public var name: String?
    /// The key that sent the messages; nil: all keys together.
    public var key: KeyID?
    /// Only keys of this environment; nil: of both.
    public var environment: Environment?
    /// Only names after this one, compared octet by octet. To get the next page, use the last name of this page.
    public var after: String?
    /// The most names that are returned, from 1.
    public var limit: Int

    public init(
        _ kind: StatisticsKind, name: String? = nil, key: KeyID? = nil, environment: Environment? = nil,
        after: String? = nil, limit: Int = 100
    ) {
        self.kind = kind
        self.name = name
        self.key = key
        self.environment = environment
        self.after = after
        self.limit = limit
    }
}

/// The statistics of a template or of a tag.
public struct NamedStatistics: Hashable, Sendable {
    /// A template's id or a tag. Empty: the names beyond ``StatisticsKind/mostNames``, counted together.
    public var name: String
    /// The counts of the messages with this name.
    public var statistics: MessageStatistics

    public init(name: String, statistics: MessageStatistics) {
        self.name = name
        self.statistics = statistics
    }
}

/// The outcomes of messages, by template and tag. They are counted in the transaction that records the event.
public protocol StatisticsStore: Sendable {
    /// The statistics of each name that was counted within 30 UTC days including today, in the order of the names'
    /// octets.
    func statistics(_ filter: StatisticsFilter, now: Timestamp) async throws -> [NamedStatistics]
}

extension StatisticsStore {
    /// The statistics of all messages that were made from a template. All counts are 0 if there are none.
    ///
    /// - Parameter environment: only the messages of keys of this environment; nil: those of all keys.
    public func statistics(
        of template: TemplateID, in environment: Environment? = nil, now: Timestamp
    ) async throws -> MessageStatistics {
        try await statistics(
            StatisticsFilter(.template, name: template.text, environment: environment, limit: 1), now: now
        ).first?.statistics ?? MessageStatistics()
    }
}
