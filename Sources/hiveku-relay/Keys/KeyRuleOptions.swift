import Admission
import ArgumentParser
import RelayCore

/// The rules of a key, as `create` and `update` accept them.
struct KeyRuleOptions: ParsableArguments {
    @Option(
        name: .customLong("scope"),
        help: ArgumentHelp(
            "What the key may do: \(Scope.allCases.map(\.rawValue).joined(separator: ", ")). May be repeated.",
            valueName: "scope"))
    var scopes: [String] = []
    @Option(help: "Emails per second; one recipient of one message is one email. (default of a new key: 10)")
    var perSecond: Double?
    @Option(help: "Emails that may be sent at once after a pause. (default of a new key: one second's worth)")
    var burst: Int?
    @Option(help: "Emails per UTC day. (default of a new key: no cap)") var perDay: Int?
    @Option(
        name: .customLong("allow-domain"),
        help: ArgumentHelp(
            "A domain to send from, or *.example.com for subdomains. May be repeated. (default of a new key: any)",
            valueName: "domain"))
    var domains: [String] = []
    @Option(
        name: .customLong("allow-network"),
        help: ArgumentHelp(
            "An address or CIDR block that may use the key. May be repeated. (default of a new key: any)",
            valueName: "cidr"))
    var networks: [String] = []
    @Flag(
        inversion: .prefixedNo,
        help: "Whether a message that is submitted twice within a day is queued only once. (default of a new key: yes)")
    var detectRepeats: Bool?
    @Flag(
        inversion: .prefixedNo,
        help: """
            Whether the key's webhooks get events about the messages of all keys of its environment. \
            (default of a new key: no)
            """)
    var webhooksForAll: Bool?
    @Option(help: "How long the key works from now on, for example 90d or 12h. (default of a new key: no expiry)")
    var expiresIn: TimeSpan?

    func validate() throws {
        _ = try parsedScopes()
        _ = try parsedDomains()
        _ = try parsedNetworks()
        if let perSecond { _ = try Self.checked("--per-second ", try KeyRules.perSecond(perSecond)) }
        if let burst { _ = try Self.checked("--burst ", try KeyRules.burst(burst)) }
        if let perDay { _ = try Self.checked("--per-day ", try KeyRules.perDay(perDay)) }
        if let expiresIn, expiresIn.duration > KeyRules.longestLife {
            throw ValidationError("--expires-in must be at most 100 years")
        }
    }

    /// Returns a change that applies the given options and leaves all other rules as they are.
    func change(now: Timestamp) throws -> @Sendable (inout Key) -> Void {
        let scopes = scopes.isEmpty ? nil : try parsedScopes()
        let domains = domains.isEmpty ? nil : try parsedDomains()
        let networks = networks.isEmpty ? nil : try parsedNetworks()
        let (perSecond, burst, perDay, detectsRepeats) = (perSecond, burst, perDay, detectRepeats)
        let webhooksForAll = webhooksForAll
        let expiresAt = expiresIn.map { now + $0.duration }
        return { key in
            if let scopes { key.scopes = scopes }
            if let perSecond { key.limits.perSecond = perSecond }
            if let burst { key.limits.burst = burst }
            if let perDay { key.limits.perDay = perDay }
            if let domains { key.domains = domains }
            if let networks { key.networks = networks }
            if let detectsRepeats { key.detectsRepeats = detectsRepeats }
            if let webhooksForAll { key.webhooksForAll = webhooksForAll }
            if let expiresAt { key.expiresAt = expiresAt }
        }
    }

    private func parsedScopes() throws -> Set<Scope> {
        Set(try scopes.map { text in try Self.checked("--scope: ", try KeyRules.scope(text)) })
    }

    private func parsedDomains() throws -> [DomainPattern] {
        try domains.map { text in try Self.checked("--allow-domain: ", try KeyRules.domain(text)) }
    }

    private func parsedNetworks() throws -> [NetworkBlock] {
        try networks.map { text in try Self.checked("--allow-network: ", try KeyRules.network(text)) }
    }

    static func validateName(_ name: String) throws {
        try checked("--name ", try KeyRules.name(name))
    }

    /// Returns what `rule` returns. If the rule finds a mistake, throws it as a mistake of the option that `prefix`
    /// names.
    @discardableResult
    private static func checked<Value>(_ prefix: String, _ rule: @autoclosure () throws -> Value) throws -> Value {
        do {
            return try rule()
        } catch let mistake as KeyRules.Mistake {
            throw ValidationError(prefix + mistake.description)
        }
    }
}
