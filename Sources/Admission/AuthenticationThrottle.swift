import RelayCore

/// Delays the answers to networks whose authentications fail. Refuses networks that guess secrets, for a limited time.
/// A network is a /32 of IPv4 or a /64 of IPv6.
///
/// Only guesses at a secret lead to a refusal. Two other failures only delay the answers: a key that may not be used
/// although its secret is right, and a key that was cut off or mistyped. Many applications share one address, and an
/// application with a revoked key must not lock out the others.
///
/// This is a value without a clock: the caller passes in the times of a monotonic clock. A success clears everything
/// that was counted against a network. So a network whose last authentication succeeded is never delayed. Memory is
/// bounded: when there are too many networks, the networks whose last failure is the longest ago are forgotten.
public struct AuthenticationThrottle: Sendable {
    /// The limits of the throttle.
    public struct Configuration: Sendable {
        /// The number of failures within the window that are answered at once, because people mistype.
        public var freeFailures = 2
        /// The delay, in seconds, of the answer to the first failure after the free ones. The delay doubles with each
        /// failure after that, up to ``longestDelay``.
        public var firstDelay = 0.125
        /// The longest delay of an answer, in seconds.
        public var longestDelay = 1.0
        /// The number of guesses within the window after which the network is refused.
        public var maximumGuesses = 10
        /// How long a failure is remembered, and how long a network is refused, in seconds.
        public var window = 600.0
        /// The largest number of networks that are remembered.
        public var maximumEntries = 65_536

        public init() {}
    }

    private struct Entry: Sendable {
        var failures: Int
        var guesses: Int
        var since: MonotonicTime
    }

    private let configuration: Configuration
    /// The networks that are remembered, in two generations. When the younger generation is full, it becomes the older
    /// one, and the former older one is forgotten. So nothing is ever searched or sorted, however many networks fail.
    private var younger: [IPAddress: Entry] = [:]
    private var older: [IPAddress: Entry] = [:]

    /// Makes a throttle that remembers no failures.
    public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// How many seconds the client must wait; nil when it may try now.
    public func wait(for client: IPAddress, at now: MonotonicTime) -> Double? {
        guard let entry = entry(of: client, at: now), entry.guesses >= configuration.maximumGuesses else {
            return nil
        }
        return min(
            entry.since.advanced(bySeconds: configuration.window).seconds(since: now), configuration.window)
    }

    /// Returns by how many seconds the answer to a failure must be delayed. Call `failed(_:isGuess:at:)` first, so that
    /// the failure is counted.
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

    /// - Parameter isGuess: whether the client may have guessed at the secret of a key.
    public mutating func failed(_ client: IPAddress, isGuess: Bool, at now: MonotonicTime) {
        let network = client.host
        var entry = entry(of: client, at: now) ?? Entry(failures: 0, guesses: 0, since: now)
        entry.failures += 1
        if isGuess {
            entry.guesses += 1
            // The window begins again only when the network begins to be refused, so that the network is refused for a
            // whole window.
            if entry.guesses >= configuration.maximumGuesses { entry.since = now }
        }
        older[network] = nil
        younger[network] = entry
        if younger.count >= configuration.maximumEntries / 2 {
            older = younger
            younger = [:]
        }
    }

    /// Forgets the failures of the client's network.
    public mutating func succeeded(_ client: IPAddress) {
        let network = client.host
        younger[network] = nil
        older[network] = nil
    }

    /// The number of networks that are remembered.
    public var count: Int { younger.count + older.count }

    /// Returns nil when the network's failures have been forgotten.
    private func entry(of client: IPAddress, at now: MonotonicTime) -> Entry? {
        let network = client.host
        guard let entry = younger[network] ?? older[network], now.seconds(since: entry.since) < configuration.window
        else {
            return nil
        }
        return entry
    }
}
