import NIOCore

/// The listeners of one server. Either all of them are bound or none.
///
/// `Kind` is a listener as the server describes it: its place, and for example whether it uses TLS.
public final class ListenerGroup<Kind: Sendable>: Sendable {
    /// A listener that is bound.
    public struct Bound: Sendable {
        /// The listener as the server describes it.
        public var listener: Kind
        /// The address that the listener is bound to.
        public var address: SocketAddress?
        /// ``address`` as text, for the log.
        public var description: String
    }

    private let channels: [Listener]
    private let shutdown: ShutdownNotice
    /// The listeners that are bound.
    public let bound: [Bound]

    private init(channels: [Listener], shutdown: ShutdownNotice, bound: [Bound]) {
        self.channels = channels
        self.shutdown = shutdown
        self.bound = bound
    }

    /// Binds all `listeners` with `bind`, or none.
    ///
    /// - Parameter shutdown: notifies the server's connections of the shutdown.
    /// - Throws: the error of `bind`.
    public static func bind(
        _ listeners: [Kind], shutdown: ShutdownNotice, by bind: (Kind) async throws -> Listener
    ) async throws -> ListenerGroup {
        var channels: [Listener] = []
        do {
            for listener in listeners { channels.append(try await bind(listener)) }
        } catch {
            for channel in channels { await channel.close() }
            throw error
        }
        let bound = zip(listeners, channels).map { listener, channel in
            Bound(listener: listener, address: channel.address, description: channel.boundAddress)
        }
        return ListenerGroup(channels: channels, shutdown: shutdown, bound: bound)
    }

    /// Whether clients can connect: all listeners are bound and the server is not shutting down.
    public var isListening: Bool { shutdown.limit == nil && channels.allSatisfy(\.isActive) }

    /// Stops listening, tells the connections how much time they have, and returns when all of them have ended. Each
    /// connection enforces the limit itself, on its event loop.
    public func shutDown(within limit: Duration) async {
        for channel in channels { await channel.stopAccepting() }
        shutdown.give(limit: TimeAmount(limit))
        await withTaskGroup(of: Void.self) { group in
            for channel in channels { group.addTask { await channel.quiesce() } }
        }
    }
}
