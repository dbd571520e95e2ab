import NIOOpenSSL
import RelayCore

/// What happened on a connection, for metrics. Told on its event loop.
public enum SMTPEvent: Sendable {
    case connected(SMTPListener.Security)
    /// Over the limit of all connections, or that of one client.
    case connectionRefused(perClient: Bool)
    /// A TLS handshake came to its end.
    case secured(TLSVersion, resumed: Bool)
    /// TLS ended, or never began, otherwise than it should.
    case tlsFailed(TLSError.Code)
    /// Nil: with success.
    case authenticated(RefusalReason?)
    /// A reply went out that has this reason word.
    case refused(String)
    /// The reply to DATA is held back for so long, to keep a key to its rate.
    case slowedDown(Duration)
}
