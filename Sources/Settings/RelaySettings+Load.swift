import Configuration
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension RelaySettings {
    /// Where the settings are when nothing says otherwise.
    public static let defaultFile = "/etc/hiveku-relay/relay.yaml"

    /// The file to load: what `--config` names, else what `HIVEKU_RELAY_CONFIG` names, else ``defaultFile`` if there is one.
    public static func file(option: String?, environment: [String: String]) -> String? {
        if let option { return option }
        if let named = environment[configurationVariable], !named.isEmpty { return named }
        // A file that is there but may not be read is a mistake to be told, not a missing file.
        let isAbsent = access(defaultFile, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)
        return isAbsent ? nil : defaultFile
    }

    /// Loads the settings: the environment counts before the file, the file before `defaults`.
    ///
    /// - Parameter offersPostgreSQL: whether this build has the store for it; without, a database of that kind is a mistake.
    /// - Throws: ``SettingsErrors`` with every mistake there is.
    public static func load(
        file: String?, environment: [String: String], defaults: RelaySettings = RelaySettings(),
        offersPostgreSQL: Bool = true
    ) throws(SettingsErrors) -> RelaySettings {
        guard let file else {
            return try load(yaml: "", file: "", environment, defaults, offersPostgreSQL: offersPostgreSQL)
        }
        let text: String
        do throws(SettingsMistake) {
            text = try SettingsFile.text(of: file)
        } catch {
            throw SettingsErrors([error] + EnvironmentSettings(environment).mistakes)
        }
        return try load(yaml: text, file: file, environment, defaults, offersPostgreSQL: offersPostgreSQL)
    }

    static func load(
        yaml: String, file: String, _ environment: [String: String], _ defaults: RelaySettings = RelaySettings(),
        offersPostgreSQL: Bool = true
    ) throws(SettingsErrors) -> RelaySettings {
        let document = SettingsDocument(yaml, file: file)
        let variables = EnvironmentSettings(environment)
        let reader = ConfigReader(providers: [variables.provider, document.provider])
        var settings = defaults
        for setting in reference {
            guard let items = reader.items(of: setting) else { continue }
            // Objections have been noted with their places already.
            _ = setting.assign(&settings, items)
        }
        let known = document.mistakes + variables.mistakes
        let unreliable = Set(known.compactMap(\.name))
        let contradictions = (Contradiction.all + (offersPostgreSQL ? [] : [Contradiction.buildWithoutPostgreSQL]))
            .compactMap { rule -> SettingsMistake? in
                guard unreliable.isDisjoint(with: rule.names) else { return nil }
                return rule.mistake(in: settings) { variables.place(of: $0) ?? document.values[$0]?.place }
            }
        let mistakes = known + contradictions
        guard mistakes.isEmpty else { throw SettingsErrors(mistakes.sorted(by: SettingsMistake.isBefore)) }
        return settings
    }

    /// Whether a setting that is not at its default was read from the file: the environment counts before it.
    public static func isFromFile(_ name: String, _ environment: [String: String]) -> Bool {
        guard let setting = setting(named: name) else { return false }
        return environment[setting.environmentVariable] == nil
    }

    static func setting(named name: String) -> Setting? { settingsByName[name] }

    private static let settingsByName = Dictionary(uniqueKeysWithValues: reference.map { ($0.name, $0) })
}

/// The settings among the environment's variables.
struct EnvironmentSettings {
    let provider: KeyMappingProvider<EnvironmentVariablesProvider>
    private(set) var mistakes: [SettingsMistake] = []
    private var names: Set<String> = []

    init(_ environment: [String: String]) {
        // Nothing of the process's other variables is of interest, and some are secret.
        let own = environment.filter { $0.key.hasPrefix(Setting.environmentPrefix) }
        provider = EnvironmentVariablesProvider(environmentVariables: own).prefixKeys(with: ["hiveku", "relay"])
        let reader = ConfigReader(provider: provider)
        let settings = Dictionary(
            uniqueKeysWithValues: RelaySettings.reference.map { ($0.environmentVariable, $0) })
        for variable in own.keys.sorted() where !RelaySettings.otherVariables.contains(where: { $0.name == variable }) {
            guard let setting = settings[variable], let items = reader.items(of: setting) else {
                let near = Spelling.nearest(
                    to: variable.lowercased(), among: settings.keys.map { $0.lowercased() }.sorted())
                let advice = near.map { "did you mean \($0.uppercased())?" } ?? "unset it"
                mistakes.append(SettingsMistake(.environment(legible(variable)), nil, "is no setting; \(advice)"))
                continue
            }
            names.insert(setting.name)
            var unused = RelaySettings()
            mistakes += setting.assign(&unused, items).map {
                SettingsMistake(.environment(variable), setting.name, $0.problem)
            }
        }
    }

    /// Where the environment sets a setting; nil if it does not.
    func place(of name: String) -> SettingsMistake.Place? {
        guard names.contains(name), let setting = RelaySettings.setting(named: name) else { return nil }
        return .environment(setting.environmentVariable)
    }
}

extension SettingsDocument {
    /// What the file holds, for swift-configuration. Values stay text: what they stand for is the settings' business, the same
    /// for file and environment.
    var provider: InMemoryProvider {
        var contents: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, written) in values {
            let isList = RelaySettings.setting(named: name)?.isList == true
            contents[AbsoluteConfigKey(ConfigKey(name))] = ConfigValue(
                isList ? .stringArray(written.items) : .string(written.items.first ?? ""),
                // A log of the access to settings, which swift-configuration can write, is without secrets.
                isSecret: RelaySettings.setting(named: name)?.mayHoldSecret == true)
        }
        return InMemoryProvider(name: "file", values: contents)
    }
}

extension ConfigReader {
    /// What is written for a setting; nil if nothing is.
    fileprivate func items(of setting: Setting) -> [String]? {
        guard setting.isList else {
            return string(forKey: ConfigKey(setting.name), isSecret: setting.mayHoldSecret).map { [$0] }
        }
        // An empty variable comes as one empty item.
        return stringArray(forKey: ConfigKey(setting.name)).map { $0 == [""] ? [] : $0 }
    }
}

/// Settings that are right each by itself, but not together.
private struct Contradiction {
    /// The first of them that is set takes the blame.
    let names: [String]
    /// What is wrong with the one to blame; nil if all is well.
    let problem: @Sendable (RelaySettings, _ blamed: String) -> String?

    func mistake(in settings: RelaySettings, _ place: (String) -> SettingsMistake.Place?) -> SettingsMistake? {
        for name in names {
            guard let place = place(name) else { continue }
            return problem(settings, name).map { SettingsMistake(place, name, $0) }
        }
        return nil
    }

    /// PROXY headers are taken from named load balancers only: anybody else could claim any address by one.
    private static func missingProxyNetworks(
        _ settings: RelaySettings, for listener: (some CustomStringConvertible)?, in name: String, _ blamed: String
    ) -> String? {
        guard settings.proxyNetworks.isEmpty, let listener else { return nil }
        return blamed == name
            ? "has \(listener), but proxy_networks names no load balancer: set it to the addresses of yours"
            : "must name the load balancers for \(listener) in \(name)"
    }

    static let buildWithoutPostgreSQL = Contradiction(names: ["database"]) { settings, _ in
        guard settings.database.file == nil else { return nil }
        return
            "names a PostgreSQL database, but this build has no PostgreSQL: build with --traits PostgreSQL, or install the package"
    }

    static let all = [
        Contradiction(names: ["database_replica", "database"]) { settings, blamed in
            guard settings.databaseReplica == .required, settings.database.file != nil else { return nil }
            return blamed == "database"
                ? "is an SQLite database, which has no standby, but database_replica is required: leave that out"
                : "asks for a standby, which an SQLite database has not: set database to postgresql://…, or leave this out"
        },
        Contradiction(names: ["delivery.retry_max", "delivery.retry_first"]) { settings, blamed in
            let (first, maximum) = (settings.delivery.retryFirst, settings.delivery.retryMaximum)
            guard maximum < first else { return nil }
            return blamed == "delivery.retry_max"
                ? "must be at least delivery.retry_first, which is \(first.written), not \(maximum.written)"
                : "must be at most delivery.retry_max, which is \(maximum.written), not \(first.written)"
        },
        Contradiction(names: ["tls.private_key", "tls.certificate"]) { settings, blamed in
            let (certificates, keys) = (settings.tls.certificates.count, settings.tls.privateKeys.count)
            guard certificates != keys else { return nil }
            return blamed == "tls.private_key"
                ? "must name a key for each certificate: \(certificates), not \(keys)"
                : "must have a key for each certificate in tls.private_key: \(certificates), not \(keys)"
        },
        Contradiction(names: ["listen"]) { settings, _ in
            var places: Set<String> = []
            for case .address(_, let host, let port, _) in settings.listen where port != 0 {
                guard places.insert("\(host):\(port)").inserted else { return "lists \(host) with port \(port) twice" }
            }
            return nil
        },
        Contradiction(names: ["http.listen", "listen"]) { settings, blamed in
            var places: Set<String> = []
            for case .address(_, let host, let port, _) in settings.http.listen where port != 0 {
                guard places.insert("\(host):\(port)").inserted else { return "lists \(host) with port \(port) twice" }
            }
            for case .address(_, let host, let port, _) in settings.listen where places.contains("\(host):\(port)") {
                return "lists \(host) with port \(port), which \(blamed == "listen" ? "http.listen" : "listen") has too"
            }
            return nil
        },
        Contradiction(names: ["http.listen", "http.trusted_proxies"]) { settings, _ in
            guard settings.http.trustedProxies.isEmpty else { return nil }
            for case .address(.http, let host, let port, _) in settings.http.listen
            where !RelaySettings.HTTP.Listener.isLoopback(host) {
                return
                    "has http://\(host.contains(":") ? "[\(host)]" : host):\(port), where keys would cross the network "
                    + "readable: write https://, or name the reverse proxies in http.trusted_proxies"
            }
            return nil
        },
        Contradiction(names: ["feedback.region", "feedback.endpoint"]) { settings, blamed in
            guard settings.feedback.queueURL == nil else { return nil }
            guard (blamed == "feedback.region" ? settings.feedback.region : settings.feedback.endpoint) != nil else {
                return nil
            }
            return "says where a queue is, but feedback.queue_url names none: set it, or leave this out"
        },
        Contradiction(names: ["bounces.for_events"]) { settings, _ in
            guard settings.bounces.forEvents, settings.bounces.from == nil else { return nil }
            return "asks for reports to senders, but bounces.from does not say from whom: set it, or leave this out"
        },
        Contradiction(names: ["feedback.queue_url"]) { settings, _ in
            guard let url = settings.feedback.queueURL, settings.feedbackRegion == nil else { return nil }
            return
                "does not tell the region of the queue, and neither feedback.region nor ses.region is set: \(echo(url))"
        },
        Contradiction(names: ["listen", "proxy_networks"]) { settings, blamed in
            missingProxyNetworks(settings, for: settings.listen.first(where: \.takesProxyHeader), in: "listen", blamed)
        },
        Contradiction(names: ["http.listen", "proxy_networks"]) { settings, blamed in
            missingProxyNetworks(
                settings, for: settings.http.listen.first(where: \.takesProxyHeader), in: "http.listen", blamed)
        },
    ]
}

extension SettingsMistake {
    /// The file's first, by line; then the environment's.
    fileprivate static func isBefore(_ a: SettingsMistake, _ b: SettingsMistake) -> Bool {
        switch (a.place, b.place) {
        case (.file(_, let lineA, let columnA), .file(_, let lineB, let columnB)):
            (lineA ?? 0, columnA ?? 0, a.problem) < (lineB ?? 0, columnB ?? 0, b.problem)
        case (.environment(let variableA), .environment(let variableB)):
            (variableA, a.problem) < (variableB, b.problem)
        case (.file, .environment): true
        case (.environment, .file): false
        }
    }
}
