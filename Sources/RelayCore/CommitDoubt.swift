/// How a batch ended whose commit was in doubt: the connection to the server was lost while it was being committed, or a wait for the
/// standby was cancelled.
public struct CommitDoubt: Sendable, Hashable {
    public enum Ending: String, Sendable {
        /// The server had committed it.
        case committed
        /// The server had not committed it; another try did, with the same ids.
        case repeated
        /// It could not be found out in time, or another try failed. The senders were told to send again.
        case unknown
    }

    /// Messages that the batch put into the queue, if it holds.
    public var messages: Int
    public var ending: Ending

    public init(messages: Int, ending: Ending) {
        self.messages = messages
        self.ending = ending
    }
}
