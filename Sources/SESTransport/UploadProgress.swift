import Synchronization

/// How much of a request has been sent. If no answer comes, this decides whether SES can have accepted the message.
///
/// AsyncHTTPClient asks for the body only after a connection is open (including TLS) and the head has been written to
/// it.
final class UploadProgress: Sendable {
    enum Stage: Int, Sendable {
        /// No connection is open yet.
        case notBegun
        /// A part was sent. SES can't act on a part.
        case begun
        /// The whole request was given to the connection, so it may have arrived.
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
