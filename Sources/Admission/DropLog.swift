import Logging
import RelayCore

/// Tells the log which messages an operator has ended, in the form of the lines about those that end by themselves.
///
/// The relay logs the ends that its workers record. Without these lines a message that was dropped would have a beginning in the log and
/// no end.
public struct DropLog: Sendable {
    private let logger: Logger

    public init(to logger: Logger) { self.logger = logger }

    /// A line for each of these messages that has been dropped; some may have been sent before it came to that.
    public func write(_ messages: [MessageID], of store: some MessageRecords, now: Timestamp) async throws {
        for start in stride(from: 0, to: messages.count, by: Steering.batch) {
            let batch = Array(messages[start..<min(start + Steering.batch, messages.count)])
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
    /// Revokes a key, as ``KeyAdministration/revokeKey(_:queued:now:)`` does. Returns the messages that may have been dropped, for ``DropLog``.
    ///
    /// What is to be dropped is held first: while it is looked up for the log, nothing is added and nothing is sent. An interruption leaves
    /// it held.
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
