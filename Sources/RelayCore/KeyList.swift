/// Selects the keys of a list. A key must satisfy every condition that is set.
public struct KeyFilter: Hashable, Sendable {
    /// A part of the name, or the beginning of the public id. The case of ASCII letters is ignored.
    public var text: String?
    /// Only keys of this environment; nil: of both.
    public var environment: Environment?
    /// Whether revoked keys are in the list too.
    public var includesRevoked: Bool
    /// Only keys after this one in the list. To get the next page, use the last key of this page.
    public var after: Place?
    /// The most keys that are returned. The newest are returned first.
    public var limit: Int

    /// A key's position in the list.
    public struct Place: Hashable, Sendable {
        /// When the key was created. The id orders keys that were created at the same time.
        public var createdAt: Timestamp
        public var id: KeyID

        public init(createdAt: Timestamp, id: KeyID) {
            self.createdAt = createdAt
            self.id = id
        }
    }

    public init(
        text: String? = nil, environment: Environment? = nil, includesRevoked: Bool = false, after: Place? = nil,
        limit: Int = 50
    ) {
        self.text = text
        self.environment = environment
        self.includesRevoked = includesRevoked
        self.after = after
        self.limit = limit
    }
}

extension Key {
    /// The key's position in a list of keys.
    public var place: KeyFilter.Place { KeyFilter.Place(createdAt: createdAt, id: id) }
}

/// A key's use on one UTC day.
public struct KeyDay: Hashable, Sendable {
    /// The UTC day on which the emails were accepted.
    public var day: UTCDay
    /// The number of recipients of the key's messages that were accepted on this day.
    public var emails: Int
    /// The outcome of these emails, as far as it was reported.
    public var feedback: FeedbackCounts

    public init(day: UTCDay, emails: Int, feedback: FeedbackCounts = FeedbackCounts()) {
        self.day = day
        self.emails = emails
        self.feedback = feedback
    }
}
