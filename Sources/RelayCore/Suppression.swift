/// Why no mail goes to an address.
public enum SuppressionReason: String, CaseIterable, Sendable, Hashable {
    /// SES has told that the address does not exist.
    case hardBounce = "hard_bounce"
    /// Its owner has marked a message as spam.
    case complaint
    /// A person has put it on the list.
    case manual
}

/// An address that no mail is sent to, in one environment.
public struct Suppression: Hashable, Sendable {
    public var environment: Environment
    /// As it was given, with its domain in lower case.
    public var address: String
    public var reason: SuppressionReason
    public var createdAt: Timestamp
    /// The message whose bounce or complaint it follows from; nil where a person added it.
    public var message: MessageID?
    /// What was told of that, or what the person noted; at most ``longestNote`` characters.
    public var note: String?

    public static let longestNote = 500

    public init(
        environment: Environment, address: String, reason: SuppressionReason, createdAt: Timestamp,
        message: MessageID? = nil, note: String? = nil
    ) {
        self.environment = environment
        self.address = Suppression.normalised(address)
        self.reason = reason
        self.createdAt = createdAt
        self.message = message
        self.note = note.map { String($0.prefix(Suppression.longestNote)) }
    }

    /// What addresses are matched by: letters of ASCII in lower case, in both parts. Complaints come back with addresses that have
    /// been changed on the way.
    public static func matchKey(_ address: String) -> String {
        guard address.utf8.contains(where: { (0x41...0x5A).contains($0) }) else { return address }
        return String(decoding: address.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func normalised(_ address: String) -> String {
        guard let at = address.utf8.lastIndex(of: UInt8(ascii: "@")) else { return address }
        return String(address[..<at]) + matchKey(String(address[at...]))
    }

    /// The reason that remains where an address gets on the list twice: a complaint outweighs a bounce, and both outweigh what a
    /// person noted.
    public static func weightier(_ a: SuppressionReason, _ b: SuppressionReason) -> SuppressionReason {
        func weight(_ reason: SuppressionReason) -> Int {
            switch reason {
            case .manual: 0
            case .hardBounce: 1
            case .complaint: 2
            }
        }
        return weight(a) >= weight(b) ? a : b
    }
}

extension RecipientEvent {
    /// Why the recipient gets no more mail after this; nil where it still does.
    public var suppressionReason: SuppressionReason? {
        switch kind {
        case .bounced where detail.bounceType == .hard: .hardBounce
        case .complained: .complaint
        default: nil
        }
    }
}

/// Which suppressions are asked for. Everything given must hold.
public struct SuppressionFilter: Hashable, Sendable {
    /// Nil: of both.
    public var environment: Environment?
    public var reason: SuppressionReason?
    /// Part of the address, letters compared without regard to case.
    public var search: String?
    /// Only those behind this one, in the order of the list: where the next page begins.
    public var after: Cursor?
    public var limit: Int

    public struct Cursor: Hashable, Sendable {
        public var environment: Environment
        public var matchKey: String

        public init(_ last: Suppression) {
            environment = last.environment
            matchKey = Suppression.matchKey(last.address)
        }

        public init(environment: Environment, matchKey: String) {
            self.environment = environment
            self.matchKey = matchKey
        }
    }

    public init(
        environment: Environment? = nil, reason: SuppressionReason? = nil, search: String? = nil, after: Cursor? = nil,
        limit: Int = 100
    ) {
        self.environment = environment
        self.reason = reason
        self.search = search
        self.after = after
        self.limit = limit
    }
}

/// What became of the wish to remove an entry.
public enum SuppressionRemoval: Hashable, Sendable {
    case removed(Suppression)
    case notListed
    /// It is a complaint, and stays.
    case isComplaint
}

/// The list of addresses that get no mail. Every change counts for all deliveries that are claimed afterwards, by any process.
public protocol SuppressionStore: Sendable {
    /// By environment (live first) and address.
    func suppressions(_ filter: SuppressionFilter) async throws -> [Suppression]
    /// The entry for an address, however its letters are written.
    func suppression(of address: String, in environment: Environment) async throws -> Suppression?
    /// Adds entries, all or none. An address that is on the list keeps its time, and the weightier of the two reasons. Returns how many
    /// are new.
    func add(_ suppressions: [Suppression]) async throws -> Int
    /// Removes an entry. A complaint only where `evenComplaint` is true: that is decided in the transaction, since a complaint may come
    /// while somebody looks at the entry.
    func removeSuppression(
        of address: String, in environment: Environment, evenComplaint: Bool
    ) async throws -> SuppressionRemoval
}
