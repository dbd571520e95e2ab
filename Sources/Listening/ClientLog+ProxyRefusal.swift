import Admission
import Logging

extension ClientLog {
    /// Logs a connection that was closed before its client was known.
    public func write(_ refusal: ProxyRefusal) {
        write(.notice, refusal.message, client: refusal.peer, kind: refusal.kind, metadata: refusal.metadata)
    }
}
