import Logging
import NIOCore
import RelayCore
import Synchronization

/// The networks of load balancers. The relay accepts PROXY headers only from these networks. They can change while the
/// relay runs.
public final class ProxyNetworks: Sendable {
    private let blocks: Mutex<[NetworkBlock]>

    /// The networks at the start. If there are none, no PROXY header is accepted.
    public init(_ blocks: [NetworkBlock]) { self.blocks = Mutex(blocks) }

    /// Sets the networks for connections from now on.
    public func change(to blocks: [NetworkBlock]) { self.blocks.withLock { $0 = blocks } }

    /// Whether the peer is in one of the networks.
    public func contains(_ peer: IPAddress) -> Bool { blocks.withLock { $0.contains { $0.contains(peer) } } }
}

/// The policy of a listener whose connections must begin with a PROXY header.
public struct ProxyPolicy: Sendable {
    /// The load balancers whose headers are accepted.
    public var networks: ProxyNetworks
    /// Counts the connections whose client is not known yet.
    public var limiter: ConnectionLimiter
    /// Called for each connection that is closed before its client is known, on the event loop of that connection.
    public var refused: @Sendable (ProxyRefusal) -> Void

    public init(
        networks: ProxyNetworks, limiter: ConnectionLimiter, refused: @escaping @Sendable (ProxyRefusal) -> Void
    ) {
        self.networks = networks
        self.limiter = limiter
        self.refused = refused
    }

    /// The longest time from connecting until the header is complete. A load balancer sends the header with its first
    /// segment.
    public static let headerTime = TimeAmount.seconds(5)
}

/// Why a connection was closed before its client was known, for the log.
public struct ProxyRefusal: Hashable, Sendable {
    /// The reasons.
    public enum Reason: Hashable, Sendable {
        /// The peer is in none of `proxy_networks`.
        case network
        case header(ProxyHeader.Defect)
        /// The connection ended within the header.
        case cut
        /// No complete header came within ``ProxyPolicy/headerTime``.
        case late
        /// Too many connections wait for their header.
        case limit
    }

    /// The address that connected: that of a load balancer, or of a client that connected directly.
    public var peer: IPAddress
    /// Why the connection was closed.
    public var reason: Reason

    public init(peer: IPAddress, reason: Reason) {
        self.peer = peer
        self.reason = reason
    }

    /// A sentence about the event, for the log. It is a constant of the program.
    public var message: String {
        switch reason {
        case .network: "PROXY header from an address that is not in proxy_networks, connection closed"
        case .limit: "too many connections wait for their PROXY header, connection closed"
        case .header, .cut, .late: "no valid PROXY header, connection closed"
        }
    }

    /// One word that identifies the reason.
    public var kind: String {
        switch reason {
        case .network: "proxy-network"
        case .header(let defect): "proxy-\(defect.rawValue)"
        case .cut: "proxy-cut"
        case .late: "proxy-late"
        case .limit: "proxy-limit"
        }
    }

    /// The log metadata: reason, error and remedy.
    public var metadata: Logger.Metadata { ["reason": "\(kind)", "error": "\(error)", "remedy": "\(remedy)"] }

    private var error: String {
        switch reason {
        case .network: "this listener accepts PROXY headers only from proxy_networks, and this address is not in them"
        case .header(.missing): "the connection begins without a PROXY header"
        case .header(.tooLong):
            "the PROXY header is longer than \(ProxyHeader.maximumLineLength) octets (version 1) or "
                + "\(ProxyHeader.maximumLength) octets (version 2)"
        case .header(.malformed): "the PROXY header is malformed"
        case .header(.unsupported): "the PROXY header has an unknown version, command, address family or transport"
        case .cut: "the connection ended within the PROXY header"
        case .late: "no PROXY header came within \(ProxyPolicy.headerTime.nanoseconds / 1_000_000_000) s"
        case .limit: "too many connections wait for their PROXY header"
        }
    }

    private var remedy: String {
        switch reason {
        case .network:
            "if it is your load balancer, add its address to proxy_networks; if not, let it use another listener"
        case .header(.missing), .late:
            "make the load balancer send the header (HAProxy: send-proxy-v2; nginx: proxy_protocol on), "
                + "or let this client use a listener without +proxy"
        case .header: "look at the load balancer's settings for the PROXY protocol"
        case .cut: "find out why the load balancer closed the connection"
        case .limit: "raise submission.max_connections, or find out why the load balancer sends no headers"
        }
    }
}
