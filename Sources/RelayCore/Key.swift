/// How fast and how much a key may send. An email is one recipient of one message, which is how SES counts.
public struct SendingLimits: Hashable, Sendable {
    /// Emails per second, above 0.
    public var perSecond: Double
    /// Emails that may be sent at once after a pause, at least 1; nil: one second's worth.
    public var burst: Int?
    /// Emails per UTC day; nil: no cap.
    public var perDay: Int?

    /// The rate of a key without its own limit, in emails per second.
    public static let defaultPerSecond = 10.0

    public init(perSecond: Double = SendingLimits.defaultPerSecond, burst: Int? = nil, perDay: Int? = nil) {
        self.perSecond = perSecond
        self.burst = burst
        self.perDay = perDay
    }

    /// The capacity of the token bucket in emails.
    public var capacity: Double { burst.map(Double.init) ?? max(1, perSecond) }
}

/// An API key's rules: everything about it except its secret and its usage.
public struct Key: Hashable, Sendable {
    public var id: KeyID
    /// The operator's name for the key: 1 to 100 characters, without control characters.
    public var name: String
    /// Test or live. It decides the lane of the key's messages.
    public var environment: Environment
    /// What the key may do. It needs `Scope.send` or `Scope.batch` to send mail.
    public var scopes: Set<Scope>
    /// The key's rate, burst and daily cap.
    public var limits: SendingLimits
    /// The domains that may be sent from; empty: any.
    public var domains: [DomainPattern]
    /// The networks from which the key may be used; empty: any.
    public var networks: [NetworkBlock]
    /// Whether a message that is sent again is recognised and queued only once.
    public var detectsRepeats = true
    /// Whether the key's webhooks get events about the messages of all keys in its environment, not only about its own.
    public var webhooksForAll = false
    /// When the key was created. Lists begin with the newest key.
    public var createdAt: Timestamp
    /// When the key stops working; nil: never.
    public var expiresAt: Timestamp?
    /// When the key was revoked; nil if it was not.
    public var revokedAt: Timestamp?

    public init(
        id: KeyID, name: String, environment: Environment, scopes: Set<Scope>, limits: SendingLimits = SendingLimits(),
        domains: [DomainPattern] = [], networks: [NetworkBlock] = [], createdAt: Timestamp, expiresAt: Timestamp? = nil,
        revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.environment = environment
        self.scopes = scopes
        self.limits = limits
        self.domains = domains
        self.networks = networks
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }
}

/// Rules that need only the key and the request.
extension Key {
    /// Why the key can't be used at all; nil if it can.
    public func refusalOfUse(at now: Timestamp) -> Refusal? {
        // The time of the revocation does not matter. `now` may have been read before the revocation was committed, and
        // a clock may be set back.
        if revokedAt != nil {
            return Refusal(.keyRevoked, "This API key has been revoked; use another one")
        }
        if let expiresAt, expiresAt <= now {
            return Refusal(.keyExpired, "This API key expired at \(expiresAt); create a new one or extend it")
        }
        return nil
    }

    /// Why the key may not be used from this address for a task that needs the scope; nil if it may. Checks everything
    /// that does not depend on the message. A nil address is not checked.
    public func refusalOfSending(for scope: Scope, from client: IPAddress?, at now: Timestamp) -> Refusal? {
        refusalOfUse(at: now) ?? refusalOfScope(scope) ?? client.flatMap { refusalOfClient($0) }
    }

    /// Why the key lacks the scope; nil if it has it.
    public func refusalOfScope(_ scope: Scope) -> Refusal? {
        scopes.contains(scope)
            ? nil
            : Refusal(.scope, "This API key lacks the scope \(scope.rawValue); add it to the key or use another one")
    }

    /// Why the key may not be used from this address; nil if it may.
    public func refusalOfClient(_ client: IPAddress) -> Refusal? {
        networks.isEmpty || networks.contains { $0.contains(client) }
            ? nil : Refusal(.network, "This API key may not be used from \(client); add the address to its networks")
    }

    /// Whether the key may send from a domain.
    ///
    /// - Parameter domain: the domain in lower-case A-labels; nil for an address without a domain to check (an address
    ///   literal).
    public func allows(domain: String?) -> Bool {
        guard !domains.isEmpty else { return true }
        guard let domain else { return false }
        return domains.contains { $0.matches(domain) }
    }
}

/// What the store knows about a key for authentication: its rules and digests.
public struct StoredKey: Sendable {
    /// The key's rules.
    public var key: Key
    /// The digest of the whole key with its present secret.
    public var digest: KeyDigest
    /// The digest before the last rotation, and when it stops being valid.
    public var previous: (digest: KeyDigest, until: Timestamp)?

    public init(key: Key, digest: KeyDigest, previous: (digest: KeyDigest, until: Timestamp)? = nil) {
        self.key = key
        self.digest = digest
        self.previous = previous
    }

    /// Why a client that has shown the key's secret earlier may no longer send; nil if it still may. The key may have
    /// got a new secret since then.
    ///
    /// - Parameters:
    ///   - scope: what the key must be allowed to do.
    ///   - secret: the secret that was shown; nil if no authentication was needed.
    public func refusalOfSending(
        for scope: Scope, with secret: KeyDigest?, from client: IPAddress?, at now: Timestamp
    ) -> Refusal? {
        if let refusal = key.refusalOfUse(at: now) { return refusal }
        if let secret, !accepts(secret, at: now) {
            return Refusal(
                .keyUnknown, "This API key has been given a new secret and the old one has ended; use the new one")
        }
        return key.refusalOfSending(for: scope, from: client, at: now)
    }

    /// Whether a digest is that of the key's secret, or of the previous one while that is still valid.
    public func accepts(_ candidate: KeyDigest, at now: Timestamp) -> Bool {
        let current = digest.matches(candidate)
        guard let previous else { return current }
        // Both are always compared, so that the time does not reveal which one matched.
        let earlier = previous.digest.matches(candidate)
        return current || (earlier && now < previous.until)
    }
}

/// How much a key has been used. Emails count recipients, messages count acceptances.
public struct KeyUsage: Hashable, Sendable {
    /// When the key last authenticated or sent; nil: never.
    public var lastUsedAt: Timestamp?
    /// Emails since the key was created.
    public var emailsTotal: Int
    /// Emails in the last 30 UTC days, including today.
    public var emails30Days: Int
    /// Emails in the current UTC day.
    public var emailsToday: Int
    /// How often a limit of the key was hit.
    public var rateLimitHits: Int
    /// Authentications with a known id that failed: wrong secret, revoked, expired, missing scope or forbidden network.
    public var authFailures: Int
    /// The outcome of the key's emails in the last 30 UTC days, as far as it was reported.
    public var feedback: FeedbackCounts

    public init(
        lastUsedAt: Timestamp? = nil, emailsTotal: Int = 0, emails30Days: Int = 0, emailsToday: Int = 0,
        rateLimitHits: Int = 0, authFailures: Int = 0, feedback: FeedbackCounts = FeedbackCounts()
    ) {
        self.lastUsedAt = lastUsedAt
        self.emailsTotal = emailsTotal
        self.emails30Days = emails30Days
        self.emailsToday = emailsToday
        self.rateLimitHits = rateLimitHits
        self.authFailures = authFailures
        self.feedback = feedback
    }
}

/// What has happened to a key since its activity was last stored. Activities of the same key are added up.
public struct KeyActivity: Hashable, Sendable {
    /// When the key last authenticated or sent; nil: not since then.
    public var lastUsedAt: Timestamp?
    /// How often a limit of the key was hit, its rate or its daily cap.
    public var rateLimitHits = 0
    /// Failed authentications with the key's id, as in `KeyUsage.authFailures`.
    public var authFailures = 0

    public init(lastUsedAt: Timestamp? = nil, rateLimitHits: Int = 0, authFailures: Int = 0) {
        self.lastUsedAt = lastUsedAt
        self.rateLimitHits = rateLimitHits
        self.authFailures = authFailures
    }

    /// Adds a later activity of the same key.
    public mutating func add(_ other: KeyActivity) {
        lastUsedAt = [lastUsedAt, other.lastUsedAt].compactMap { $0 }.max()
        rateLimitHits += other.rateLimitHits
        authFailures += other.authFailures
    }
}
