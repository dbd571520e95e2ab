import RelayCore

/// Shuts the door for a while on networks that guess keys: a /32 of IPv4, a /64 of IPv6.
///
/// A pure value over seconds of a monotonic clock. A network whose last authentication succeeded is never hindered by what
/// others there try. Memory is bounded: when the table is full, the entries that are over go first, then the oldest half.
public struct AuthenticationThrottle: Sendable {
    public struct Configuration: Sendable {
        /// Failures within the window that shut the door.
        public var maximumFailures = 10
        /// Seconds until a failure is forgotten, and for which the door stays shut.
        public var window = 600.0
        /// Networks remembered at most.
        public var maximumEntries = 65_536

        public init() {}
    }

    private struct Entry: Sendable {
        var failures: Int
        var since: Double
    }

    private let configuration: Configuration
    private var entries: [IPAddress: Entry] = [:]

    public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// Seconds for which the client must wait; nil when it may try.
    public func wait(for client: IPAddress, at now: Double) -> Double? {
        guard let entry = entries[network(of: client)], entry.failures >= configuration.maximumFailures else {
            return nil
        }
        let rest = entry.since + configuration.window - now
        return rest > 0 ? rest : nil
    }

    public mutating func failed(_ client: IPAddress, at now: Double) {
        let network = network(of: client)
        if let entry = entries[network], now - entry.since < configuration.window {
            // The window moves on only when the door shuts, so that it stays shut for all of it.
            let failures = entry.failures + 1
            entries[network] = Entry(
                failures: failures, since: failures >= configuration.maximumFailures ? now : entry.since)
        } else {
            if entries.count >= configuration.maximumEntries { makeRoom(at: now) }
            entries[network] = Entry(failures: 1, since: now)
        }
    }

    public mutating func succeeded(_ client: IPAddress) { entries[network(of: client)] = nil }

    public var count: Int { entries.count }

    private func network(of client: IPAddress) -> IPAddress { client.isIPv4 ? client : client.prefix(64) }

    private mutating func makeRoom(at now: Double) {
        entries = entries.filter { now - $0.value.since < configuration.window }
        guard entries.count >= configuration.maximumEntries else { return }
        let median = entries.values.map(\.since).sorted()[entries.count / 2]
        entries = entries.filter { $0.value.since > median }
    }
}
