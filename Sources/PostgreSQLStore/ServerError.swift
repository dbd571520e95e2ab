import RelayCore

/// Why a statement or a connection failed.
enum ServerError: Error {
    /// The server refused a statement. The connection can still be used.
    case refused(state: String, message: String)
    /// The connection can't be used any more, and it is not known what the server did with the last statements.
    case lost(String)

    /// Whether another attempt at the whole transaction may succeed at once: after a deadlock (`deadlock_detected`), or
    /// after a conflict with another transaction (`serialization_failure`).
    var isTransient: Bool {
        guard case .refused(let state, _) = self else { return false }
        return ["40001", "40P01"].contains(state)
    }

    /// Whether the connection goes through a pooler that gives each transaction to a different server connection:
    /// prepared statements are missing (`invalid_sql_statement_name`), or another client has already prepared them
    /// (`duplicate_prepared_statement`).
    var tellsOfPooler: Bool {
        guard case .refused(let state, _) = self else { return false }
        return ["26000", "42P05"].contains(state)
    }

    /// Whether a lock could not be obtained in time (`lock_not_available`).
    var isOccupied: Bool {
        guard case .refused(let state, _) = self else { return false }
        return state == "55P03"
    }

    /// Whether the connection was lost or failed (class 08), or the server is ending, is starting, or has become a
    /// standby (class 57, `read_only_sql_transaction`). Another server may then accept the work.
    var isEndOfServer: Bool {
        switch self {
        case .lost: true
        case .refused(let state, _): ["57P01", "57P02", "57P03", "25006", "08006", "08P01"].contains(state)
        }
    }
}

extension StoreError {
    /// The meaning of a server's failure for the relay (PostgreSQL documentation, appendix "Error Codes").
    init(_ error: any Error) {
        switch error {
        case let error as StoreError: self = error
        case ServerError.lost(let why): self = .unavailable(why)
        case let error as CommitInDoubt:
            self = .unavailable("it is not known whether a change was committed: \(error.why)")
        case ServerError.refused(let state, let message):
            switch state {
            case "53100": self = .full
            case "XX001", "XX002": self = .corrupt(message)
            case "55P03":
                self = .unavailable(
                    "another transaction keeps a row locked, perhaps one whose commit waits for a standby: \(message)")
            default: self = .unavailable("PostgreSQL says: \(message) (SQLSTATE \(state))")
            }
        default: self = .unavailable("\(error)")
        }
    }
}
