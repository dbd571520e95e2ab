import RelayCore

/// What the consumer reports to an observer.
public enum FeedbackEvent: Hashable, Sendable {
    /// Messages were taken from the queue.
    case taken(messages: Int, at: Timestamp)
    /// What the store did with reports. `matched`: whether the reports had been waiting for their messages.
    case stored(FeedbackOutcome, matched: Bool)
    case passedOver(QueueReading.PassedOver)
    case unknownKind
    case malformed
    /// The queue can't be read, or nothing can be deleted from it. Reported when the failure begins and when its kind
    /// changes.
    case queueFailed(SQSFailure.Kind)
    case queueRecovered
    case storeFailed
    case storeRecovered
    /// The store failed again and again on a message. It is left in the queue, which moves it to its dead letter queue.
    case leftAlone
}
