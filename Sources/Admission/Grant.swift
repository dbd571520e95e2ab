import RelayCore
import Synchronization

/// An authenticated key as the sessions that use it see it: one object a key, kept up to date while anybody holds it.
///
/// What it says is at most a moment old, which is enough for the early answers at MAIL, RCPT and DATA. The answer that counts,
/// at the end of data, is given in the store's own transaction.
public final class Grant: Sendable {
    public let id: KeyID
    private let current: Mutex<Key>

    init(_ key: Key) {
        id = key.id
        current = Mutex(key)
    }

    public var key: Key { current.withLock { $0 } }

    func update(_ key: Key) { current.withLock { $0 = key } }

    /// The key was found revoked or gone.
    func revoke(at now: Timestamp) {
        current.withLock { if $0.revokedAt == nil { $0.revokedAt = now } }
    }
}

/// The grants in use, by key.
struct GrantDirectory: Sendable {
    private struct Entry: Sendable {
        weak var grant: Grant?
    }

    private var entries: [KeyID: Entry] = [:]
    private var additionsUntilSweep = 1024

    mutating func grant(for key: Key) -> Grant {
        if let known = entries[key.id]?.grant {
            known.update(key)
            return known
        }
        let grant = Grant(key)
        entries[key.id] = Entry(grant: grant)
        additionsUntilSweep -= 1
        if additionsUntilSweep == 0 { sweep() }
        return grant
    }

    var inUse: [Grant] { entries.values.compactMap(\.grant) }

    /// Forgets keys that no session uses any more; amortised over as many additions as there are entries.
    private mutating func sweep() {
        entries = entries.filter { $0.value.grant != nil }
        additionsUntilSweep = max(1024, entries.count)
    }
}
