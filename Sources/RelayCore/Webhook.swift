/// The id of a webhook: `wh_` and 20 characters.
public typealias WebhookID = ResourceID<Webhook>

extension Webhook: IdentifiedResource {
    public static let idPrefix = "wh_"
}

/// What a webhook may hear of. The raw values are the names in the API: the vendor's where it has one.
public enum WebhookEvent: String, CaseIterable, Sendable, Hashable {
    case delivery, bounce, complaint, sent, delay, reject, failed, suppressed

    /// The event that hears of this kind; nil where none does.
    public init?(_ kind: EventKind) {
        switch kind {
        case .delivered: self = .delivery
        case .bounced: self = .bounce
        case .complained: self = .complaint
        case .sent: self = .sent
        case .delayed: self = .delay
        case .rejected: self = .reject
        case .failed: self = .failed
        case .suppressed: self = .suppressed
        case .queued, .scheduled, .cancelled: return nil
        }
    }
}

/// What a webhook's requests are signed with. Has no textual description, so that it gets into no log by accident.
public struct WebhookSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// 24 octets where it is made here (Standard Webhooks: 24 to 64).
    public let octets: [UInt8]

    public init(octets: [UInt8]) { self.octets = octets }

    public init(using generator: inout some RandomNumberGenerator) {
        octets = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    public var description: String { "WebhookSecret(withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A place that hears of events by HTTP.
public struct Webhook: Hashable, Sendable {
    public var id: WebhookID
    /// The key that made it. It hears of this key's messages; of all in the key's environment where ``Key/webhooksForAll`` says so.
    public var key: KeyID
    /// `https`, or `http` where `webhooks.private_networks` allows it.
    public var url: String
    /// Empty: all (`*`).
    public var events: Set<WebhookEvent>
    /// A message must have one of them; empty: any message.
    public var tags: [String]
    public var isEnabled: Bool
    /// Why it was disabled by the relay; nil where a person did it, or nobody.
    public var disabledBecause: String?
    public var createdAt: Timestamp
    public var secret: WebhookSecret
    /// The secret before the last rotation, and until when it still signs.
    public var previousSecret: WebhookSecret?
    public var previousSecretUntil: Timestamp?
    /// Since when no request has succeeded, with at least one that failed; nil while it works.
    public var failingSince: Timestamp?

    public init(
        id: WebhookID, key: KeyID, url: String, events: Set<WebhookEvent> = [], tags: [String] = [],
        isEnabled: Bool = true,
        disabledBecause: String? = nil, createdAt: Timestamp, secret: WebhookSecret,
        previousSecret: WebhookSecret? = nil,
        previousSecretUntil: Timestamp? = nil, failingSince: Timestamp? = nil
    ) {
        self.id = id
        self.key = key
        self.url = url
        self.events = events
        self.tags = tags
        self.isEnabled = isEnabled
        self.disabledBecause = disabledBecause
        self.createdAt = createdAt
        self.secret = secret
        self.previousSecret = previousSecret
        self.previousSecretUntil = previousSecretUntil
        self.failingSince = failingSince
    }

    /// Whether it is to hear of an event of a message with these tags.
    public func wants(_ event: WebhookEvent, tags messageTags: [String]) -> Bool {
        isEnabled && (events.isEmpty || events.contains(event))
            && (tags.isEmpty || tags.contains { tag in messageTags.contains { $0.utf8.elementsEqual(tag.utf8) } })
    }

    /// Webhooks of one key at most.
    public static let mostOfKey = 20
    /// How long the secret before a rotation still signs.
    public static let rotationGrace = Duration.seconds(86_400)
    /// How long a call is tried, and a webhook may fail before it is disabled.
    public static let patience = Duration.seconds(86_400)
    /// Octets of a URL at most.
    public static let longestURL = 2048
}

/// One event on its way to one webhook: the same octets at each try.
public struct WebhookCall: Sendable, Hashable {
    /// Within the store.
    public var id: Int64
    public var webhook: WebhookID
    /// `evt_…`: the same for all webhooks that hear of an event, and at each try.
    public var event: String
    public var type: String
    /// JSON in UTF-8.
    public var body: [UInt8]
    public var createdAt: Timestamp
    /// Tries before this one.
    public var attempts: Int

    public init(
        id: Int64, webhook: WebhookID, event: String, type: String, body: [UInt8], createdAt: Timestamp, attempts: Int
    ) {
        self.id = id
        self.webhook = webhook
        self.event = event
        self.type = type
        self.body = body
        self.createdAt = createdAt
        self.attempts = attempts
    }
}

/// How one try of a call ended.
public struct WebhookAttempt: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case delivered
        /// Tried again at that time.
        case retry(at: Timestamp)
        /// Given up: it has been tried for ``Webhook/patience``.
        case failed
        /// The receiver says that it is gone (410): the webhook is disabled. What waits for it is given up after a day.
        case gone
    }

    public var call: Int64
    public var webhook: WebhookID
    public var verdict: Verdict
    public var startedAt: Timestamp
    public var finishedAt: Timestamp
    /// The status that was answered; nil where there was no answer.
    public var status: Int?
    /// The beginning of what was answered, or why there was no answer; at most ``longestResponse`` octets of UTF-8.
    public var response: String?

    /// Octets of an answer that are kept.
    public static let longestResponse = 1024

    public init(
        call: Int64, webhook: WebhookID, verdict: Verdict, startedAt: Timestamp, finishedAt: Timestamp,
        status: Int? = nil,
        response: String? = nil
    ) {
        self.call = call
        self.webhook = webhook
        self.verdict = verdict
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.status = status
        self.response = response
    }
}

/// A call as it is listed.
public struct WebhookCallRecord: Sendable, Hashable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case waiting, delivered, failed
    }

    public var call: WebhookCall
    public var state: State
    /// Only while it waits.
    public var nextAttemptAt: Timestamp?
    /// Of the last try; nil: not tried yet.
    public var lastAttemptAt: Timestamp?
    public var lastDuration: Duration?
    public var lastStatus: Int?
    public var lastResponse: String?

    public init(
        call: WebhookCall, state: State, nextAttemptAt: Timestamp?, lastAttemptAt: Timestamp?, lastDuration: Duration?,
        lastStatus: Int?, lastResponse: String?
    ) {
        self.call = call
        self.state = state
        self.nextAttemptAt = nextAttemptAt
        self.lastAttemptAt = lastAttemptAt
        self.lastDuration = lastDuration
        self.lastStatus = lastStatus
        self.lastResponse = lastResponse
    }
}

/// How a webhook has done.
public struct WebhookStatistics: Sendable, Hashable {
    /// Calls that ended or were tried within the last 24 hours and 7 days, and those of them that were delivered.
    public var calls24Hours = 0
    public var delivered24Hours = 0
    public var calls7Days = 0
    public var delivered7Days = 0
    /// Of those delivered within 24 hours, on average; nil where there was none.
    public var latency: Duration?
    public var waiting = 0
    public var lastSuccess: WebhookCallRecord?
    public var lastFailure: WebhookCallRecord?

    public init() {}
}

/// Webhooks and the calls that they wait for. Calls are queued in the transaction that records their event.
public protocol WebhookStore: Sendable {
    /// Returns false, and adds nothing, where the key has ``Webhook/mostOfKey`` already.
    func insert(_ webhook: Webhook) async throws -> Bool
    /// By creation; nil: of all keys.
    func webhooks(of key: KeyID?) async throws -> [Webhook]
    func webhook(_ id: WebhookID) async throws -> Webhook?
    /// Changes it as it is at that moment; returns it as it is then, nil where there is none. One that is enabled again is no longer
    /// failing.
    func update(_ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void) async throws -> Webhook?
    /// With all its calls. Returns false where there was none.
    func deleteWebhook(_ id: WebhookID) async throws -> Bool
    func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics
    /// Newest first; those below the id `before`.
    func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord]
    /// Queues a call that no message led to (a test event). Returns its id.
    func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64

    /// Takes calls that are due, at most `room` of each webhook that it names and of any other as many as `otherwise`; and at most
    /// `limit` in all. A webhook that fails gets one call at most, and all that fail get `ofFailing` together; the one whose call
    /// has been due longest comes first. What is taken is due again at `leaseUntil` unless it is settled before. Not for webhooks that are disabled or
    /// whose key was revoked.
    func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)]
    /// To be called once when calls begin to be made: while nobody made any, no webhook has failed. From then on the time counts
    /// after which one that fails is disabled.
    func beginCalling(now: Timestamp) async throws
    /// Records tries in one transaction. Returns the webhooks that it disabled: those that are gone, and those that have failed for
    /// ``Webhook/patience``.
    func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook]
    /// When the next call falls due; nil where none waits.
    func nextCall() async throws -> Timestamp?
    /// How many calls wait, and webhooks that the relay has disabled.
    func webhookBacklog() async throws -> (waiting: Int, disabled: Int)
    /// Removes what is kept no longer: calls that ended ``keptCalls`` ago, and those given up with their webhook. A bounded number;
    /// returns whether more is left.
    func pruneCalls(now: Timestamp) async throws -> Bool
}

/// How long a call is kept on record after it was made.
public let keptCalls = Duration.seconds(7 * 86_400)

extension Webhook {
    /// What follows for the webhook from a try.
    public mutating func tried(_ attempt: WebhookAttempt) {
        switch attempt.verdict {
        case .delivered: failingSince = nil
        case .gone: disable("The receiver answered 410 Gone.")
        case .retry, .failed:
            let since = failingSince ?? attempt.startedAt
            failingSince = since
            if attempt.finishedAt - since >= Webhook.patience {
                disable("Every request has failed for 24 hours.")
            }
        }
    }

    private mutating func disable(_ reason: String) {
        guard isEnabled else { return }
        isEnabled = false
        disabledBecause = reason
    }

    /// To be called after a person's change: one that is enabled again begins as if it had never failed.
    public mutating func enabledAgain(after wasEnabled: Bool) {
        guard isEnabled, !wasEnabled else { return }
        disabledBecause = nil
        failingSince = nil
    }

    /// A person's wish. What the relay disabled it for is forgotten either way.
    public mutating func setEnabled(_ isWanted: Bool) {
        let wasEnabled = isEnabled
        isEnabled = isWanted
        if !isWanted { disabledBecause = nil }
        enabledAgain(after: wasEnabled)
    }
}

/// Why a webhook gets no test event.
public enum WebhookTestRefusal: Error, Hashable, Sendable {
    case disabled
    /// So many events wait for it that a test event behind them would say nothing.
    case busy
}

extension WebhookStore {
    /// Queues a test event for a webhook. Returns the event's id and type, or why there is none.
    public func queueTest(of webhook: Webhook, now: Timestamp) async throws -> Result<
        (id: String, type: String), WebhookTestRefusal
    > {
        guard webhook.isEnabled else { return .failure(.disabled) }
        guard try await statistics(of: webhook.id, now: now).waiting < Webhook.mostWaitingForTest else {
            return .failure(.busy)
        }
        let event = WebhookPayload.test(webhook: webhook.id, at: now, nonce: UInt64.random(in: .min ... .max))
        _ = try await insert(
            WebhookCall(
                id: 0, webhook: webhook.id, event: event.id, type: event.type, body: event.body, createdAt: now,
                attempts: 0),
            now: now)
        return .success((event.id, event.type))
    }
}

extension Webhook {
    fileprivate static let mostWaitingForTest = 1000
}
