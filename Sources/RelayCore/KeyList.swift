/// Which keys a list is to hold. Everything given must hold.
public struct KeyFilter: Hashable, Sendable {
    /// In the name, or at the beginning of the public id. Case does not count (of ASCII letters).
    public var text: String?
    public var environment: Environment?
    public var includesRevoked: Bool
    /// Only keys that stand behind this one in the list: where the next page begins, it is the last key of this one.
    public var after: Place?
    /// Newest first, at most so many.
    public var limit: Int

    /// Where a key stands in the list.
    public struct Place: Hashable, Sendable {
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
    public var place: KeyFilter.Place { KeyFilter.Place(createdAt: createdAt, id: id) }
}

/// What a key was used for on one UTC day.
public struct KeyDay: Hashable, Sendable {
    public var day: UTCDay
    public var emails: Int
    /// What became of them, as far as that was told.
    public var feedback: FeedbackCounts

    public init(day: UTCDay, emails: Int, feedback: FeedbackCounts = FeedbackCounts()) {
        self.day = day
        self.emails = emails
        self.feedback = feedback
    }
}
