import RelayCore
import Synchronization

/// Reads the table `body`: a message's octets in parts.
enum BodyPart {
    /// The size of each part except the last, in octets: 128 KiB.
    static let size = 128 << 10

    static func first(of message: MessageID, in connection: Connection) throws -> [UInt8]? {
        try part(0, of: message, in: connection)
    }

    static func part(_ number: Int, of message: MessageID, in connection: Connection) throws -> [UInt8]? {
        try connection.first(
            "SELECT bytes FROM body WHERE message = $1 AND part = $2", [message.rawValue, number]
        ) { $0.bytes(0) } ?? nil
    }
}

extension PostgreSQLStore {
    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile { StagedBody(self, id) }

    public func discard(_ body: SpooledBody) async {
        guard let id = MessageID(body.name) else { return }
        // Parts that remain are deleted after this relay has ended.
        try? await removeStaged(id)
    }

    fileprivate func removeStaged(_ id: MessageID) async throws {
        try await bodies.run { connection in
            try connection.transaction(isDurable: false) {
                // Only parts that are still staged are deleted: if the acceptance was in doubt, the message may have
                // been accepted.
                try connection.queue(
                    """
                    DELETE FROM body WHERE message = $1 AND EXISTS (SELECT 1 FROM staged_body WHERE message = $1)
                        AND NOT EXISTS (SELECT 1 FROM message WHERE id = $1)
                    """, [id.rawValue])
                try connection.queue("DELETE FROM staged_body WHERE message = $1", [id.rawValue])
            }
        }
    }

    public func body(of message: MessageID) async throws -> any StoredBody {
        enum Place: Sendable {
            case unknown, gone, whole([UInt8])
            case parts(first: [UInt8], size: Int)
        }
        let place = try await look(on: bodies) { connection -> Place in
            let found = try connection.first(
                """
                SELECT size, (SELECT bytes FROM body WHERE message = message.id AND part = 0)
                FROM message WHERE id = $1
                """, [message.rawValue]
            ) { (size: Int($0.integer(0) ?? 0), bytes: $0.bytes(1)) }
            guard let found else { return .unknown }
            guard let bytes = found.bytes else { return .gone }
            return bytes.count >= found.size ? .whole(bytes) : .parts(first: bytes, size: found.size)
        }
        switch place {
        case .unknown: throw StoreError.noSuchMessage(message)
        case .gone: throw StoreError.bodyGone(message)
        case .whole(let bytes): return MemoryBody(bytes: bytes)
        case .parts(let first, let size): return PartsBody(self, message, size: size, first: first)
        }
    }
}

/// A large body that is being written to the table `body`, before the acceptance that refers to it.
///
/// Parts are written without waiting for the disk: the acceptance's COMMIT comes later in the same log, and waits for
/// everything before it. Its functions are called one after the other.
private final class StagedBody: SpoolFile {
    private let store: PostgreSQLStore
    private let id: MessageID
    private let state = Mutex(State())

    private struct State {
        /// Octets that are not written yet; they are fewer than a part has.
        var rest: [UInt8] = []
        var parts = 0
        var size = 0
    }

    init(_ store: PostgreSQLStore, _ id: MessageID) {
        self.store = store
        self.id = id
    }

    func append(_ bytes: [UInt8]) async throws {
        let (parts, first) = state.withLock { state in
            state.rest += bytes
            state.size += bytes.count
            var parts: [[UInt8]] = []
            var start = 0
            while state.rest.count - start >= BodyPart.size {
                parts.append(Array(state.rest[start..<start + BodyPart.size]))
                start += BodyPart.size
            }
            state.rest.removeFirst(start)
            defer { state.parts += parts.count }
            return (parts, state.parts)
        }
        try await write(parts, from: first)
    }

    private func write(_ parts: [[UInt8]], from first: Int) async throws {
        guard !parts.isEmpty else { return }
        guard let place = store.membership?.place else { throw StoreError.instanceLost }
        let id = id.rawValue
        try await store.bodies.run { connection in
            try connection.transaction(isDurable: false) {
                if first == 0 {
                    try connection.queue(
                        "INSERT INTO staged_body (message, node) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                        [id, place.node])
                }
                try connection.queue(
                    """
                    INSERT INTO body (message, part, bytes) SELECT $1, part, bytes FROM unnest($2, $3) AS x (part, bytes)
                    ON CONFLICT (message, part) DO UPDATE SET bytes = excluded.bytes
                    """, [id, Array(first..<first + parts.count), parts.map { Bytes($0) }])
            }
        }
    }

    func finish() async throws -> SpooledBody {
        let (last, first, size) = state.withLock { state in
            defer { state.rest = [] }
            return (state.rest, state.parts, state.size)
        }
        // A message without any part would look like one whose bytes are gone.
        if !last.isEmpty || first == 0 { try await write([last], from: first) }
        return SpooledBody(name: id.description, size: size)
    }

    func discard() async { try? await store.removeStaged(id) }
}

/// A large body that is read one part at a time.
private final class PartsBody: StoredBody {
    private let store: PostgreSQLStore
    private let message: MessageID
    let size: Int
    /// The part that was read last.
    private let last: Mutex<(number: Int, bytes: [UInt8])>

    init(_ store: PostgreSQLStore, _ message: MessageID, size: Int, first: [UInt8]) {
        self.store = store
        self.message = message
        self.size = size
        last = Mutex((0, first))
    }

    func read(at offset: Int, count: Int) async throws -> [UInt8] {
        guard offset < size, count > 0 else { return [] }
        let number = offset / BodyPart.size
        let bytes = try await part(number)
        let start = offset - number * BodyPart.size
        guard start < bytes.count else { throw StoreError.corrupt("a part of message \(message) is too short") }
        return Array(bytes[start..<min(bytes.count, start + count)])
    }

    private func part(_ number: Int) async throws -> [UInt8] {
        if let known = last.withLock({ $0.number == number ? $0.bytes : nil }) { return known }
        let bytes = try await store.look(on: store.bodies) { [message] in
            try BodyPart.part(number, of: message, in: $0)
        }
        guard let bytes else { throw StoreError.bodyGone(message) }
        last.withLock { $0 = (number, bytes) }
        return bytes
    }
}
