/// What a store that several relays share knows about one of them.
public struct NodeRecord: Hashable, Sendable {
    /// The machine's host name, or the name that the operator has given the relay.
    public var name: String
    /// The number in the ids of the relay's messages, 0 to 1,023.
    public var number: Int64
    /// When the relay took its place in the store, by the store's clock.
    public var startedAt: Timestamp
    /// When the relay last renewed its place, by the store's clock.
    public var lastSeenAt: Timestamp
    /// Whether the relay's place is still valid.
    public var isLive: Bool
    /// The relay's version.
    public var version: String
    /// How far the clock of the relay's machine is ahead of the store's clock; negative if it is behind; nil if this is
    /// not known.
    public var clockOffset: Duration?

    public init(
        name: String, number: Int64, startedAt: Timestamp, lastSeenAt: Timestamp, isLive: Bool, version: String,
        clockOffset: Duration? = nil
    ) {
        self.name = name
        self.number = number
        self.startedAt = startedAt
        self.lastSeenAt = lastSeenAt
        self.isLive = isLive
        self.version = version
        self.clockOffset = clockOffset
    }
}

extension NodeRecord {
    /// The `clockOffset` in words: `1.5 s ahead`, `2 s behind`, `right` or `not known`.
    package var clockWords: String {
        guard let offset = clockOffset?.inSeconds, offset.isFinite else { return "not known" }
        let tenths = (abs(offset) * 10).rounded() / 10
        guard tenths > 0 else { return "right" }
        return "\(decimal(tenths)) s \(offset > 0 ? "ahead" : "behind")"
    }
}
