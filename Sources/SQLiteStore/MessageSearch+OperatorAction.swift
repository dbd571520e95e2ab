import GRDB
import RelayCore

extension MessageSearch {
    /// A page of the messages that an operator's action can change. They are exactly in the filter's state, and still
    /// have their bytes if the action needs them.
    func matching(
        _ operatorAction: OperatorAction, before: Int64, in database: Database
    ) throws -> (messages: [MessageID], next: Int64?) {
        let page = try page(before: before, in: database)
        var ids = page.ids
        if operatorAction.needsBody {
            let kept = Set(
                try Int64.fetchAll(
                    database,
                    sql: "SELECT id FROM message WHERE id IN (\(MessageSearch.list(ids))) AND \(RecordRow.hasBody)"))
            ids.removeAll { !kept.contains($0) }
        }
        if let state = filter.state {
            let states = try states(of: ids, in: database)
            ids.removeAll { states[$0] != state }
        }
        return (ids.compactMap(MessageID.init(rawValue:)), page.next)
    }

    private func states(of messages: [Int64], in database: Database) throws -> [Int64: MessageState] {
        var deliveries: [Int64: [(state: DeliveryState, nextAttemptAt: Timestamp?)]] = [:]
        var scheduled: [Int64: Timestamp] = [:]
        for row in try Row.fetchAll(
            database,
            sql: """
                SELECT message, state, next_attempt_at, scheduled_at FROM delivery
                WHERE message IN (\(MessageSearch.list(messages)))
                """)
        {
            guard let state = DeliveryState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            deliveries[row["message"], default: []].append((state, timestamp(row["next_attempt_at"])))
            scheduled[row["message"]] = timestamp(row["scheduled_at"])
        }
        return Dictionary(
            uniqueKeysWithValues: messages.map {
                ($0, MessageState(of: deliveries[$0] ?? [], scheduledAt: scheduled[$0], at: now))
            })
    }

    private static func list(_ ids: [Int64]) -> String { ids.map(String.init).joined(separator: ",") }
}
