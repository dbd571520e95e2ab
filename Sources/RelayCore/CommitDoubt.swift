/// The outcome of a batch whose commit was in doubt: the connection to the server was lost during the commit, or a wait
/// for the standby was cancelled.
public struct CommitDoubt: Sendable, Hashable {
    /// The outcomes.
    public enum Ending: String, Sendable {
        /// The server had committed the batch.
        case committed
        /// The server had not committed the batch. Another attempt committed it, with the same ids.
        case repeated
        /// The outcome could not be determined in time, or another attempt failed. The clients were told to send again.
        case unknown
    }

    /// The number of messages that the batch has put into the queue if it was committed.
    public var messages: Int
    /// What became of the batch.
    public var ending: Ending

    public init(messages: Int, ending: Ending) {
        self.messages = messages
        self.ending = ending
    }
}
