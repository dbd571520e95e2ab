import RelayCore
import Synchronization

/// The right to use a key for one scope. It is valid for the client's address and for the secret that the client
/// showed.
///
/// A grant's copy of the key is at most a moment old. That is enough for the early replies at MAIL, RCPT and DATA. The
/// decision that counts is made at the end of data, in the store's transaction.
public struct Grant: Sendable {
    let subject: KeyInUse
    let secret: KeyDigest
    /// The address from which the client authenticated.
    public let client: IPAddress
    /// The scope that the key is used for.
    public let scope: Scope

    /// The id of the key.
    public var id: KeyID { subject.id }
    /// The key with its rules, at most a moment old.
    public var key: Key { subject.stored.key }

    /// A request to cancel a message, with the grant's data. The store decides on the request.
    public func cancellation(of message: MessageID) -> Cancellation {
        Cancellation(of: message, key: id, secret: secret, scope: scope, client: client)
    }

    /// Why the grant is no longer valid; nil when it is valid. For example, the key was revoked, changed or given
    /// another secret after the client authenticated.
    func refusal(at now: Timestamp) -> Refusal? { refusal(by: subject.stored, at: now) }

    /// As ``refusal(at:)``, for a key that was just read from the store.
    func refusal(by stored: StoredKey, at now: Timestamp) -> Refusal? {
        stored.refusalOfSending(for: scope, with: secret, from: client, at: now)
    }
}

/// A key as its sessions see it. There is one object for each key, and it is kept up to date while a session holds it.
final class KeyInUse: Sendable {
    let id: KeyID
    private let current: Mutex<StoredKey>

    init(_ stored: StoredKey) {
        id = stored.key.id
        current = Mutex(stored)
    }

    var stored: StoredKey { current.withLock { $0 } }

    func update(_ stored: StoredKey) { current.withLock { $0 = stored } }

    /// Records that the key was found to be revoked or deleted.
    func revoke(at now: Timestamp) {
        current.withLock { if $0.key.revokedAt == nil { $0.key.revokedAt = now } }
    }
}

/// The keys that sessions use.
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

    /// Forgets keys that no session uses any more. It runs when as many keys have been added as there were entries
    /// after the last run, so its cost is spread over the additions.
    private mutating func sweep() {
        entries = entries.filter { $0.value.key != nil }
        additionsUntilSweep = max(1024, entries.count)
    }
}
