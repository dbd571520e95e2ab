/// An error of a store. The descriptions are for the operator and say what to do.
public enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The disk is full. The store works again when there is space.
    case full
    /// The store can't be written or read at the moment (locked by another process, read-only, I/O error).
    case unavailable(String)
    /// The store's file is damaged.
    case corrupt(String)
    /// The store was written by a newer version of the relay.
    case newerSchema(found: Int, known: Int)
    /// The store was written by an older version of the relay, and a relay of that version is using it.
    case olderSchemaInUse(found: Int, known: Int)
    case noSuchKey(KeyID)
    case noSuchMessage(MessageID)
    /// The message exists, but its bytes are no longer kept.
    case bodyGone(MessageID)
    /// A connection was lost while the transaction was being committed, and it could not be determined in time whether
    /// the transaction was committed.
    case inDoubt
    /// This relay's number on the store has expired, and another relay may have it. Decisions under that number are
    /// invalid.
    case instanceLost

    public var description: String {
        switch self {
        case .full: "the disk that holds the database is full; free some space; the relay recovers by itself"
        case .unavailable(let why): "the database is unavailable: \(why)"
        case .corrupt(let why):
            "the database is damaged (\(why)); stop the relay, keep a copy of the file, and restore a backup or use sqlite3's .recover"
        case .newerSchema(let found, let known):
            "the database has schema version \(found), this relay supports up to \(known); install the newer relay again"
        case .olderSchemaInUse(let found, let known):
            "the database has schema version \(found), and an older relay is using it; stop or restart that relay; the database is then migrated to version \(known)"
        case .noSuchKey(let id): "no key has the id \(id); 'hiveku-relay keys list --all' lists all keys"
        case .noSuchMessage(let id): "no message has the id \(id)"
        case .bodyGone(let id):
            "the content of message \(id) is no longer kept: the relay removes it once the message is sent or suppressed, otherwise when the retention settings say so"
        case .inDoubt:
            "the connection to the database was lost during a commit, and the relay could not determine in time whether the commit succeeded; messages that are sent again are recognised"
        case .instanceLost:
            "this relay has not reached the database for too long, and another relay may have its number; the relay takes a new number by itself"
        }
    }
}
