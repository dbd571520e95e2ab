/// A sending domain of test keys. It exists only in the store: SES does not know it.
public struct SimulatedDomain: Hashable, Sendable {
    /// The name in lower case, as DNS writes it.
    public var name: String
    /// When a key or an operator added the domain.
    public var createdAt: Timestamp
    /// Nil if an operator added it.
    public var createdBy: KeyID?
    /// Random octets from which the simulation's DKIM tokens are made.
    public var tokenSeed: [UInt8]
    /// When it was verified; nil: it is pending.
    public var verifiedAt: Timestamp?

    public init(
        name: String, createdAt: Timestamp, createdBy: KeyID? = nil, tokenSeed: [UInt8], verifiedAt: Timestamp? = nil
    ) {
        self.name = name
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.tokenSeed = tokenSeed
        self.verifiedAt = verifiedAt
    }

    /// The most domains of all test keys together.
    public static let most = 1000
}

/// The outcome of a request to add a simulated domain.
public enum SimulatedDomainInsertion: Hashable, Sendable {
    case inserted
    /// There is a domain with this name. It stays as it is.
    case exists
    /// There are already ``SimulatedDomain/most`` domains.
    case tooMany
}

/// The domains of test keys. The names are in lower case and in A-labels.
public protocol SimulatedDomainStore: Sendable {
    /// Adds a domain, unless one has its name or the limit is reached.
    func insert(_ domain: SimulatedDomain) async throws -> SimulatedDomainInsertion
    /// At most `limit` domains after `name`, in the order of the names' octets. A nil `name`: from the first domain.
    func simulatedDomains(after name: String?, limit: Int) async throws -> [SimulatedDomain]
    /// The domain with this name. Nil if there is none.
    func simulatedDomain(_ name: String) async throws -> SimulatedDomain?
    /// Sets the time of verification, unless it is set already. Returns the domain; nil if there is none.
    func verifySimulatedDomain(_ name: String, now: Timestamp) async throws -> SimulatedDomain?
}
