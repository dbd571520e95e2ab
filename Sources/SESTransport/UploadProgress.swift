import Synchronization

/// How much of a request has left the relay: what decides whether SES can have taken it when no answer comes.
///
/// AsyncHTTPClient asks for the body only once a connection stands (TLS included) and the head is written to it.
final class UploadProgress: Sendable {
    enum Stage: Int, Sendable {
        /// No connection yet.
        case notBegun
        /// A part of it: SES can't act on that.
        case begun
        /// All of it was handed to the connection, and may have arrived.
        case handedOver
    }

    private let reached = Atomic<Int>(Stage.notBegun.rawValue)

    var stage: Stage { Stage(rawValue: reached.load(ordering: .acquiring)) ?? .handedOver }

    func began() {
        _ = reached.compareExchange(
            expected: Stage.notBegun.rawValue, desired: Stage.begun.rawValue, ordering: .acquiringAndReleasing)
    }

    func handedOver() { reached.store(Stage.handedOver.rawValue, ordering: .releasing) }
}
