/// Collects what a transaction adds to the statistics. Most messages have neither template nor tags and add nothing.
public struct StatisticsCounter: Sendable {
    /// The identity of a row of the statistics.
    public struct Place: Hashable, Comparable, Sendable {
        /// The key that sent the messages.
        public let key: KeyID
        /// What `name` names: a template or a tag.
        public let kind: StatisticsKind
        /// The UTC day of the events.
        public let day: UTCDay
        /// The id of the template, or the tag. Empty: the names beyond the limit (`others`).
        public let name: String

        /// The row that counts names beyond the limit.
        public var others: Place { Place(key: key, kind: kind, day: day, name: "") }

        public static func == (a: Place, b: Place) -> Bool {
            (a.key, a.kind, a.day) == (b.key, b.kind, b.day) && a.name.utf8.elementsEqual(b.name.utf8)
        }

        // Names are compared by their octets, as in databases: Swift treats some different texts as equal.
        public func hash(into hasher: inout Hasher) {
            hasher.combine(key)
            hasher.combine(kind)
            hasher.combine(day)
            for octet in name.utf8 { hasher.combine(octet) }
        }

        public static func < (a: Place, b: Place) -> Bool {
            if a.key != b.key { return a.key.text < b.key.text }
            if a.kind != b.kind { return a.kind.rawValue < b.kind.rawValue }
            if a.day != b.day { return a.day < b.day }
            return a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
        }
    }

    private var counts: [Place: RecipientCounts] = [:]

    public init() {}

    /// The counts, in the same order in all relays.
    public var rows: [(place: Place, counts: RecipientCounts)] {
        counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Whether nothing has been counted.
    public var isEmpty: Bool { counts.isEmpty }

    /// Counts recipients of a message.
    ///
    /// - Parameter time: when the event happened. A time in the future counts as today.
    public mutating func count(
        _ kind: EventKind, recipients: Int = 1, of message: MessageFacts, at time: Timestamp, now: Timestamp
    ) {
        let more = RecipientCounts(kind) * recipients
        guard !more.isEmpty else { return }
        let day = min(time.day, now.day)
        for (kind, name) in message.statisticsNames {
            let place = Place(key: message.key, kind: kind, day: day, name: name)
            counts[place] = (counts[place] ?? RecipientCounts()) + more
        }
    }
}
