import Configuration
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension RelaySettings {
    /// The settings file if nothing else is specified.
    public static let defaultFile = "/etc/hiveku-relay/relay.yaml"

    /// The file to load: the one that `--config` names, else the one that `HIVEKU_RELAY_CONFIG` names, else
    /// ``defaultFile`` if it exists.
    public static func file(option: String?, environment: [String: String]) -> String? {
        if let option { return option }
        if let named = environment[configurationVariable], !named.isEmpty { return named }
        // If the file exists but can't be read, it is used, and its reader reports the mistake.
        let isAbsent = access(defaultFile, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)
        return isAbsent ? nil : defaultFile
    }

    /// Loads the settings. The environment takes precedence over the file, and the file over `defaults`.
    ///
    /// - Parameter offersPostgreSQL: whether this build has the PostgreSQL store. Without it, a PostgreSQL database is
    ///   a mistake.
    /// - Throws: ``SettingsErrors`` with all mistakes.
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
            // The mistakes have already been recorded with their places.
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

    /// Whether the value comes from the file and not from the environment. Ask only about a setting that differs from
    /// its default.
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
        // The process's other variables are not needed, and some are secret.
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
                mistakes.append(SettingsMistake(.environment(legible(variable)), nil, "is not a setting; \(advice)"))
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
    /// The content of the file, for swift-configuration. Values stay text: each setting interprets them, in the same
    /// way for file and environment.
    var provider: InMemoryProvider {
        var contents: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, written) in values {
            let isList = RelaySettings.setting(named: name)?.isList == true
            contents[AbsoluteConfigKey(ConfigKey(name))] = ConfigValue(
                isList ? .stringArray(written.items) : .string(written.items.first ?? ""),
                // swift-configuration can log the access to settings. With this flag, its log contains no secrets.
                isSecret: RelaySettings.setting(named: name)?.mayHoldSecret == true)
        }
        return InMemoryProvider(name: "file", values: contents)
    }
}

extension ConfigReader {
    /// The text that is written for a setting; nil if there is none.
    fileprivate func items(of setting: Setting) -> [String]? {
        guard setting.isList else {
            return string(forKey: ConfigKey(setting.name), isSecret: setting.mayHoldSecret).map { [$0] }
        }
        // An empty variable is read as one empty item.
        return stringArray(forKey: ConfigKey(setting.name)).map { $0 == [""] ? [] : $0 }
    }
}

/// Settings that are correct separately, but not together.
private struct Contradiction {
    /// The names of the settings. The first of them that is set gets the error.
    let names: [String]
    /// What is wrong with the setting that gets the error; nil if nothing is wrong.
    let problem: @Sendable (RelaySettings, _ blamed: String) -> String?

    func mistake(in settings: RelaySettings, _ place: (String) -> SettingsMistake.Place?) -> SettingsMistake? {
        for name in names {
            guard let place = place(name) else { continue }
            return problem(settings, name).map { SettingsMistake(place, name, $0) }
        }
        return nil
    }

    /// PROXY headers are accepted only from named load balancers. If they were accepted from any client, it could claim
    /// any address. Nil if no listener takes PROXY headers, or if `proxy_networks` names load balancers.
    private static func missingProxyNetworks(
        _ settings: RelaySettings, for listener: (some CustomStringConvertible)?, in name: String, _ blamed: String
    ) -> String? {
        guard settings.proxyNetworks.isEmpty, let listener else { return nil }
        return blamed == name
            ? "has \(listener), but proxy_networks is empty: set it to your load balancer's addresses"
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
                ? "is an SQLite database, which has no standby, but database_replica is required: remove that setting"
                : "requires a standby, which an SQLite database does not have: set database to postgresql://…, or remove this setting"
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
                return
                    "lists \(host) with port \(port), which \(blamed == "listen" ? "http.listen" : "listen") also has"
            }
            return nil
        },
        Contradiction(names: ["http.listen", "http.trusted_proxies"]) { settings, _ in
            guard settings.http.trustedProxies.isEmpty else { return nil }
            for case .address(.http, let host, let port, _) in settings.http.listen
            where !RelaySettings.HTTP.Listener.isLoopback(host) {
                return
                    "has http://\(host.contains(":") ? "[\(host)]" : host):\(port), where keys would be "
                    + "readable on the network: write https://, or name the reverse proxies in http.trusted_proxies"
            }
            return nil
        },
        Contradiction(names: ["feedback.region", "feedback.endpoint"]) { settings, blamed in
            guard settings.feedback.queueURL == nil else { return nil }
            guard (blamed == "feedback.region" ? settings.feedback.region : settings.feedback.endpoint) != nil else {
                return nil
            }
            return "belongs to a queue, but feedback.queue_url is not set: set it, or remove this setting"
        },
        Contradiction(names: ["bounces.for_events"]) { settings, _ in
            guard settings.bounces.forEvents, settings.bounces.from == nil else { return nil }
            return "asks for reports to senders, but bounces.from is not set: set it, or remove this setting"
        },
        Contradiction(names: ["feedback.queue_url"]) { settings, _ in
            guard let url = settings.feedback.queueURL, settings.feedbackRegion == nil else { return nil }
            return
                "does not contain the region of the queue, and neither feedback.region nor ses.region is set: \(echo(url))"
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
    /// Mistakes in the file come first, by line. Mistakes in the environment follow.
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
