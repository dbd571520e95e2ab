import RelayCore

extension Judge {
    /// - Parameter keys: the keys that are not revoked.
    public static func keys(_ keys: [Key], now: Timestamp) -> [Finding] {
        guard !keys.isEmpty else {
            return [
                .warning(
                    .keys, "there is no API key, so no client can log in",
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
            open.isEmpty
            ? ""
            : "; live keys that may send from any domain: \(list(open)) (hiveku-relay keys update ID --allow-domain restricts one)"
        return findings + [.ok(.keys, "keys in use: \(numbers.joined(separator: ", "))\(note)")]
    }

    /// Judges the bounce and complaint rates of live mail, which SES watches.
    ///
    /// - Parameter records: the keys that are not revoked.
    public static func standing(_ records: [KeyRecord]) -> [Finding] {
        let live = records.filter { $0.key.environment == .live }
        let all = SendingStanding(live.map(\.usage.feedback).reduce(FeedbackCounts(), +))
        guard all.isTelling else { return [] }
        func worst(_ rate: (SendingStanding) -> Bool) -> String {
            let keys = live.filter { rate(SendingStanding($0.usage.feedback)) }.map { "\($0.key.id) '\($0.key.name)'" }
            return keys.isEmpty ? "" : "; most of it comes from \(list(keys))"
        }
        var findings: [Finding] = []
        if all.bouncesTooOften {
            findings.append(
                .warning(
                    .keys,
                    "\(percent(all.bounceRate)) of live mail bounced permanently in 30 days\(worst(\.bouncesTooOften))",
                    remedy:
                        "SES reviews accounts at 5 % and may pause them: send only to addresses that asked for mail; 'hiveku-relay messages list --status bounced' shows the messages"
                ))
        }
        if all.complainedOfTooOften {
            findings.append(
                .warning(
                    .keys,
                    "\(percent(all.complaintRate)) of delivered live mail was marked as spam in 30 days\(worst(\.complainedOfTooOften))",
                    remedy:
                        "SES reviews accounts at 0.1 % and may pause them: make it easy to unsubscribe; 'hiveku-relay messages list --status complained' shows the messages"
                ))
        }
        guard findings.isEmpty else { return findings }
        return [
            .ok(
                .keys,
                "live mail of 30 days: \(percent(all.bounceRate)) bounced permanently, \(percent(all.complaintRate)) complaints"
            )
        ]
    }

    /// A percentage such as `2.1 %`.
    private static func percent(_ rate: Double?) -> String {
        let hundredths = Int(((rate ?? 0) * 10_000).rounded())
        let (whole, part) = hundredths.quotientAndRemainder(dividingBy: 100)
        return part == 0 ? "\(whole) %" : "\(whole).\(part < 10 ? "0" : "")\(part) %"
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
        keys.filter { $0.environment == .live && $0.refusalOfUse(at: now) == nil && $0.canSend }
    }

    /// The domains that live keys send from. For a key that is restricted to domains, these are its domains; for any
    /// other key, they are the domains of its recent envelope senders in `senders`. The domain of `bouncesFrom` comes
    /// last. Each domain appears once.
    public static func domains(of keys: [Key], senders: [KeyID: [String]], bouncesFrom: String? = nil) -> [String] {
        var seen: Set<String> = []
        let ofKeys = keys.flatMap { key in
            // SES verifies a domain together with its subdomains.
            key.domains.isEmpty ? (senders[key.id] ?? []).compactMap(domain) : key.domains.map(\.domain)
        }
        return (ofKeys + [bouncesFrom.flatMap(domain)].compactMap(\.self)).filter { seen.insert($0).inserted }
    }

    private static func domain(of address: String) -> String? {
        guard let at = address.lastIndex(of: "@") else { return nil }
        let domain = address[address.index(after: at)...].lowercased()
        return domain.isEmpty || domain.hasPrefix("[") ? nil : domain
    }
}
