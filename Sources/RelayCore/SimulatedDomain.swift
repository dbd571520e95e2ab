/// A domain of a test key: known to the store alone.
public struct SimulatedDomain: Hashable, Sendable {
    /// In lower case, as DNS writes it.
    public var name: String
    public var createdAt: Timestamp
    /// Nil where an operator added it.
    public var createdBy: KeyID?
    /// Random octets that the DKIM tokens of the simulation are made from.
    public var tokenSeed: [UInt8]
    /// Nil: it is pending.
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

    /// Domains of all test keys together at most.
    public static let most = 1000
}

public enum SimulatedDomainInsertion: Hashable, Sendable {
    case inserted
    case exists
    /// There are ``SimulatedDomain/most`` already.
    case tooMany
}

public protocol SimulatedDomainStore: Sendable {
    func insert(_ domain: SimulatedDomain) async throws -> SimulatedDomainInsertion
    /// By name, octet for octet; those behind `name`.
    func simulatedDomains(after name: String?, limit: Int) async throws -> [SimulatedDomain]
    func simulatedDomain(_ name: String) async throws -> SimulatedDomain?
    /// Sets the time at which it was verified, unless it was before. Returns it as it is then; nil where there is none.
    func verifySimulatedDomain(_ name: String, now: Timestamp) async throws -> SimulatedDomain?
}
