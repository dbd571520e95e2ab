import Logging
import RelayCore

/// Writes a log line `failed` for each message that an operator has dropped, at the level of the lines `sent` and
/// `simulated`.
///
/// Workers log only the ends that they record. Without these lines, the log would show the beginning of a dropped
/// message but not its end.
public struct DropLog: Sendable {
    private let logger: Logger

    public init(to logger: Logger) { self.logger = logger }

    /// Writes a line for each of these messages that has been dropped. It is possible that some of the messages were
    /// sent before they could be dropped: these get no line.
    public func write(_ messages: [MessageID], of store: some MessageRecords, now: Timestamp) async throws {
        for start in stride(from: 0, to: messages.count, by: OperatorAction.batch) {
            let batch = Array(messages[start..<min(start + OperatorAction.batch, messages.count)])
            for message in try await store.messages(MessageFilter(ids: batch, limit: batch.count), now: now) {
                write(message)
            }
        }
    }

    private func write(_ message: MessageRecord) {
        let dropped = message.deliveries.filter { $0.state == .failed && $0.reason == droppedReason }
        guard !dropped.isEmpty else { return }
        logger.info(
            "failed",
            metadata: [
                "message": "\(message.id)", "key": "\(message.key)", "lane": "\(message.environment.rawValue)",
                "recipients": "\(dropped.reduce(0) { $0 + $1.recipients.count })", "reason": "\(droppedReason)",
            ])
    }
}

extension KeyAdministration where Self: MessageRecords {
    /// Revokes a key, as `KeyAdministration.revokeKey` does. Returns the messages that may have been
    /// dropped, for ``DropLog``.
    ///
    /// The messages to be dropped are held first. So while they are looked up for the log, no message is added and none
    /// is sent. If the function is interrupted, the messages stay held.
    public func revokeKey(_ id: KeyID, queued: QueuedDisposition, clock: some RelayClock) async throws -> [MessageID] {
        guard queued == .drop else {
            try await revokeKey(id, queued: queued, now: clock.now())
            return []
        }
        try await revokeKey(id, queued: .hold, now: clock.now())
        let dropped = try await matching(.drop, MessageFilter(key: id, limit: .max), now: clock.now()) { _ in }
        try await revokeKey(id, queued: .drop, now: clock.now())
        return dropped
    }
}
