import Listening
import NIOOpenSSL

/// What happened on a connection, for metrics. Observers are called on the connection's event loop. Authentications and
/// refusals are reported by `Admission`.
public enum SMTPEvent: Sendable {
    case connected(SMTPListener.Security)
    /// The connection was over a limit.
    case connectionRefused(ConnectionLimiter.Scope)
    /// A TLS handshake completed.
    case secured(TLSVersion, resumed: Bool)
    /// TLS failed, or ended without a proper close.
    case tlsFailed(TLSError.Code)
    /// The client took too long.
    case timedOut(TimeoutKind)
}
