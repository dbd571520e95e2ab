import ArgumentParser
import RelayCore

struct KeysUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a key's rules.",
        discussion: "Rules that no option names stay as they are. A list that is given replaces the previous list.")

    @Argument(help: "The key's public id.") var id: KeyID
    @Option(help: "A new name.") var name: String?
    @OptionGroup var rules: KeyRuleOptions
    @Flag(help: "Lift the daily cap.") var noPerDay = false
    @Flag(help: "Reset the burst to one second's worth.") var noBurst = false
    @Flag(help: "Allow any domain.") var anyDomain = false
    @Flag(help: "Allow any network.") var anyNetwork = false
    @Flag(help: "Remove the expiry: the key does not expire.") var noExpiry = false
    @Flag(help: "Take all scopes from the key.") var noScopes = false
    @Flag(help: "Print the key as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let name { try KeyRuleOptions.validateName(name) }
        try rules.validate()
        let pairs: [(Bool, Bool, String)] = [
            (noPerDay, rules.perDay != nil, "--no-per-day and --per-day"),
            (noBurst, rules.burst != nil, "--no-burst and --burst"),
            (anyDomain, !rules.domains.isEmpty, "--any-domain and --allow-domain"),
            (anyNetwork, !rules.networks.isEmpty, "--any-network and --allow-network"),
            (noExpiry, rules.expiresIn != nil, "--no-expiry and --expires-in"),
            (noScopes, !rules.scopes.isEmpty, "--no-scopes and --scope"),
        ]
        for (lift, set, names) in pairs where lift && set { throw ValidationError("\(names) exclude each other") }
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let change = try rules.change(now: now)
        let (noPerDay, noBurst, anyDomain, anyNetwork) = (noPerDay, noBurst, anyDomain, anyNetwork)
        try await store.updateKey(id) { [name, noExpiry, noScopes] key in
            if let name { key.name = name }
            change(&key)
            if noPerDay { key.limits.perDay = nil }
            if noBurst { key.limits.burst = nil }
            if anyDomain { key.domains = [] }
            if anyNetwork { key.networks = [] }
            if noExpiry { key.expiresAt = nil }
            if noScopes { key.scopes = [] }
        }
        if json, let record = try await store.keyRecord(id, now: now) {
            try JSONValue(record).print()
        } else {
            printError("Updated the key \(id).")
        }
    }
}
