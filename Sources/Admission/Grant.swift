import RelayCore
import Synchronization

/// What a client has by its authentication: the use of a key for one scope, with the secret that it showed, from where it came.
///
/// What it says of the key is at most a moment old, which is enough for the early answers at MAIL, RCPT and DATA. The answer that
/// counts, at the end of data, is given in the store's own transaction.
public struct Grant: Sendable {
    let subject: KeyInUse
    let secret: KeyDigest
    /// From where the client has authenticated.
    public let client: IPAddress
    /// What the key is used for.
    public let scope: Scope

    public var id: KeyID { subject.id }
    public var key: Key { subject.stored.key }

    /// To be decided by the store, as far as the grant is concerned.
    public func cancellation(of message: MessageID) -> Cancellation {
        Cancellation(of: message, key: id, secret: secret, scope: scope, client: client)
    }

    /// Whether it still holds: the key may have been revoked since, or changed, or given another secret.
    func refusal(at now: Timestamp) -> Refusal? { refusal(by: subject.stored, at: now) }

    /// The same, for the key as it was just read from the store.
    func refusal(by stored: StoredKey, at now: Timestamp) -> Refusal? {
        stored.refusalOfSending(for: scope, with: secret, from: client, at: now)
    }
}

/// A key as the sessions that use it see it: one object a key, kept up to date while anybody holds it.
final class KeyInUse: Sendable {
    let id: KeyID
    private let current: Mutex<StoredKey>

    init(_ stored: StoredKey) {
        id = stored.key.id
        current = Mutex(stored)
    }

    var stored: StoredKey { current.withLock { $0 } }

    func update(_ stored: StoredKey) { current.withLock { $0 = stored } }

    /// The key was found revoked or gone.
    func revoke(at now: Timestamp) {
        current.withLock { if $0.key.revokedAt == nil { $0.key.revokedAt = now } }
    }
}

/// The keys in use.
struct KeyDirectory: Sendable {
    private struct Entry: Sendable {
        weak var key: KeyInUse?
    }

    private var entries: [KeyID: Entry] = [:]
    private var additionsUntilSweep = 1024

    mutating func use(_ stored: StoredKey) -> KeyInUse {
        if let known = entries[stored.key.id]?.key {
            known.update(stored)
            return known
        }
        let key = KeyInUse(stored)
        entries[key.id] = Entry(key: key)
        additionsUntilSweep -= 1
        if additionsUntilSweep == 0 { sweep() }
        return key
    }

    var inUse: [KeyInUse] { entries.values.compactMap(\.key) }

    /// Forgets keys that no session uses any more; amortised over as many additions as there are entries.
    private mutating func sweep() {
        entries = entries.filter { $0.value.key != nil }
        additionsUntilSweep = max(1024, entries.count)
    }
}
