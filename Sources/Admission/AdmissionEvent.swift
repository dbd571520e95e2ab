import RelayCore

extension Admission {
    /// What happened, for observers that count or wake the worker. ``Admission`` writes the log itself.
    public enum Event: Sendable {
        case accepted(Submission, Lane)
        /// A client sent again what is in the queue already.
        case repeated(Submission, of: MessageID)
        case authenticated(KeyID, client: IPAddress)
        case authenticationRefused(RefusalReason)
        /// A client was given a refusal.
        case refused(RefusalReason)
        /// A message is held back for so long, to keep a key to its rate.
        case slowedDown(Duration)
        case storageFailed(any Error)
        /// The store decided on so many messages in one transaction, which took so long with its sync.
        case committed(messages: Int, seconds: Double)
    }
}

/// Why an authentication failed, and how long the answer is to be held back: guessing must be slow.
public struct AuthenticationRefusal: Error, Hashable, Sendable {
    public var refusal: Refusal
    public var delay: Duration
    /// Whether the connection is to be closed with the answer.
    public var endsConnection: Bool

    init(_ refusal: Refusal, delay: Duration = .zero, endsConnection: Bool = false) {
        self.refusal = refusal
        self.delay = delay
        self.endsConnection = endsConnection
    }
}
