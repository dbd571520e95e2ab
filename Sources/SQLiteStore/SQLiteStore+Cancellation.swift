import GRDB
import RelayCore

extension SQLiteStore: MessageCancellation {
    public func cancel(_ cancellation: Cancellation, now: Timestamp) async throws -> CancelOutcome {
        try await write { database in
            let id = cancellation.message.rawValue
            let owner = try String.fetchOne(database, sql: "SELECT key FROM message WHERE id = ?", arguments: [id])
            let deliveries = try Row.fetchAll(
                database, sql: "SELECT id, state FROM delivery WHERE message = ?", arguments: [id])
            let states = try deliveries.map { row in
                guard let state = DeliveryState(rawValue: row["state"]) else {
                    throw StoreError.corrupt("a delivery's row can't be read")
                }
                return state
            }
            let decision = cancellation.decide(
                try KeyRow.storedKey(cancellation.key, in: database), owner: owner.flatMap { KeyID($0) },
                deliveries: states, at: now)
            switch decision {
            case .answer(let outcome): return outcome
            case .cancel:
                _ = try DeliveryRow.apply(
                    DeliveryChange(cancelledAt: now), to: deliveries.map { $0["id"] }, in: database)
                return .cancelled
            }
        }
    }
}
