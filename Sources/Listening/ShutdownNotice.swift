import NIOCore
import Synchronization

/// Tells connections that the server is shutting down, and how much time they have.
public final class ShutdownNotice: Sendable {
    private let state = Mutex<TimeAmount?>(nil)

    public init() {}

    /// The time that connections have, from the notice on. Nil while the server is up.
    public var limit: TimeAmount? { state.withLock { $0 } }

    /// Begins the shutdown. Connections have `limit` from now on.
    public func give(limit: TimeAmount) { state.withLock { $0 = limit } }
}
