/// A key holder's wish that a message be not sent, with what the key must still be allowed when it is decided.
public struct Cancellation: Sendable {
    public var message: MessageID
    public var key: KeyID
    /// What the client has authenticated with; nil where nobody had to.
    public var secret: KeyDigest?
    public var scope: Scope
    /// Nil: not held against the key's networks.
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

    /// What a store does, within one transaction.
    public enum Decision: Hashable, Sendable {
        /// All deliveries of the message become ``DeliveryChange/init(cancelledAt:)``.
        case cancel
        case answer(CancelOutcome)
    }

    /// Decides.
    ///
    /// - Parameters:
    ///   - stored: the key as it stands; nil when there is none.
    ///   - owner: whose message it is; nil when there is no such message.
    ///   - deliveries: the states of all its deliveries.
    public func decide(
        _ stored: StoredKey?, owner: KeyID?, deliveries: [DeliveryState], at now: Timestamp
    ) -> Decision {
        guard let stored else { return .answer(.refused(.keyGone)) }
        if let refusal = stored.refusalOfSending(for: scope, with: secret, from: client, at: now) {
            return .answer(.refused(refusal))
        }
        // A key learns nothing of the messages of others, not even that there are any.
        guard owner == key else { return .answer(.notFound) }
        if deliveries.allSatisfy({ $0 == .cancelled }) { return .answer(.cancelled) }
        return deliveries.allSatisfy({ $0 == .queued || $0 == .held })
            ? .cancel : .answer(.conflict(MessageState(of: deliveries)))
    }
}

/// What became of a ``Cancellation``.
public enum CancelOutcome: Hashable, Sendable {
    /// Nothing of the message is sent any more; also when it had been cancelled before.
    case cancelled
    /// Some of it is on its way, or has ended already: nothing was changed.
    case conflict(MessageState)
    /// The key has no such message.
    case notFound
    /// The key may not do that any more.
    case refused(Refusal)
}
