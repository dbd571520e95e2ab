import NIOCore
import RelayCore

/// What the server holds clients to.
public struct SMTPServerConfiguration: Sendable {
    /// Said in the greeting and in the trace field.
    public var hostname: String
    /// Octets of message content.
    public var maximumMessageSize: Int
    public var maximumRecipients: Int
    public var maximumConnections: Int
    public var maximumConnectionsPerClient: Int
    /// How long a client may take between two commands.
    public var idleTimeout: Duration
    /// How long a client may take from connecting until it has authenticated.
    public var authenticationTimeout: Duration
    /// Clients that may authenticate without TLS.
    public var plaintextAuthenticationNetworks: [NetworkBlock]

    /// The same while most connections are in use, where it is shorter.
    static let authenticationTimeoutUnderStress = Duration.seconds(10)

    /// The least speed of a message in octets a second, measured over `transferWindow`.
    public static let minimumTransferRate = 500
    static let transferWindow = TimeAmount.seconds(60)

    public init(
        hostname: String, maximumMessageSize: Int, maximumRecipients: Int, maximumConnections: Int,
        maximumConnectionsPerClient: Int, idleTimeout: Duration, authenticationTimeout: Duration,
        plaintextAuthenticationNetworks: [NetworkBlock]
    ) {
        self.hostname = hostname
        self.maximumMessageSize = maximumMessageSize
        self.maximumRecipients = maximumRecipients
        self.maximumConnections = maximumConnections
        self.maximumConnectionsPerClient = maximumConnectionsPerClient
        self.idleTimeout = idleTimeout
        self.authenticationTimeout = authenticationTimeout
        self.plaintextAuthenticationNetworks = plaintextAuthenticationNetworks
    }
}

/// A place to listen at, and how TLS begins there.
public struct SMTPListener: Hashable, Sendable {
    public enum Security: Hashable, Sendable {
        /// STARTTLS (RFC 3207).
        case startTLS
        /// TLS from the first octet (RFC 8314).
        case implicitTLS
    }

    public enum Place: Hashable, Sendable {
        case address(host: String, port: Int)
        /// A listening socket that somebody else has bound (socket activation).
        case descriptor(CInt)
    }

    public var place: Place
    public var security: Security

    public init(_ place: Place, _ security: Security) {
        self.place = place
        self.security = security
    }
}
