import RelayCore

/// The content of one message of the queue.
public enum QueueReading: Hashable, Sendable {
    /// Events of recipients. Never empty.
    case reports([FeedbackReport])
    /// There is nothing to record.
    case passedOver(PassedOver)
    /// An event of a kind that the relay does not know, with its name as SES writes it, shortened if necessary.
    case unknownKind(String)
    /// Not a message of SNS or SES. The text says why. It names places in the message, and does not repeat its content.
    case malformed(String)

    /// Kinds that are known and need no record.
    public enum PassedOver: String, CaseIterable, Sendable, Hashable {
        /// The relay has already recorded that the message was sent, because SES answered with its id.
        case send
        case open, click, subscription
        /// A test message that SES writes to a new topic or destination.
        case test
        /// SNS asks whether the queue should receive messages of a topic. A person must answer it, never the relay.
        case subscriptionConfirmation = "subscription_confirmation"
    }
}
