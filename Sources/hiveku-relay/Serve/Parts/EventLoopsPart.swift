import NIOCore
import NIOPosix
import RelayCore
import ServiceLifecycle
import Supervision
import Telemetry

/// The event loops, which run connections and outgoing calls. Nothing has to start or end them: they run until the
/// process ends.
///
/// An event loop that hangs blocks a share of the connections, and only a restart helps. Half of the watchdog's
/// interval is ample for work that takes microseconds.
struct EventLoopsPart: RelayPart {
    let group: any EventLoopGroup
    /// Whether the relay calls AWS. The HTTP client uses event loops of its own for that.
    let callsAWS: Bool

    func run(among _: RelayParts) async throws { try await gracefulShutdown() }

    func heartbeats(every interval: Duration) -> [Watchdog.Part] {
        let own = group.makeIterator().enumerated().map { number, loop in
            Watchdog.Part.eventLoop(loop, "event loop \(number + 1)", timeout: interval / 2)
        }
        guard callsAWS else { return own }
        // The event loops of AsyncHTTPClient.
        return own
            + MultiThreadedEventLoopGroup.singleton.makeIterator().enumerated().map { number, loop in
                .eventLoop(loop, "event loop \(number + 1) of the HTTP client", timeout: interval / 2)
            }
    }

    var liveness: [Health.Part] {
        group.makeIterator().enumerated().map { index, loop in
            Health.Part("event loop \(index + 1)") { try await loop.submit {}.get() }
        }
    }
}
