import Resolver

extension CheckedRecord {
    /// Compares an answer of DNS with the record that should be there. If the look-up failed, the finding is
    /// ``RecordFinding/unknown(_:)``.
    package init(_ record: DomainRecord, answer: Result<[DNSData], DNSFailure>) {
        switch answer {
        case .failure(let failure): self.init(record, .unknown(failure.reason))
        case .success(let data):
            switch record.purpose {
            case .dkim, .mailFrom: self.init(record, RecordCheck.exact(record, data))
            case .spf: self = RecordCheck.spf(record, data)
            case .dmarc: self.init(record, RecordCheck.dmarc(data))
            }
        }
    }
}

/// Compares records in the way in which SES and the receivers of mail read them.
private enum RecordCheck {
    /// A CNAME or MX record must have the wanted host. Upper and lower case and a final dot make no difference.
    static func exact(_ record: DomainRecord, _ data: [DNSData]) -> RecordFinding {
        let values = data.compactMap { data -> String? in
            switch data {
            case .cname(let name): name
            case .mx(let preference, let host): "\(preference) \(host)"
            case .txt: nil
            }
        }
        guard !values.isEmpty else { return .missing }
        // The preference of a single MX record makes no difference, so only the host is compared.
        func host(_ value: String) -> String {
            let name = value.lowercased().split(separator: " ").last.map { String($0) } ?? ""
            return name.hasSuffix(".") ? String(name.dropLast()) : name
        }
        let isRight = values.allSatisfy { host($0) == host(record.value) }
        return isRight ? .found(bounded(values)) : .wrong(bounded(values), reason: nil)
    }

    /// There must be one record that begins with `v=spf1`, followed by a space or the end (RFC 7208 section 4.5).
    static func spf(_ record: DomainRecord, _ data: [DNSData]) -> CheckedRecord {
        let policies = texts(data).filter { text in
            let version = text.lowercased()
            return version == "v=spf1" || version.hasPrefix("v=spf1 ")
        }
        guard let policy = policies.first else { return CheckedRecord(record, .missing) }
        guard policies.count == 1 else {
            return CheckedRecord(
                record,
                .wrong(
                    bounded(policies),
                    reason: "there are \(policies.count) SPF records, so receivers use none of them"))
        }
        let terms = policy.lowercased().split(separator: " ")
        // With the qualifier -, ~ or ? the term would not let SES's servers pass (RFC 7208 section 4.6.2).
        if terms.contains("include:amazonses.com") || terms.contains("+include:amazonses.com") {
            return CheckedRecord(record, .found(bounded(policies)))
        }
        var wanted = record
        // Only one SPF record may exist, so it must also keep the other servers that the domain sends through.
        if policy.utf8.count <= longestValue, policy.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) {
            wanted.value = "v=spf1 include:amazonses.com" + policy.dropFirst(6)
        }
        return CheckedRecord(wanted, .wrong(bounded(policies), reason: "it does not include amazonses.com"))
    }

    /// There must be one record that begins with `v=DMARC1`, with a policy that receivers know (RFC 7489 section 6.3).
    static func dmarc(_ data: [DNSData]) -> RecordFinding {
        let policies = texts(data).filter { text in
            text.split(separator: ";", omittingEmptySubsequences: false).first.map(tag) ?? ("", "") == ("v", "DMARC1")
        }
        guard let policy = policies.first else { return .missing }
        guard policies.count == 1 else {
            return .wrong(
                bounded(policies),
                reason: "there are \(policies.count) DMARC records, so receivers use none of them")
        }
        let wish = policy.split(separator: ";").map(tag).first { $0.name == "p" }?.value.lowercased()
        guard let wish, ["none", "quarantine", "reject"].contains(wish) else {
            return .wrong(bounded(policies), reason: "it needs p=none, p=quarantine or p=reject")
        }
        return .found(bounded(policies))
    }

    private static func tag(_ text: some StringProtocol) -> (name: String, value: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
            String(part.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        }
        return (parts.first?.lowercased() ?? "", parts.count == 2 ? parts[1] : "")
    }

    private static func texts(_ data: [DNSData]) -> [String] {
        data.compactMap { if case .txt(let text) = $0 { text } else { nil } }
    }

    /// The longest value that is returned, in characters.
    private static let longestValue = 1000

    /// Bounds the values, because anyone may have written what is in DNS.
    private static func bounded(_ values: [String]) -> [String] {
        values.prefix(8).map { value in
            value.unicodeScalars.count <= longestValue
                ? value : String(String.UnicodeScalarView(value.unicodeScalars.prefix(longestValue))) + "…"
        }
    }
}
