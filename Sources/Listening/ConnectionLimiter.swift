import RelayCore
import Synchronization

/// Counts connections, in total and by client, and refuses those above the limits.
///
/// A client is an IPv4 address or an IPv6 network of /64. A host with a /48 has 65,536 such networks, so each /48 is held to
/// a share of all connections too. One limiter serves all servers of the relay.
///
/// Connections through a load balancer whose client is not known yet are counted apart. They take no place of the clients that are
/// connected, so a client over the limit still gets the reply of its protocol.
public final class ConnectionLimiter: Sendable {
    public enum Verdict: Hashable, Sendable {
        case admitted
        /// Which limit was reached.
        case refused(limit: Int, of: Scope)
    }

    /// Whose connections a limit counts.
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

    /// An IPv6 network of /48 gets one in so many connections at most, or as many as one client where that is more.
    static let sharePerSite = 4
    /// Connections whose client is not known yet: one for so many of the others at most, or ``leastUnidentified``.
    static let shareOfUnidentified = 4
    static let leastUnidentified = 16

    private let state: Mutex<State>

    public init(maximum: Int, maximumPerClient: Int) {
        state = Mutex(State(maximum: maximum, maximumPerClient: maximumPerClient))
    }

    /// Other limits from now on. Connections above them that are there already stay.
    public func change(maximum: Int, maximumPerClient: Int) {
        state.withLock { state in
            state.maximum = maximum
            state.maximumPerClient = maximumPerClient
        }
    }

    /// Each admitted connection must be ``released(_:isShared:)`` once, with the same arguments.
    ///
    /// - Parameter isShared: the address is a proxy's, which connects for all of its clients: it counts in the total only.
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

    /// Takes a place for a connection whose client is not known yet. Each true must be followed by one ``identified()``.
    public func admitUnidentified() -> Bool {
        state.withLock { state in
            guard state.unidentified < state.maximumUnidentified else { return false }
            state.unidentified += 1
            return true
        }
    }

    /// The client of such a connection is known now, or the connection has ended.
    public func identified() { state.withLock { $0.unidentified -= 1 } }

    /// Connections whose client is not known yet.
    public var unidentifiedCount: Int { state.withLock { $0.unidentified } }

    /// Connections admitted and not released.
    public var count: Int { state.withLock { $0.total } }

    /// Whether over 80 % of all places are taken: a client that has not authenticated must then be quick about it.
    public var isUnderStress: Bool { state.withLock { $0.total * 5 > $0.maximum * 4 } }

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
    /// The IPv6 network of /48 that it is in, which is what one site is given (RFC 6177); nil for IPv4.
    fileprivate var site: IPAddress? { isIPv4 ? nil : prefix(48) }
}
