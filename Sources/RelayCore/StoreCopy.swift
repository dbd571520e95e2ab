/// A value of a store's row on its way into another store.
public enum CopiedValue: Hashable, Sendable {
    case null
    /// Numbers, times in milliseconds since 1970, and yes or no as 1 or 0.
    case integer(Int64)
    case real(Double)
    case text(String)
    case octets([UInt8])
}

/// What a store keeps of one kind, in terms that all stores share. Each knows how its own tables hold it.
///
/// What is not among them is not copied: sessions of operators, which end within hours; what relays do at the moment; and what a store makes
/// again from the rest, such as the index of words.
public enum CopiedTable: String, CaseIterable, Sendable {
    /// First: by what it holds a copy is known as one of the same store.
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

    public struct Column: Sendable, Hashable, ExpressibleByStringLiteral {
        public enum Kind: Sendable {
            case integer, flag, real, text, octets
        }

        public var name: String
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

    /// How many of ``columns``, from the first on, tell a row from all others.
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

    /// Rows in memory at most: those of some tables are large.
    var largestBatch: Int { self == .templateVersion ? 10 : .max }

    /// In the order of a row's values. A name by itself is that of a number.
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
            // Without who has it: no relay is at work, so what is under way is taken up again by the next one.
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

/// A store that can be copied into another one, and be the other one.
public protocol CopyableStore: Sendable {
    // MARK: The store that is copied

    /// From now on nobody changes the store, until it is closed: neither a relay nor a command.
    ///
    /// - Throws: ``StoreError/unavailable(_:)``: a relay is at work on it, or it is itself an unfinished copy.
    func holdForCopy() async throws
    /// Throws where the hold is lost, so that what was read since ``holdForCopy()`` may not belong together.
    func checkHold() async throws
    /// How many rows a table has.
    func count(of table: CopiedTable) async throws -> Int
    /// Rows behind the one with this key, in the order of their keys, at most `limit`. Both stores know the same order.
    func rows(of table: CopiedTable, after key: [CopiedValue]?, limit: Int) async throws -> [[CopiedValue]]
    /// Messages behind this one whose bytes are kept, in order, at most `limit`.
    func messagesWithBody(after message: MessageID?, limit: Int) async throws -> [MessageID]
    func body(of message: MessageID) async throws -> any StoredBody

    // MARK: The store that is copied to

    /// From now on the store is an unfinished copy, with which no relay starts, and it is this copy's: another that is under way writes no
    /// more.
    ///
    /// - Throws: ``StoreError/unavailable(_:)``: a relay is at work on it, or it holds anything but an unfinished copy of the store with
    ///   this key.
    func beginCopy(of repeatKey: [CopiedValue]) async throws
    /// Puts rows in the place of all that lie behind the key `after`, up to the key `last` and with it. Nil: from the first row, to the last.
    func replace(
        _ rows: [[CopiedValue]], of table: CopiedTable, after key: [CopiedValue]?, through last: [CopiedValue]?
    ) async throws
    /// Those whose bytes are there as a whole.
    func completeBodies(among messages: [MessageID]) async throws -> Set<MessageID>
    /// Adds the bytes of messages. What is there already is replaced.
    func insert(_ bodies: [(message: MessageID, body: any StoredBody)]) async throws
    /// Removes the bytes of all messages behind `after`, up to `last` and with it, but for those of `kept`.
    func removeBodies(after message: MessageID?, through last: MessageID?, but kept: [MessageID]) async throws
    /// The copy is complete: a relay may start.
    func finishCopy() async throws

    /// Ends the hold, too. Blocks.
    func close() throws
}

/// Copies a store into another, a batch at a time.
///
/// A copy that was broken off is begun again from the start. What is there already is compared with the source and kept where it is the same.
/// So it does not matter how far the earlier copy came, nor what a relay has done to the source since.
public struct StoreCopy: Sendable {
    private let source: any CopyableStore
    private let target: any CopyableStore
    private let batch: Int

    /// Octets of bodies in memory at most, but for the last that is added.
    static let bodyOctets = 4 << 20
    /// Messages whose bodies are looked for at a time.
    static let bodyBatch = 100

    /// - Parameter batch: rows in one transaction; at least 1.
    public init(from source: any CopyableStore, to target: any CopyableStore, batch: Int = 1000) {
        self.source = source
        self.target = target
        self.batch = max(batch, 1)
    }

    /// How far a copy is.
    public struct Progress: Sendable {
        /// Nil: bodies of messages.
        public var table: CopiedTable?
        public var done: Int
        /// Nil: not known.
        public var all: Int?
    }

    /// What a copy did.
    public struct Result: Sendable, Hashable {
        /// Rows of the source, by table.
        public var rows: [CopiedTable: Int] = [:]
        /// Rows that an earlier copy had brought already.
        public var rowsKept = 0
        /// Messages whose bytes the source has.
        public var bodies = 0
        /// Bodies that an earlier copy had brought already.
        public var bodiesKept = 0
    }

    /// Copies from a store that is held (``CopyableStore/holdForCopy()``).
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
        // Whether the target may hold rows behind the key.
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
