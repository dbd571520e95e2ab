import RelayCore

extension PostgreSQLStore: MessageCancellation {
    public func cancel(_ cancellation: Cancellation, now: Timestamp) async throws -> CancelOutcome {
        try await write { connection in
            let id = cancellation.message.rawValue
            // From here on no relay claims or changes the deliveries of this decision. A key that is revoked at the
            // same time may still cancel: either order of the two is correct.
            let deliveries = try connection.rows(
                "SELECT id, state FROM delivery WHERE message = $1 ORDER BY id FOR NO KEY UPDATE", [id]
            ) { row in
                guard let delivery = row.integer(0), let state = row.text(1).flatMap(DeliveryState.init) else {
                    throw StoreError.corrupt("a delivery's row can't be read")
                }
                return (id: delivery, state: state)
            }
            let owner = try connection.first("SELECT key FROM message WHERE id = $1", [id]) { $0.text(0) } ?? nil
            let decision = cancellation.decide(
                try KeyRow.storedKey(cancellation.key, in: connection), owner: owner.flatMap { KeyID($0) },
                deliveries: deliveries.map(\.state), at: now)
            switch decision {
            case .answer(let outcome): return outcome
            case .cancel:
                _ = try DeliveryRow.apply(
                    DeliveryChange(cancelledAt: now), to: deliveries.map(\.id), in: connection)
                return .cancelled
            }
        }
    }
}
