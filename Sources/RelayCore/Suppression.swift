/// Why no mail is sent to an address.
public enum SuppressionReason: String, CaseIterable, Sendable, Hashable {
    /// SES has reported that the address does not exist.
    case hardBounce = "hard_bounce"
    /// The recipient has marked a message as spam.
    case complaint
    /// A person has put the address on the list.
    case manual
}

/// An address that no mail is sent to, in one environment.
public struct Suppression: Hashable, Sendable {
    /// The environment whose deliveries skip the address.
    public var environment: Environment
    /// The address as it was given, with its domain in lower case.
    public var address: String
    /// The reason why no mail is sent. If there were several, the weightiest (`weightier(_:_:)`).
    public var reason: SuppressionReason
    /// When the address was put on the list. An entry that is added again keeps this time.
    public var createdAt: Timestamp
    /// The message whose bounce or complaint caused this entry; nil if a person added it.
    public var message: MessageID?
    /// What was reported about the cause, or what the person noted; at most ``longestNote`` characters.
    public var note: String?

    /// The most characters of a note.
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

    /// The form in which addresses are compared: ASCII letters in lower case, both before and after the `@`. On the way
    /// back in a complaint, the case of an address may have changed.
    public static func matchKey(_ address: String) -> String {
        guard address.utf8.contains(where: { (0x41...0x5A).contains($0) }) else { return address }
        return String(decoding: address.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    private static func normalised(_ address: String) -> String {
        guard let at = address.utf8.lastIndex(of: UInt8(ascii: "@")) else { return address }
        return String(address[..<at]) + matchKey(String(address[at...]))
    }

    /// The reason that remains if an address gets on the list twice: a complaint takes precedence over a bounce, and
    /// both over a person's entry.
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
    /// The reason for which the recipient gets no more mail after this event; nil if mail is still sent.
    public var suppressionReason: SuppressionReason? {
        switch kind {
        case .bounced where detail.bounceType == .hard: .hardBounce
        case .complained: .complaint
        default: nil
        }
    }
}

/// Selects suppressions. An entry must satisfy every condition that is set.
public struct SuppressionFilter: Hashable, Sendable {
    /// The environment; nil: both.
    public var environment: Environment?
    /// The reason of the entries; nil: any reason.
    public var reason: SuppressionReason?
    /// A part of the address; upper and lower case are not distinguished. Nil: any address.
    public var search: String?
    /// Only entries after this position, in the order of the list. To get the next page, use the last entry of this
    /// page.
    public var after: Cursor?
    /// The most entries on one page.
    public var limit: Int

    /// A position in the list.
    public struct Cursor: Hashable, Sendable {
        /// The environment of the last entry before the position.
        public var environment: Environment
        /// The `Suppression.matchKey(_:)` of the address of the last entry before the position.
        public var matchKey: String

        /// The position after this entry.
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

/// The outcome of a request to remove an entry.
public enum SuppressionRemoval: Hashable, Sendable {
    /// The entry that was removed.
    case removed(Suppression)
    /// There is no entry for the address.
    case notListed
    /// The entry is a complaint and was not removed.
    case isComplaint
}

/// The list of suppressed addresses. Every change applies to all deliveries that are claimed afterwards, by any
/// process.
public protocol SuppressionStore: Sendable {
    /// The entries by environment (live first) and address.
    func suppressions(_ filter: SuppressionFilter) async throws -> [Suppression]
    /// The entry for an address; upper and lower case are not distinguished. Nil if there is none.
    func suppression(of address: String, in environment: Environment) async throws -> Suppression?
    /// Adds entries, all or none. An address that is already on the list keeps its time and gets the weightier of the
    /// two reasons (`Suppression/weightier(_:_:)`). Returns how many addresses are new.
    func add(_ suppressions: [Suppression]) async throws -> Int
    /// Removes an entry. Removes a complaint only if `evenComplaint` is true. This is decided in the transaction,
    /// because a complaint may arrive while a person looks at the entry.
    func removeSuppression(
        of address: String, in environment: Environment, evenComplaint: Bool
    ) async throws -> SuppressionRemoval
}
