/// A key holder's request to cancel a message, with the conditions that the key must satisfy when the request is
/// decided on.
public struct Cancellation: Sendable {
    /// The message that is not to be sent.
    public var message: MessageID
    /// The key that makes the request. The message must belong to it.
    public var key: KeyID
    /// The secret that the client has authenticated with; nil if no authentication was needed.
    public var secret: KeyDigest?
    /// The scope that the key must have.
    public var scope: Scope
    /// The client's address, checked against the key's networks; nil: not checked.
    public var client: IPAddress?

    public init(
        of message: MessageID, key: KeyID, secret: KeyDigest? = nil, scope: Scope = .send, client: IPAddress? = nil
    ) {
        self.message = message
        self.key = key
        self.secret = secret
        self.scope = scope
        self.client = client
    }

    /// What a store must do, within one transaction.
    public enum Decision: Hashable, Sendable {
        /// Apply ``DeliveryChange/init(cancelledAt:)`` to all deliveries of the message.
        case cancel
        /// Change nothing, and return this outcome.
        case answer(CancelOutcome)
    }

    /// Decides whether the message can be cancelled.
    ///
    /// - Parameters:
    ///   - stored: the key as it is now; nil if there is none.
    ///   - owner: the key that the message belongs to; nil if there is no such message.
    ///   - deliveries: the states of all deliveries of the message.
    public func decide(
        _ stored: StoredKey?, owner: KeyID?, deliveries: [DeliveryState], at now: Timestamp
    ) -> Decision {
        guard let stored else { return .answer(.refused(.keyGone)) }
        if let refusal = stored.refusalOfSending(for: scope, with: secret, from: client, at: now) {
            return .answer(.refused(refusal))
        }
        // A key learns nothing about the messages of other keys, not even whether they exist.
        guard owner == key else { return .answer(.notFound) }
        if deliveries.allSatisfy({ $0 == .cancelled }) { return .answer(.cancelled) }
        return deliveries.allSatisfy({ $0 == .queued || $0 == .held })
            ? .cancel : .answer(.conflict(MessageState(of: deliveries)))
    }
}

/// The outcome of a ``Cancellation``.
public enum CancelOutcome: Hashable, Sendable {
    /// The message is cancelled: nothing more of it is sent. The outcome is the same if it had been cancelled before.
    case cancelled
    /// A part of the message is being sent, or has ended already. Nothing was changed. The value is the message's
    /// state.
    case conflict(MessageState)
    /// The key has no such message.
    case notFound
    /// The key is no longer allowed to cancel messages.
    case refused(Refusal)
}
