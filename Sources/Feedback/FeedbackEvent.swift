import RelayCore

/// What the consumer tells an observer.
public enum FeedbackEvent: Hashable, Sendable {
    /// Messages were taken from the queue.
    case taken(messages: Int, at: Timestamp)
    /// What the store did with reports; `matched`: with those that had waited.
    case stored(FeedbackOutcome, matched: Bool)
    case passedOver(QueueReading.PassedOver)
    case unknownKind
    case malformed
    /// The queue can't be read, or nothing can be deleted from it. Told when it begins, or its kind changes.
    case queueFailed(SQSFailure.Kind)
    case queueRecovered
    case storeFailed
    case storeRecovered
    /// A message that the store would not take, again and again: left to the queue, which takes it to its dead letter queue.
    case leftAlone
}
