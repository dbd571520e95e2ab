import RelayCore

/// Makes the message ids of one relay, whose number does not change.
public struct InstanceIDs: Sendable {
    public let instance: Int64
    private var generator: MessageIDGenerator

    public init(instance: Int64, after newest: MessageID? = nil) {
        self.instance = instance
        generator = MessageIDGenerator(after: newest)
    }

    public mutating func next(at now: Timestamp) -> MessageID { generator.next(at: now, instance: instance) }
}
