import GRDB
import RelayCore

/// The ids of one page of the list of keys, newest first.
///
/// They are found in an index that has the list's order and all columns of the conditions, so the time does not grow
/// with the number of keys. A search for text goes through the index until the page is full.
struct KeySearch {
    let sql: String
    let arguments: StatementArguments

    init(_ filter: KeyFilter) {
        var conditions = ["1"]
        var arguments: StatementArguments = ["limit": max(filter.limit, 0)]
        if !filter.includesRevoked { conditions.append("revoked_at IS NULL") }
        if let environment = filter.environment {
            conditions.append("environment = :environment")
            arguments += ["environment": environment.rawValue]
        }
        if let text = filter.text {
            // Not LIKE, in which some characters have a special meaning.
            conditions.append("(instr(lower(name), lower(:text)) > 0 OR instr(lower(id), lower(:text)) = 1)")
            arguments += ["text": text]
        }
        if let after = filter.after {
            conditions.append("(created_at, id) < (:createdAt, :id)")
            arguments += ["createdAt": after.createdAt.milliseconds, "id": after.id.text]
        }
        // INDEXED BY: if the index could not be used, this would be an error and not a long wait.
        sql = """
            SELECT id FROM key INDEXED BY key_by_age WHERE \(conditions.joined(separator: " AND "))
            ORDER BY created_at DESC, id DESC LIMIT :limit
            """
        self.arguments = arguments
    }

    /// The usage of the key ?1 on each day, in the ?3 days that end with the day ?2.
    static let use = """
        SELECT day, emails, deliveries, bounces, hard_bounces, complaints FROM usage
        WHERE key = ?1 AND day > ?2 - ?3 AND day <= ?2
            AND (emails > 0 OR deliveries > 0 OR bounces > 0 OR hard_bounces > 0 OR complaints > 0)
        ORDER BY day
        """
}
