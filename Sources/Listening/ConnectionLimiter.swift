import RelayCore
import Synchronization

/// Counts connections, in total and for each client, and refuses connections above the limits.
///
/// A client is an IPv4 address or an IPv6 network of /64. A /48 has 65,536 such networks, so each /48 is also limited
/// to a share of all connections. One limiter serves all servers of the relay.
///
/// Connections through a load balancer whose client is not known yet are counted separately. They take no place from
/// connected clients, so a client over the limit still gets the reply of its protocol.
public final class ConnectionLimiter: Sendable {
    /// The decision on a connection.
    public enum Verdict: Hashable, Sendable {
        case admitted
        /// The limit that was reached.
        case refused(limit: Int, of: Scope)
    }

    /// The connections that a limit counts.
    public enum Scope: Hashable, Sendable {
        case all
        /// One IPv4 address, or one IPv6 network of /64.
        case client
        /// An IPv6 network of /48.
        case site
    }

    private struct State: Sendable {
        var maximum: Int
        var maximumPerClient: Int
        var total = 0
        var unidentified = 0
        var byClient: [IPAddress: Int] = [:]
        var bySite: [IPAddress: Int] = [:]

        var maximumPerSite: Int { max(maximumPerClient, maximum / ConnectionLimiter.sharePerSite) }
        var maximumUnidentified: Int {
            max(ConnectionLimiter.leastUnidentified, maximum / ConnectionLimiter.shareOfUnidentified)
        }
    }

    /// The most connections of a /48: the maximum divided by this number, but at least as many as a single client may
    /// have.
    static let sharePerSite = 4
    /// The most connections without a known client: the maximum divided by this number, but at least
    /// ``leastUnidentified``.
    static let shareOfUnidentified = 4
    static let leastUnidentified = 16

    private let state: Mutex<State>

    /// - Parameters:
    ///   - maximum: the largest number of connections in total.
    ///   - maximumPerClient: the largest number of connections of one client.
    public init(maximum: Int, maximumPerClient: Int) {
        state = Mutex(State(maximum: maximum, maximumPerClient: maximumPerClient))
    }

    /// Sets new limits. Existing connections above them stay.
    public func change(maximum: Int, maximumPerClient: Int) {
        state.withLock { state in
            state.maximum = maximum
            state.maximumPerClient = maximumPerClient
        }
    }

    /// Admits or refuses a connection. For each admitted connection, ``released(_:isShared:)`` must be called once with
    /// the same arguments.
    ///
    /// - Parameter isShared: whether the address is that of a proxy, which connects for all of its clients. Such a
    ///   connection counts only in the total.
    public func admit(_ client: IPAddress, isShared: Bool = false) -> Verdict {
        state.withLock { state in
            guard state.total < state.maximum else { return .refused(limit: state.maximum, of: .all) }
            guard !isShared else {
                state.total += 1
                return .admitted
            }
            let host = client.host
            let count = state.byClient[host, default: 0]
            guard count < state.maximumPerClient else {
                return .refused(limit: state.maximumPerClient, of: .client)
            }
            if let site = client.site {
                let count = state.bySite[site, default: 0]
                guard count < state.maximumPerSite else { return .refused(limit: state.maximumPerSite, of: .site) }
                state.bySite[site] = count + 1
            }
            state.byClient[host] = count + 1
            state.total += 1
            return .admitted
        }
    }

    /// Takes a place for a connection whose client is not known yet. Returns false if no place is free. After each
    /// true, ``identified()`` must be called once.
    public func admitUnidentified() -> Bool {
        state.withLock { state in
            guard state.unidentified < state.maximumUnidentified else { return false }
            state.unidentified += 1
            return true
        }
    }

    /// Releases the place of such a connection. Call this when its client is known, or when it has ended.
    public func identified() { state.withLock { $0.unidentified -= 1 } }

    /// The number of connections whose client is not known yet.
    public var unidentifiedCount: Int { state.withLock { $0.unidentified } }

    /// The number of connections that were admitted and not released.
    public var count: Int { state.withLock { $0.total } }

    /// Whether over 80 % of the maximum are in use. Clients then have less time to authenticate.
    public var isUnderStress: Bool { state.withLock { $0.total * 5 > $0.maximum * 4 } }

    /// Stops counting a connection that was admitted with the same arguments.
    public func released(_ client: IPAddress, isShared: Bool = false) {
        state.withLock { state in
            state.total -= 1
            guard !isShared else { return }
            Self.takeOne(client.host, from: &state.byClient)
            if let site = client.site { Self.takeOne(site, from: &state.bySite) }
        }
    }

    private static func takeOne(_ key: IPAddress, from counts: inout [IPAddress: Int]) {
        if let count = counts[key] { counts[key] = count > 1 ? count - 1 : nil }
    }
}

extension IPAddress {
    /// The IPv6 network of /48 that the address is in. One site gets a network of this size (RFC 6177). Nil for IPv4.
    fileprivate var site: IPAddress? { isIPv4 ? nil : prefix(48) }
}
