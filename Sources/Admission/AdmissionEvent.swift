import RelayCore

extension Admission {
    /// An event, for observers that count events or wake the worker. ``Admission`` writes the log itself.
    public enum Event: Sendable {
        case accepted(Submission, Lane)
        /// A client sent a message again. The first copy is in the queue already.
        case repeated(Submission, of: MessageID)
        case authenticated(KeyID, client: IPAddress)
        case authenticationRefused(RefusalReason)
        /// A client got a refusal.
        case refused(RefusalReason)
        /// A message is delayed by this duration, so that its key does not exceed its rate.
        case slowedDown(Duration)
        case storageFailed(any Error)
        /// The store decided on `messages` messages in one transaction. It took `seconds`, including its sync.
        case committed(messages: Int, seconds: Double)
    }
}

/// Why an authentication failed, and how long the answer must be delayed. The delay makes guessing slow.
public struct AuthenticationRefusal: Error, Hashable, Sendable {
    /// Why the authentication failed.
    public var refusal: Refusal
    /// How long the answer must be delayed.
    public var delay: Duration
    /// Whether the connection must be closed with the answer.
    public var endsConnection: Bool

    init(_ refusal: Refusal, delay: Duration = .zero, endsConnection: Bool = false) {
        self.refusal = refusal
        self.delay = delay
        self.endsConnection = endsConnection
    }
}
