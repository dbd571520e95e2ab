import InternetMessage
import RelayCore

/// The rules that decide whether a key may be used. Each rule is one function, so that the server and `keys check`
/// always agree. A function that returns a `Refusal?` returns nil if the key passes the rule.
public enum KeyVerdict {
    /// Checks whether the password has the form of a key. `userName` is used only to describe the mistake.
    public static func key(password: [UInt8], userName: [UInt8] = []) -> Result<APIKey, Refusal> {
        key(PresentedKey(place: .password, octets: password, userName: userName))
    }

    /// Checks whether the text that a client has shown has the form of a key.
    static func key(_ presented: PresentedKey) -> Result<APIKey, Refusal> {
        do {
            return .success(try APIKey(parsing: presented.octets))
        } catch {
            return .failure(Refusal(.keyMalformed, explanation(of: error, presented)))
        }
    }

    /// Checks whether `stored`, the key found under the candidate's id, is the candidate and may be used for the given
    /// scope.
    ///
    /// - Parameter client: nil when the client's address must not be checked.
    public static func ofUse(
        _ candidate: APIKey, for scope: Scope, stored: StoredKey?, client: IPAddress?, now: Timestamp
    ) -> Refusal? {
        ofUse(candidate, candidate.digest, for: scope, stored: stored, client: client, now: now)
    }

    /// The same check, for a caller that has computed the candidate's digest already.
    static func ofUse(
        _ candidate: APIKey, _ digest: KeyDigest, for scope: Scope, stored: StoredKey?, client: IPAddress?,
        now: Timestamp
    ) -> Refusal? {
        guard let stored, stored.key.environment == candidate.environment, stored.accepts(digest, at: now) else {
            return unknown
        }
        return stored.key.refusalOfSending(for: scope, from: client, at: now)
    }

    /// Checks whether the envelope's sender is allowed. The null reverse-path has no domain, so it is always allowed.
    /// It is used for notifications, which gateways create on behalf of others. The allowlist still applies to the
    /// header's From.
    public static func ofSender(_ path: ReversePath, key: Key) -> Refusal? {
        key.refusal(of: path.claimedDomains)
    }

    /// Checks whether the header's authors are allowed.
    public static func ofHeader(_ summary: HeaderSummary, key: Key) -> Refusal? {
        key.refusal(of: summary.claimedDomains)
    }

    /// Checks whether the key's daily cap still allows one email. When a message is submitted, the store decides again,
    /// with all its recipients.
    public static func ofDay(_ record: KeyRecord, now: Timestamp) -> Refusal? {
        guard let cap = record.key.limits.perDay, record.usage.emailsToday >= cap else { return nil }
        return Refusal.dayUsedUp(cap: cap, at: now)
    }

    /// The refusal of a key that is not in the store, or whose secret is wrong.
    public static let unknown = Refusal(
        .keyUnknown,
        "This API key is not known here: check that it is the one meant for this relay, or create a new one")

    private static func explanation(of error: APIKey.Malformation, _ presented: PresentedKey) -> String {
        let place = presented.place.words
        if APIKey.resemblesKey(presented.userName), !APIKey.resemblesKey(presented.octets) {
            return "The API key is in the user name; put it into the password, and set the user name to 'apikey'"
        }
        switch error {
        case .empty: return "The \(place) is empty; it must be an API key"
        case .blanks: return "There are blanks or line ends around or within the API key; remove them from the \(place)"
        case .prefix: return "The \(place) is not an API key: API keys begin with hk_live_ or hk_test_"
        case .length(let count):
            return count < APIKey.length
                ? "The API key is cut off: it has \(count) of \(APIKey.length) characters; copy all of it"
                : "The API key is too long: it has \(count) characters instead of \(APIKey.length); copy the key alone"
        case .character: return "The API key holds a character that no key has; copy it again"
        case .checksum: return "The API key is mistyped: its check characters do not match; copy it again"
        }
    }
}

extension ReversePath {
    /// Empty for the null reverse-path.
    var claimedDomains: [ClaimedDomain] {
        switch self {
        case .null: []
        case .mailbox(let mailbox): [ClaimedDomain(.envelope, mailbox.domain)]
        }
    }
}

extension HeaderSummary {
    /// The domains of all addresses that a mail program could show as the author. If the authors are unclear, there is
    /// also an entry without a domain name, which no allowlist covers.
    var claimedDomains: [ClaimedDomain] {
        [ClaimedDomain(.from, from.domain)] + senders.map { ClaimedDomain(.sender, $0.domain) }
            + otherAuthors.map { ClaimedDomain(.displayName, name: $0.text, text: $0.text) }
            + (ambiguity.map { [ClaimedDomain(.unclear, name: nil, text: $0.explanation)] } ?? [])
    }
}

extension ClaimedDomain {
    fileprivate init(_ place: Place, _ domain: AddrDomain) {
        switch domain {
        case .name(let name): self.init(place, name: name.text, text: name.text)
        case .literal(let literal): self.init(place, name: nil, text: literal)
        }
    }
}
