import RelayCore

/// What the body of one message of the queue says.
public enum QueueReading: Hashable, Sendable {
    /// What became of recipients; never empty.
    case reports([FeedbackReport])
    /// Nothing to put on record.
    case passedOver(PassedOver)
    /// An event of a kind that the relay does not know; its name as SES writes it, bounded.
    case unknownKind(String)
    /// No message of SNS or SES: why not, without anything of its content but places.
    case malformed(String)

    /// Kinds that are known and need no record.
    public enum PassedOver: String, CaseIterable, Sendable, Hashable {
        /// On record already: SES has answered with its id.
        case send
        case open, click, subscription
        /// What SES writes to a new topic or destination, to try it.
        case test
        /// SNS asks whether the queue is to get messages of a topic. It is answered by a person, never by the relay.
        case subscriptionConfirmation = "subscription_confirmation"
    }
}
