import Listening
import NIOCore
import RelayCore

/// The limits and rules for SMTP clients. A connection keeps those that it began with.
public struct SMTPServerConfiguration: Sendable {
    /// The relay's host name in the greeting and in the trace field.
    public var hostname: String
    /// The largest message content that is allowed, in octets.
    public var maximumMessageSize: Int
    /// The largest number of recipients of a message.
    public var maximumRecipients: Int
    /// The longest time between two commands of a client.
    public var idleTimeout: Duration
    /// How long a client may take from connecting until it has authenticated.
    public var authenticationTimeout: Duration
    /// The networks whose clients may authenticate without TLS.
    public var plaintextAuthenticationNetworks: [NetworkBlock]

    /// The lowest transfer rate of a message's content in octets per second, measured over a minute.
    public static let minimumTransferRate = 500

    var timeouts: Timeouts {
        Timeouts(idle: TimeAmount(idleTimeout), authentication: TimeAmount(authenticationTimeout))
    }

    public init(
        hostname: String, maximumMessageSize: Int, maximumRecipients: Int, idleTimeout: Duration,
        authenticationTimeout: Duration,
        plaintextAuthenticationNetworks: [NetworkBlock]
    ) {
        self.hostname = hostname
        self.maximumMessageSize = maximumMessageSize
        self.maximumRecipients = maximumRecipients
        self.idleTimeout = idleTimeout
        self.authenticationTimeout = authenticationTimeout
        self.plaintextAuthenticationNetworks = plaintextAuthenticationNetworks
    }
}

/// Where the server listens, and how TLS begins there.
public struct SMTPListener: Hashable, Sendable {
    /// How TLS begins on a connection.
    public enum Security: Hashable, Sendable {
        /// TLS begins with STARTTLS (RFC 3207).
        case startTLS
        /// TLS begins with the first octet (RFC 8314).
        case implicitTLS
    }

    /// Where the listener accepts connections.
    public typealias Place = ListenPlace

    /// The address or the socket.
    public var place: Place
    /// How TLS begins there.
    public var security: Security
    /// Whether each connection must begin with a PROXY header, which comes before TLS.
    public var takesProxyHeader: Bool

    public init(_ place: Place, _ security: Security, takesProxyHeader: Bool = false) {
        self.place = place
        self.security = security
        self.takesProxyHeader = takesProxyHeader
    }
}
