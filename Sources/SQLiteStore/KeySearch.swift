import GRDB
import RelayCore

/// The ids of a part of the list of keys, newest first.
///
/// They are found in an index that has the order of the list and all that is asked for, so a part takes no longer for more keys. A text
/// that is looked for goes through the index as far as it must.
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
            // Not LIKE, to which some characters have a meaning.
            conditions.append("(instr(lower(name), lower(:text)) > 0 OR instr(lower(id), lower(:text)) = 1)")
            arguments += ["text": text]
        }
        if let after = filter.after {
            conditions.append("(created_at, id) < (:createdAt, :id)")
            arguments += ["createdAt": after.createdAt.milliseconds, "id": after.id.text]
        }
        // INDEXED BY: where the index were of no use, this would be an error and not a long wait.
        sql = """
            SELECT id FROM key INDEXED BY key_by_age WHERE \(conditions.joined(separator: " AND "))
            ORDER BY created_at DESC, id DESC LIMIT :limit
            """
        self.arguments = arguments
    }

    /// Days of the key ?1, of the ?3 days that end with ?2.
    static let use = """
        SELECT day, emails, deliveries, bounces, hard_bounces, complaints FROM usage
        WHERE key = ?1 AND day > ?2 - ?3 AND day <= ?2
            AND (emails > 0 OR deliveries > 0 OR bounces > 0 OR hard_bounces > 0 OR complaints > 0)
        ORDER BY day
        """
}
