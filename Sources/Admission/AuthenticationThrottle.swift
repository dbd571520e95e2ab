import RelayCore

/// Slows down networks whose authentications fail, a /32 of IPv4 or a /64 of IPv6, and refuses those that guess for a while.
///
/// Only a guess at a secret leads to the refusal. A key whose secret is right but that may not be used, or that was cut or
/// mistyped, only slows the answers down: many applications share one address, and one with a revoked key must not shut
/// out the others.
///
/// A pure value over moments of a monotonic clock. A success takes back all that was held against a network, so one whose
/// last authentication succeeded is never hindered. Memory is bounded: of more networks than are to be remembered, those
/// go that failed the longest time ago.
public struct AuthenticationThrottle: Sendable {
    public struct Configuration: Sendable {
        /// Failures within the window that are answered at once: people mistype.
        public var freeFailures = 2
        /// Seconds by which the next answer is held back; each further one twice as long, up to ``longestDelay``.
        public var firstDelay = 0.125
        public var longestDelay = 1.0
        /// Guesses within the window after which the network is refused.
        public var maximumGuesses = 10
        /// Seconds until a failure is forgotten, and for which a network is refused.
        public var window = 600.0
        /// Networks remembered at most.
        public var maximumEntries = 65_536

        public init() {}
    }

    private struct Entry: Sendable {
        var failures: Int
        var guesses: Int
        var since: MonotonicTime
    }

    private let configuration: Configuration
    /// Two generations: when the younger one is full it becomes the older one, and what was older is forgotten. So nothing
    /// is ever searched or sorted, whatever comes in.
    private var younger: [IPAddress: Entry] = [:]
    private var older: [IPAddress: Entry] = [:]

    public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// Seconds for which the client must wait; nil when it may try.
    public func wait(for client: IPAddress, at now: MonotonicTime) -> Double? {
        guard let entry = entry(of: client, at: now), entry.guesses >= configuration.maximumGuesses else {
            return nil
        }
        return min(
            entry.since.advanced(bySeconds: configuration.window).seconds(since: now), configuration.window)
    }

    /// Seconds by which the answer to a failure, already counted, is to be held back.
    public func delay(for client: IPAddress, at now: MonotonicTime) -> Double {
        let failures = entry(of: client, at: now)?.failures ?? 0
        var delay = failures > configuration.freeFailures ? configuration.firstDelay : 0
        var doublings = failures - configuration.freeFailures - 1
        while doublings > 0, delay < configuration.longestDelay {
            delay *= 2
            doublings -= 1
        }
        return min(delay, configuration.longestDelay)
    }

    /// - Parameter isGuess: whether it could have been a guess at the secret of a key.
    public mutating func failed(_ client: IPAddress, isGuess: Bool, at now: MonotonicTime) {
        let network = client.host
        var entry = entry(of: client, at: now) ?? Entry(failures: 0, guesses: 0, since: now)
        entry.failures += 1
        if isGuess {
            entry.guesses += 1
            // The window begins again only when the network gets refused, so that it is refused for all of it.
            if entry.guesses >= configuration.maximumGuesses { entry.since = now }
        }
        older[network] = nil
        younger[network] = entry
        if younger.count >= configuration.maximumEntries / 2 {
            older = younger
            younger = [:]
        }
    }

    public mutating func succeeded(_ client: IPAddress) {
        let network = client.host
        younger[network] = nil
        older[network] = nil
    }

    public var count: Int { younger.count + older.count }

    /// Nil once it is forgotten.
    private func entry(of client: IPAddress, at now: MonotonicTime) -> Entry? {
        let network = client.host
        guard let entry = younger[network] ?? older[network], now.seconds(since: entry.since) < configuration.window
        else {
            return nil
        }
        return entry
    }
}
