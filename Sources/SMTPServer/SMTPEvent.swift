import Listening
import NIOOpenSSL

/// What happened on a connection, for metrics. Told on its event loop. Authentications and refusals are told by `Admission`.
public enum SMTPEvent: Sendable {
    case connected(SMTPListener.Security)
    /// Over a limit of connections.
    case connectionRefused(ConnectionLimiter.Scope)
    /// A TLS handshake came to its end.
    case secured(TLSVersion, resumed: Bool)
    /// TLS ended, or never began, otherwise than it should.
    case tlsFailed(TLSError.Code)
    /// The client took too long.
    case timedOut(TimeoutKind)
}
