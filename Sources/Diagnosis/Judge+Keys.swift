import RelayCore

extension Judge {
    /// - Parameter keys: those that are not revoked.
    public static func keys(_ keys: [Key], now: Timestamp) -> [Finding] {
        guard !keys.isEmpty else {
            return [
                .warning(
                    .keys, "there is no API key: nobody can log in",
                    remedy:
                        "hiveku-relay keys create --name shop --environment live --scope email:send --allow-domain example.com"
                )
            ]
        }
        let findings = keys.compactMap { expiry(of: $0, now: now) }
        let inUse = keys.filter { $0.refusalOfUse(at: now) == nil }
        let numbers = [Environment.live, .test].map { environment in
            "\(inUse.count { $0.environment == environment }) \(environment.rawValue)"
        }
        let open = inUse.filter { $0.environment == .live && $0.domains.isEmpty }.map(\.id.text)
        let note =
            open.isEmpty ? "" : "; may send from any domain, which keys update ID --allow-domain changes: \(list(open))"
        return findings + [.ok(.keys, "keys in use: \(numbers.joined(separator: ", "))\(note)")]
    }

    private static func expiry(of key: Key, now: Timestamp) -> Finding? {
        guard let end = key.expiresAt, end - now <= expiryWarning else { return nil }
        let what = "the \(key.environment.rawValue) key \(key.id) '\(key.name)'"
        let extend = "hiveku-relay keys update \(key.id) --expires-in 90d"
        return end <= now
            ? .warning(
                .keys, "\(what) expired on \(end.date) and is refused",
                remedy: "\(extend), or, if it is no longer used, hiveku-relay keys revoke \(key.id)")
            : .warning(.keys, "\(what) expires in \((end - now).spelled), on \(end.date)", remedy: extend)
    }

    /// The keys whose mail goes to SES.
    public static func liveKeys(_ keys: [Key], now: Timestamp) -> [Key] {
        keys.filter { $0.environment == .live && $0.refusalOfUse(at: now) == nil && $0.scopes.contains(.send) }
    }

    /// The domains that live keys send from: those that they are held to, else those of `senders`, the envelope senders of
    /// late. Each once, in order.
    public static func domains(of keys: [Key], senders: [KeyID: [String]]) -> [String] {
        var seen: Set<String> = []
        return keys.flatMap { key in
            // SES verifies a domain together with its subdomains.
            key.domains.isEmpty ? (senders[key.id] ?? []).compactMap(domain) : key.domains.map(\.domain)
        }.filter { seen.insert($0).inserted }
    }

    private static func domain(of address: String) -> String? {
        guard let at = address.lastIndex(of: "@") else { return nil }
        let domain = address[address.index(after: at)...].lowercased()
        return domain.isEmpty || domain.hasPrefix("[") ? nil : domain
    }
}
