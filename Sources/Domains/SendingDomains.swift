import InternetMessage
import RelayCore
import Resolver
import Synchronization

/// A domain with the records that it should have, each compared with DNS.
package struct CheckedDomain: Hashable, Sendable {
    package var domain: SendingDomain
    package var records: [CheckedRecord]

    package init(domain: SendingDomain, records: [CheckedRecord]) {
        self.domain = domain
        self.records = records
    }
}

/// The domains of live and test keys. The HTTP API, the commands and the operator's page use it.
///
/// A request takes at most 10 s in SES and 5 s in DNS. At most ``most`` requests of an environment are in progress at a
/// time. So a slow SES holds up nothing else, and does not keep test keys from their domains.
package final class SendingDomains: Sendable {
    private let live: any DomainAuthority
    private let test: any DomainAuthority
    private let resolver: any RecordResolver
    private let underWay = Mutex<[Environment: Int]>([:])

    /// The largest number of requests of an environment at a time. A request beyond it is refused.
    package static let most = 8
    /// The time for all calls to SES that a request needs.
    package static let timeout = Duration.seconds(10)

    /// - Parameters:
    ///   - live: the source of the live keys' domains.
    ///   - test: the source of the test keys' domains.
    ///   - resolver: looks up the records that are not simulated.
    package init(live: any DomainAuthority, test: any DomainAuthority, resolver: any RecordResolver) {
        self.live = live
        self.test = test
        self.resolver = resolver
    }

    /// Lists domains without their records, in the order of the octets of their names.
    ///
    /// - Parameters:
    ///   - name: the list begins after this name; nil: with the first domain.
    ///   - limit: the largest number of domains.
    ///   - isWanted: whether the domain with this name belongs in the list.
    /// - Throws: ``DomainFailure``; `busy` if ``most`` requests are in progress, `unavailable` after ``timeout``.
    package func list(
        _ environment: Environment, behind name: String? = nil, limit: Int,
        where isWanted: @escaping @Sendable (String) -> Bool = { _ in true }
    ) async throws(DomainFailure) -> [SendingDomain] {
        let authority = authority(of: environment)
        return try await taken(environment) { () async throws(DomainFailure) in
            try await authority.domains(behind: name, limit: limit, isWanted)
        }
    }

    /// Finds a domain, and compares its records with DNS.
    ///
    /// - Throws: ``DomainFailure``, as ``list(_:behind:limit:where:)`` does, and `notFound`.
    package func show(_ name: DomainName, _ environment: Environment) async throws(DomainFailure) -> CheckedDomain {
        let authority = authority(of: environment)
        return try await taken(environment, checking: authority) { () async throws(DomainFailure) in
            try await authority.domain(name)
        }
    }

    /// Checks again whether the domain is verified, and compares its records with DNS.
    ///
    /// - Throws: ``DomainFailure``, as ``list(_:behind:limit:where:)`` does, and `notFound`.
    package func verify(_ name: DomainName, _ environment: Environment) async throws(DomainFailure) -> CheckedDomain {
        let authority = authority(of: environment)
        return try await taken(environment, checking: authority) { () async throws(DomainFailure) in
            try await authority.verify(name)
        }
    }

    /// Adds a domain, or finds it if it exists already.
    ///
    /// - Parameter key: the key that adds it; nil: an operator.
    /// - Returns: the domain, and whether this call has added it.
    /// - Throws: ``DomainFailure``, as ``list(_:behind:limit:where:)`` does, and `tooMany` and `refused`.
    package func add(
        _ name: DomainName, _ environment: Environment, by key: KeyID?
    ) async throws(DomainFailure) -> (domain: CheckedDomain, isNew: Bool) {
        let authority = authority(of: environment)
        let isNew = Mutex(false)
        let checked = try await taken(environment, checking: authority) { () async throws(DomainFailure) in
            let added = try await authority.add(name, by: key)
            isNew.withLock { $0 = added.isNew }
            return added.domain
        }
        return (checked, isNew.withLock { $0 })
    }

    /// Whether live keys can have domains. They can't while ``UnconfiguredDomains`` is their source.
    package var hasLive: Bool { !(live is UnconfiguredDomains) }

    private func authority(of environment: Environment) -> any DomainAuthority { environment == .live ? live : test }

    /// Stops the resolver. Look-ups that have begun end by themselves.
    package func shutdown() { resolver.shutdown() }

    // MARK: Limits

    private func taken(
        _ environment: Environment, checking authority: any DomainAuthority,
        _ work: @escaping @Sendable () async throws(DomainFailure) -> SendingDomain
    ) async throws(DomainFailure) -> CheckedDomain {
        try begin(environment)
        defer { end(environment) }
        let domain = try await bounded(work)
        return CheckedDomain(domain: domain, records: await records(of: domain, authority))
    }

    private func taken<T: Sendable>(
        _ environment: Environment, _ work: @escaping @Sendable () async throws(DomainFailure) -> T
    ) async throws(DomainFailure) -> T {
        try begin(environment)
        defer { end(environment) }
        return try await bounded(work)
    }

    private func begin(_ environment: Environment) throws(DomainFailure) {
        let isFull = underWay.withLock { counts in
            guard counts[environment, default: 0] < SendingDomains.most else { return true }
            counts[environment, default: 0] += 1
            return false
        }
        if isFull { throw .busy }
    }

    private func end(_ environment: Environment) { underWay.withLock { $0[environment, default: 1] -= 1 } }

    private func bounded<T: Sendable>(
        _ work: @escaping @Sendable () async throws(DomainFailure) -> T
    ) async throws(DomainFailure) -> T {
        let result = await within(SendingDomains.timeout) { () -> Result<T, DomainFailure> in
            do throws(DomainFailure) { return .success(try await work()) } catch { return .failure(error) }
        }
        guard let result else { throw .unavailable("it takes too long") }
        return try result.get()
    }

    // MARK: Records

    private func records(of domain: SendingDomain, _ authority: any DomainAuthority) async -> [CheckedRecord] {
        let records = DomainRecord.records(of: domain)
        return await withTaskGroup(of: (Int, CheckedRecord).self) { group in
            for (index, record) in records.enumerated() {
                group.addTask { [resolver] in
                    if let finding = authority.simulatedFinding(of: record, for: domain) {
                        return (index, CheckedRecord(record, finding))
                    }
                    let answer = await resolver.records(DNSQuestion(record.type, of: record.name))
                    return (index, CheckedRecord(record, answer: answer))
                }
            }
            var checked: [CheckedRecord?] = records.map { _ in nil }
            for await (index, record) in group { checked[index] = record }
            return checked.compactMap { $0 }
        }
    }
}

/// The source of live domains if no SES region is set: every call throws ``DomainFailure/unconfigured``.
package struct UnconfiguredDomains: DomainAuthority {
    package init() {}

    package func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain] { throw .unconfigured }

    package func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain { throw .unconfigured }

    package func add(
        _ name: DomainName, by key: KeyID?
    ) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool) { throw .unconfigured }

    package func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain { throw .unconfigured }

    package func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding? { nil }
}
