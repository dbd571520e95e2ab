import Listening
import NIOCore
import RelayCore

/// What the server holds clients to.
public struct SMTPServerConfiguration: Sendable {
    /// Said in the greeting and in the trace field.
    public var hostname: String
    /// Octets of message content.
    public var maximumMessageSize: Int
    public var maximumRecipients: Int
    /// How long a client may take between two commands.
    public var idleTimeout: Duration
    /// How long a client may take from connecting until it has authenticated.
    public var authenticationTimeout: Duration
    /// Clients that may authenticate without TLS.
    public var plaintextAuthenticationNetworks: [NetworkBlock]

    /// The least speed of a message in octets a second, measured over a minute.
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

/// A place to listen at, and how TLS begins there.
public struct SMTPListener: Hashable, Sendable {
    public enum Security: Hashable, Sendable {
        /// STARTTLS (RFC 3207).
        case startTLS
        /// TLS from the first octet (RFC 8314).
        case implicitTLS
    }

    public typealias Place = ListenPlace

    public var place: Place
    public var security: Security
    /// Whether each connection must begin with a PROXY header, in front of TLS.
    public var takesProxyHeader: Bool

    public init(_ place: Place, _ security: Security, takesProxyHeader: Bool = false) {
        self.place = place
        self.security = security
        self.takesProxyHeader = takesProxyHeader
    }
}
