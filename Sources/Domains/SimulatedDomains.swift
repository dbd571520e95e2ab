import Hashing
import InternetMessage
import RelayCore

/// The domains of test keys: rows of the store. Nothing goes over the network. A domain is pending until `verify` is
/// called for it.
package struct SimulatedDomains: DomainAuthority {
    let store: any SimulatedDomainStore
    let clock: any RelayClock

    /// - Parameters:
    ///   - store: has the domains.
    ///   - clock: gives the times at which domains are added and verified.
    package init(store: any SimulatedDomainStore, clock: any RelayClock) {
        self.store = store
        self.clock = clock
    }

    /// The zone that the CNAME records of simulated domains point into. The name never exists in DNS (RFC 6761 section
    /// 6.4), so nobody can set these records by mistake and believe that SES sends for the domain.
    static let zone = "dkim.simulated.invalid"

    package func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain] {
        var found: [SendingDomain] = []
        var last = name
        while found.count < limit {
            let rows: [SimulatedDomain]
            do { rows = try await store.simulatedDomains(after: last, limit: pageSize) } catch {
                throw .storage(error)
            }
            found += rows.filter { isWanted($0.name) }.compactMap { SendingDomain($0) }
            guard rows.count == pageSize, let end = rows.last else { break }
            last = end.name
        }
        return Array(found.prefix(limit))
    }

    private var pageSize: Int { 200 }

    package func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain {
        let row: SimulatedDomain?
        do { row = try await store.simulatedDomain(name.text) } catch { throw .storage(error) }
        guard let domain = row.flatMap({ SendingDomain($0) }) else { throw .notFound }
        return domain
    }

    package func add(
        _ name: DomainName, by key: KeyID?
    ) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool) {
        var generator = SystemRandomNumberGenerator()
        let row = SimulatedDomain(
            name: name.text, createdAt: clock.now(), createdBy: key,
            tokenSeed: (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        let insertion: SimulatedDomainInsertion
        do { insertion = try await store.insert(row) } catch { throw .storage(error) }
        switch insertion {
        case .inserted:
            guard let domain = SendingDomain(row) else { throw .notFound }
            return (domain, true)
        case .exists: return (try await domain(name), false)
        case .tooMany:
            throw .tooMany("test keys already have \(SimulatedDomain.most) domains, which is the limit")
        }
    }

    package func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain {
        let row: SimulatedDomain?
        do { row = try await store.verifySimulatedDomain(name.text, now: clock.now()) } catch { throw .storage(error) }
        guard let domain = row.flatMap({ SendingDomain($0) }) else { throw .notFound }
        return domain
    }

    package func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding? {
        domain.status == .verified ? .found([record.value]) : .missing
    }
}

extension SendingDomain {
    init?(_ row: SimulatedDomain) {
        guard let name = DomainName(ascii: row.name.utf8) else { return nil }
        self.init(
            name: name, status: row.verifiedAt == nil ? .pending : .verified, isSendingEnabled: row.verifiedAt != nil,
            createdAt: row.createdAt,
            dkim: DKIM(tokens: (0..<3).map { SendingDomain.token($0, row.tokenSeed) }, zone: SimulatedDomains.zone))
    }

    /// A token of 32 letters and digits, like those of SES.
    private static func token(_ number: UInt8, _ seed: [UInt8]) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".unicodeScalars)
        var text = ""
        for octet in SHA256.digest(of: [number] + seed) {
            text.unicodeScalars.append(alphabet[Int(octet) % alphabet.count])
        }
        return text
    }
}
