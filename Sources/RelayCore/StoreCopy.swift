/// A value of a row that is copied from one store to another.
public enum CopiedValue: Hashable, Sendable {
    case null
    /// A whole number, a time in milliseconds since 1970, or a boolean as 1 or 0.
    case integer(Int64)
    case real(Double)
    case text(String)
    case octets([UInt8])
}

/// The kinds of data in a store, in terms that all stores share. Each store knows how its own tables hold them.
///
/// Data that is not listed here is not copied: operators' sessions, which end within hours; the momentary state of
/// relays; and data that a store derives from the rest, such as the index of words.
public enum CopiedTable: String, CaseIterable, Sendable {
    /// The first table. Its content identifies the store: an unfinished copy of a store has the same content.
    case repeatKey = "repeat_key"
    case key, usage
    case feedbackByDay = "feedback_by_day"
    case message, tag, delivery, attempt
    case repeated = "repeat"
    case event
    case waitingEvent = "waiting_event"
    case suppression, undelivered, webhook
    case webhookCall = "webhook_call"
    case template
    case templateVersion = "template_version"
    case statistic
    case simulatedDomain = "simulated_domain"

    /// A column of a table.
    public struct Column: Sendable, Hashable, ExpressibleByStringLiteral {
        /// The type of a column's values.
        public enum Kind: Sendable {
            case integer, flag, real, text, octets
        }

        /// The name of the column. All stores use the same name.
        public var name: String
        /// The type of the column's values, apart from null.
        public var kind: Kind

        public init(stringLiteral name: String) { self.init(name, .integer) }

        private init(_ name: String, _ kind: Kind) {
            self.name = name
            self.kind = kind
        }

        fileprivate static func flag(_ name: String) -> Column { Column(name, .flag) }
        fileprivate static func real(_ name: String) -> Column { Column(name, .real) }
        fileprivate static func text(_ name: String) -> Column { Column(name, .text) }
        fileprivate static func octets(_ name: String) -> Column { Column(name, .octets) }
    }

    /// How many of the first ``columns`` form the key, which identifies a row.
    public var keyLength: Int {
        switch self {
        case .repeatKey, .key, .message, .delivery, .repeated, .waitingEvent, .webhook, .webhookCall, .template,
            .simulatedDomain:
            1
        case .usage, .feedbackByDay, .attempt, .suppression, .undelivered, .templateVersion: 2
        case .tag: 3
        case .event, .statistic: 4
        }
    }

    /// The most rows that are read from the source at a time: few for a table with large rows, otherwise no limit.
    var largestBatch: Int { self == .templateVersion ? 10 : .max }

    /// The columns in the order of a row's values. A column that is written as a name alone has whole numbers.
    public var columns: [Column] {
        switch self {
        case .repeatKey: [.octets("bytes"), "former_until"]
        case .key:
            [
                .text("id"), .text("name"), .text("environment"), .text("scopes"), .real("per_second"), "burst",
                "per_day", .text("domains"), .text("networks"),
                .flag("detects_repeats"), "created_at", "expires_at", "revoked_at", .flag("webhooks_for_all"),
                .octets("digest"),
                .octets("previous_digest"), "previous_until", "last_used_at", "rate_limit_hits", "auth_failures",
            ]
        case .usage:
            [
                .text("key"), "day", "emails", "messages", "last_at", "deliveries", "bounces", "hard_bounces",
                "complaints",
            ]
        case .feedbackByDay: [.text("environment"), "day", "deliveries", "bounces", "hard_bounces", "complaints"]
        case .message:
            [
                "id", .text("key"), .text("lane"), .octets("client"), .text("reverse_path"), .text("subject"), "size",
                "accepted_at", .text("tags"), .flag("automatic"), .text("template"),
            ]
        case .tag: [.text("key"), .text("tag"), "message"]
        case .delivery:
            // The holder is not copied: no relay is running, so the next relay that starts takes over deliveries that
            // were being sent.
            [
                "id", "message", .text("key"), .text("lane"), .text("recipients"), .text("state"), "attempts", "pauses",
                "next_attempt_at",
                "queued_since", "scheduled_at", "claimed_at", .text("on_return"), .text("ses_message_id"),
                .text("reason"),
                .flag("maybe_duplicate"), "suppressed", "ended_at", .flag("counted"),
            ]
        case .attempt: ["delivery", "number", "started_at", "finished_at", .text("outcome"), .text("reason")]
        case .repeated: [.octets("fingerprint"), "message", .octets("content"), "accepted_at"]
        case .event:
            [
                "message", .text("recipient"), .text("kind"), "at", .text("bounce_type"), .text("subtype"),
                .text("diagnostic"), .text("server"), .text("feedback_id"),
            ]
        case .waitingEvent:
            [
                "id", .text("ses_message_id"), "received_at", .text("recipient"), .text("kind"), "at",
                .text("bounce_type"), .text("subtype"),
                .text("diagnostic"), .text("server"), .text("feedback_id"),
            ]
        case .suppression:
            [
                .text("environment"), .text("match_key"), .text("address"), .text("reason"), "created_at", "message",
                .text("note"),
            ]
        case .undelivered:
            ["message", .text("recipient"), .text("kind"), "at", "since", .text("reason"), .text("diagnostic")]
        case .webhook:
            [
                .text("id"), .text("key"), .text("url"), .text("events"), .text("tags"), .flag("enabled"),
                .text("disabled_because"), "created_at", .octets("secret"),
                .octets("previous_secret"), "previous_secret_until", "failing_since",
            ]
        case .webhookCall:
            [
                "id", .text("webhook"), .text("event"), .text("type"), .octets("body"), "created_at", .text("state"),
                "attempts", "next_attempt_at",
                "last_attempt_at", "last_duration", "last_status", .text("last_response"),
            ]
        case .template:
            [
                .text("id"), .text("owner"), .text("name"), .text("name_key"), "version", "created_at", "updated_at",
            ]
        case .templateVersion:
            [
                .text("template"), "version", "created_at", .text("created_by"), .octets("subject"),
                .octets("variables"), .text("sender"), .text("reply_to"), .octets("html"), .octets("text"),
            ]
        case .statistic:
            [
                .text("key"), .text("kind"), "day", .text("name"), "sent", "delivered", "bounced", "complained",
            ]
        case .simulatedDomain:
            [.text("name"), "created_at", .text("created_by"), .octets("token_seed"), "verified_at"]
        }
    }
}

/// A store that can be copied into another one, and that another one can be copied into.
public protocol CopyableStore: Sendable {
    // MARK: The store that is copied

    /// From now until the store is closed, no other process can change it, neither a relay nor a command.
    ///
    /// - Throws: ``StoreError/unavailable(_:)`` if a relay is using it, or if it is itself an unfinished copy.
    func holdForCopy() async throws
    /// Throws if the hold was lost. Rows that were read since ``holdForCopy()`` may then not belong together.
    func checkHold() async throws
    /// The number of rows of a table.
    func count(of table: CopiedTable) async throws -> Int
    /// At most `limit` rows after the one with this key, in the order of their keys; nil: from the first row. Both
    /// stores use the same order.
    func rows(of table: CopiedTable, after key: [CopiedValue]?, limit: Int) async throws -> [[CopiedValue]]
    /// At most `limit` messages after this one whose bytes are kept, in the order of their ids; nil: from the first
    /// message.
    func messagesWithBody(after message: MessageID?, limit: Int) async throws -> [MessageID]
    /// The body of a message.
    func body(of message: MessageID) async throws -> any StoredBody

    // MARK: The store that is copied to

    /// From now on the store is an unfinished copy, on which no relay starts. If another copy to this store is in
    /// progress, either that copy can no longer write, or this function throws.
    ///
    /// - Throws: ``StoreError/unavailable(_:)`` if a relay is using the store, or if it contains anything other than an
    ///   unfinished copy of the store with this `repeatKey`.
    func beginCopy(of repeatKey: [CopiedValue]) async throws
    /// Replaces all rows after the key `after`, up to and including the key `last`. If `after` is nil, from the first
    /// row; if `last` is nil, to the last row.
    func replace(
        _ rows: [[CopiedValue]], of table: CopiedTable, after key: [CopiedValue]?, through last: [CopiedValue]?
    ) async throws
    /// The messages whose bytes are complete in this store.
    func completeBodies(among messages: [MessageID]) async throws -> Set<MessageID>
    /// Adds the bytes of messages. Replaces bytes that exist already.
    func insert(_ bodies: [(message: MessageID, body: any StoredBody)]) async throws
    /// Deletes the bytes of all messages after `after`, up to and including `last`, except those of `kept`. If `after`
    /// is nil, from the first message; if `last` is nil, to the last message.
    func removeBodies(after message: MessageID?, through last: MessageID?, but kept: [MessageID]) async throws
    /// The copy is complete: from now on a relay may start on it.
    func finishCopy() async throws

    /// Closes the store, which also ends the hold. Blocks until the store is closed.
    func close() throws
}

/// Copies a store into another one, one batch at a time.
///
/// A copy that was interrupted starts again from the beginning. Rows that exist already are compared with the source,
/// and kept if they are equal. So it does not matter how far the earlier copy got, nor what a relay has changed in the
/// source since.
public struct StoreCopy: Sendable {
    private let source: any CopyableStore
    private let target: any CopyableStore
    private let batch: Int

    /// The most octets of bodies in memory, not counting the last body that is added.
    static let bodyOctets = 4 << 20
    /// How many messages with bodies are looked up at a time.
    static let bodyBatch = 100

    /// - Parameter batch: the most rows in one transaction; at least 1.
    public init(from source: any CopyableStore, to target: any CopyableStore, batch: Int = 1000) {
        self.source = source
        self.target = target
        self.batch = max(batch, 1)
    }

    /// The progress of a copy.
    public struct Progress: Sendable {
        /// The table that is being copied; nil while bodies are copied.
        public var table: CopiedTable?
        /// How many of the table's rows, or how many bodies, have been copied or were there already.
        public var done: Int
        /// The number of the table's rows; nil while bodies are copied, because their number is not known.
        public var all: Int?
    }

    /// The result of a copy.
    public struct Result: Sendable, Hashable {
        /// The rows of the source, by table.
        public var rows: [CopiedTable: Int] = [:]
        /// The rows that an earlier copy had already copied.
        public var rowsKept = 0
        /// The messages whose bytes the source has.
        public var bodies = 0
        /// The bodies that an earlier copy had already copied.
        public var bodiesKept = 0
    }

    /// Copies the source into the target. Call ``CopyableStore/holdForCopy()`` on the source before.
    ///
    /// - Throws: ``StoreError``.
    public func run(_ report: @Sendable (Progress) -> Void = { _ in }) async throws -> Result {
        try await source.checkHold()
        guard let repeatKey = try await source.rows(of: .repeatKey, after: nil, limit: 1).first else {
            throw StoreError.unavailable("the store to copy from is not a relay's")
        }
        try await target.beginCopy(of: repeatKey)
        var result = Result()
        for table in CopiedTable.allCases where table != .repeatKey { try await copy(table, &result, report) }
        try await copyBodies(&result, report)
        try await source.checkHold()
        try await target.finishCopy()
        return result
    }

    private func copy(
        _ table: CopiedTable, _ result: inout Result, _ report: @Sendable (Progress) -> Void
    ) async throws {
        let all = try await source.count(of: table)
        let batch = min(batch, table.largestBatch)
        var key: [CopiedValue]?
        // Whether it is possible that the target has rows after the key.
        var mayHold = true
        var done = 0
        while true {
            let rows = try await source.rows(of: table, after: key, limit: batch)
            let isLast = rows.count < batch
            let last = isLast ? nil : rows.last.map { Array($0.prefix(table.keyLength)) }
            var isThere = false
            if mayHold {
                let found = try await target.rows(of: table, after: key, limit: rows.count + 1)
                mayHold = !found.isEmpty
                isThere = isLast ? found == rows : Array(found.prefix(rows.count)) == rows
            }
            if isThere {
                result.rowsKept += rows.count
            } else if mayHold || !rows.isEmpty {
                try await source.checkHold()
                try await target.replace(rows, of: table, after: key, through: last)
            }
            done += rows.count
            report(Progress(table: table, done: done, all: max(all, done)))
            guard let last else { break }
            key = last
        }
        result.rows[table] = done
    }

    private func copyBodies(_ result: inout Result, _ report: @Sendable (Progress) -> Void) async throws {
        var before: MessageID?
        while true {
            let messages = try await source.messagesWithBody(after: before, limit: StoreCopy.bodyBatch)
            let last = messages.count < StoreCopy.bodyBatch ? nil : messages.last
            try await source.checkHold()
            try await target.removeBodies(after: before, through: last, but: messages)
            let there = try await target.completeBodies(among: messages)
            result.bodiesKept += there.count
            var bodies: [(message: MessageID, body: any StoredBody)] = []
            var octets = 0
            for message in messages where !there.contains(message) {
                let body = try await body(of: message)
                bodies.append((message, body))
                octets += body.size
                guard octets >= StoreCopy.bodyOctets else { continue }
                try await target.insert(bodies)
                (bodies, octets) = ([], 0)
            }
            if !bodies.isEmpty { try await target.insert(bodies) }
            result.bodies += messages.count
            report(Progress(table: nil, done: result.bodies, all: nil))
            guard let last else { return }
            before = last
        }
    }

    private func body(of message: MessageID) async throws -> any StoredBody {
        do {
            return try await source.body(of: message)
        } catch {
            throw StoreError.unavailable("the bytes of message \(message) can't be read: \(error)")
        }
    }
}
