/// The id of a webhook: `wh_` and 20 characters.
public typealias WebhookID = ResourceID<Webhook>

extension Webhook: IdentifiedResource {
    public static let idPrefix = "wh_"
}

/// The events that a webhook can receive. The raw values are the names in the API; they are the vendor's names for the
/// events that the vendor has.
public enum WebhookEvent: String, CaseIterable, Sendable, Hashable {
    case delivery, bounce, complaint, sent, delay, reject, failed, suppressed

    /// The webhook event for this kind; nil if there is none.
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

/// The key that a webhook's requests are signed with. It has no textual description, so that it can't get into a log by
/// accident.
public struct WebhookSecret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// 24 octets if the relay generated it (Standard Webhooks: 24 to 64).
    public let octets: [UInt8]

    public init(octets: [UInt8]) { self.octets = octets }

    public init(using generator: inout some RandomNumberGenerator) {
        octets = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    public var description: String { "WebhookSecret(withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// An endpoint that receives events over HTTP.
public struct Webhook: Hashable, Sendable {
    public var id: WebhookID
    /// The key that created it. The webhook receives events about this key's messages, or about the messages of all
    /// keys in the environment if ``Key/webhooksForAll`` is set.
    public var key: KeyID
    /// The URL that receives the requests. Its scheme is `https`, or `http` if `webhooks.private_networks` allows it.
    public var url: String
    /// The events that the webhook receives. Empty: all (`*`).
    public var events: Set<WebhookEvent>
    /// The webhook receives only events about messages with at least one of these tags. Empty: about all messages.
    public var tags: [String]
    /// Whether the webhook receives events. The relay disables a webhook when every request to it has failed for 24
    /// hours (``timeout``), or if the endpoint is gone (410).
    public var isEnabled: Bool
    /// Why the relay disabled the webhook; nil if a person disabled it, or if it is enabled.
    public var disabledBecause: String?
    /// When the webhook was created.
    public var createdAt: Timestamp
    /// The secret that the webhook's requests are signed with.
    public var secret: WebhookSecret
    /// The secret before the last rotation. Requests are also signed with it until `previousSecretUntil`. Nil if
    /// there is none.
    public var previousSecret: WebhookSecret?
    /// Until when requests are also signed with the previous secret; nil if there is none.
    public var previousSecretUntil: Timestamp?
    /// Since when requests have failed without any success; nil while it works.
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

    /// Whether the webhook receives an event about a message with these tags.
    public func wants(_ event: WebhookEvent, tags messageTags: [String]) -> Bool {
        isEnabled && (events.isEmpty || events.contains(event))
            && (tags.isEmpty || tags.contains { tag in messageTags.contains { $0.utf8.elementsEqual(tag.utf8) } })
    }

    /// The most webhooks of one key.
    public static let mostOfKey = 20
    /// How long after a rotation requests are also signed with the old secret.
    public static let rotationGrace = Duration.seconds(86_400)
    /// How long a call is retried, and how long a webhook may fail before it is disabled.
    public static let timeout = Duration.seconds(86_400)
    /// The most octets of a URL.
    public static let longestURL = 2048
}

/// One event to be sent to one webhook, with the same octets at each attempt.
public struct WebhookCall: Sendable, Hashable {
    /// The id within the store.
    public var id: Int64
    /// The webhook that receives the event.
    public var webhook: WebhookID
    /// `evt_…`: the same for all webhooks that receive the event, and at each attempt.
    public var event: String
    /// The type of the event: a raw value of `WebhookEvent`, or `WebhookPayload.testType`.
    public var type: String
    /// JSON in UTF-8.
    public var body: [UInt8]
    /// When the call was queued.
    public var createdAt: Timestamp
    /// The number of attempts before this one.
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

/// The outcome of one attempt at a call.
public struct WebhookAttempt: Sendable, Hashable {
    /// What follows from an attempt.
    public enum Verdict: Sendable, Hashable {
        case delivered
        /// The attempt failed. The next one is due at this time.
        case retry(at: Timestamp)
        /// The call is given up: its attempts have failed for ``Webhook/timeout``.
        case failed
        /// The receiver reports that the endpoint is gone (410): the webhook is disabled. Its waiting calls are given
        /// up a day after they were queued.
        case gone
    }

    /// The id of the call (`WebhookCall.id`).
    public var call: Int64
    /// The webhook that was called.
    public var webhook: WebhookID
    /// What follows from the result of the attempt, for the call and the webhook.
    public var verdict: Verdict
    /// When the request began, by the wall clock.
    public var startedAt: Timestamp
    /// When the response was complete or the request had failed, by the wall clock.
    public var finishedAt: Timestamp
    /// The status of the response; nil if there was none.
    public var status: Int?
    /// The beginning of the response, or why there was none; at most ``longestResponse`` octets of UTF-8.
    public var response: String?

    /// The most octets of a response that are kept.
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

/// The state of a call.
public enum WebhookCallState: String, Sendable, Hashable, CaseIterable {
    case waiting, delivered, failed
}

/// A call as lists show it.
public struct WebhookCallRecord: Sendable, Hashable {
    /// The event and the webhook that receives it.
    public var call: WebhookCall
    /// Whether the call waits for an attempt, was delivered, or was given up.
    public var state: WebhookCallState
    /// When the call is attempted next; nil if it does not wait for an attempt.
    public var nextAttemptAt: Timestamp?
    /// The time of the last attempt; nil: not attempted yet.
    public var lastAttemptAt: Timestamp?
    /// How long the last attempt took; nil: not attempted yet.
    public var lastDuration: Duration?
    /// The status of the last response; nil if there was none.
    public var lastStatus: Int?
    /// The beginning of the last response, or why there was none.
    public var lastResponse: String?

    public init(
        call: WebhookCall, state: WebhookCallState, nextAttemptAt: Timestamp?, lastAttemptAt: Timestamp?,
        lastDuration: Duration?,
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

/// A webhook's statistics.
public struct WebhookStatistics: Sendable, Hashable {
    /// Calls that were created within the last 24 hours and attempted at least once.
    public var calls24Hours = 0
    /// How many of `calls24Hours` were delivered.
    public var delivered24Hours = 0
    /// The same as `calls24Hours`, for the last 7 days.
    public var calls7Days = 0
    /// How many of `calls7Days` were delivered.
    public var delivered7Days = 0
    /// The average duration of the successful attempts of the calls in `delivered24Hours`; nil if there were none.
    public var latency: Duration?
    /// How many calls wait.
    public var waiting = 0
    /// The newest call that was delivered; nil if none is kept.
    public var lastSuccess: WebhookCallRecord?
    /// The newest call that was attempted and not delivered, even if it will be retried; nil if none is kept.
    public var lastFailure: WebhookCallRecord?

    public init() {}
}

/// Webhooks and their queued calls. The transaction that records an event also queues its calls.
public protocol WebhookStore: Sendable {
    /// Adds a webhook. Returns false, and adds nothing, if the key already has ``Webhook/mostOfKey`` webhooks.
    func insert(_ webhook: Webhook) async throws -> Bool
    /// The webhooks of a key, in the order of their creation. A nil `key`: of all keys.
    func webhooks(of key: KeyID?) async throws -> [Webhook]
    /// A webhook; nil if there is none.
    func webhook(_ id: WebhookID) async throws -> Webhook?
    /// Changes a webhook, starting from what is stored at that moment. Returns the changed webhook; nil if there is
    /// none. A webhook that is enabled again no longer counts as failing.
    func update(_ id: WebhookID, _ change: @escaping @Sendable (inout Webhook) -> Void) async throws -> Webhook?
    /// Deletes a webhook with its calls; if there are very many, `pruneCalls` deletes the rest later. Returns false if
    /// there was none.
    func deleteWebhook(_ id: WebhookID) async throws -> Bool
    /// A webhook's statistics at the time `now`.
    func statistics(of id: WebhookID, now: Timestamp) async throws -> WebhookStatistics
    /// At most `limit` calls with ids below `before`, newest first; nil: from the newest.
    func calls(of id: WebhookID, before: Int64?, limit: Int) async throws -> [WebhookCallRecord]
    /// Queues a call that does not follow from a message (a test event). Returns its id.
    func insert(_ call: WebhookCall, now: Timestamp) async throws -> Int64

    /// Claims due calls under a lease. For each webhook that `room` names, at most that many calls are claimed; for any
    /// other webhook, at most `otherwise`; in total, at most `limit`. A webhook that is failing gets at most one call,
    /// and all failing webhooks together get at most `ofFailing`. The webhook whose call has been due longest comes
    /// first. A claimed call is due again at `leaseUntil` if it is not settled by then. Calls of webhooks that are
    /// disabled, or whose key was revoked, are left out.
    func claimCalls(
        limit: Int, room: [WebhookID: Int], otherwise: Int, ofFailing: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> [(call: WebhookCall, webhook: Webhook)]
    /// Must be called once, before this relay claims its first call. While no relay made calls, no webhook could fail.
    /// So the time after which a failing webhook is disabled counts from `now` again, unless another relay on the store
    /// is alive: it makes the calls.
    func beginCalling(now: Timestamp) async throws
    /// Records attempts in one transaction. Returns the webhooks that were disabled by these attempts: those whose
    /// endpoint is gone, and those that have failed for ``Webhook/timeout``.
    func settle(_ attempts: [WebhookAttempt], now: Timestamp) async throws -> [Webhook]
    /// When the next call of a webhook that receives events becomes due; nil if none waits.
    func nextCall() async throws -> Timestamp?
    /// How many calls wait, and how many webhooks the relay has disabled.
    func webhookBacklog() async throws -> (waiting: Int, disabled: Int)
    /// Deletes a limited number of calls that are no longer kept: ended calls that were queued more than ``keptCalls``
    /// ago, and calls of deleted webhooks. Also gives up calls that have waited too long. Returns whether there is more
    /// to do.
    func pruneCalls(now: Timestamp) async throws -> Bool
}

/// How long a call that has ended is kept, counted from the moment when it was queued.
public let keptCalls = Duration.seconds(7 * 86_400)

extension Webhook {
    /// Applies the result of an attempt to the webhook.
    public mutating func tried(_ attempt: WebhookAttempt) {
        switch attempt.verdict {
        case .delivered: failingSince = nil
        case .gone: disable("The receiver answered 410 Gone.")
        case .retry, .failed:
            let since = failingSince ?? attempt.startedAt
            failingSince = since
            if attempt.finishedAt - since >= Webhook.timeout {
                disable("Every request has failed for 24 hours.")
            }
        }
    }

    private mutating func disable(_ reason: String) {
        guard isEnabled else { return }
        isEnabled = false
        disabledBecause = reason
    }

    /// Call this after a person's change. A webhook that is enabled again starts as if it had never failed.
    public mutating func enabledAgain(after wasEnabled: Bool) {
        guard isEnabled, !wasEnabled else { return }
        disabledBecause = nil
        failingSince = nil
    }

    /// Enables or disables the webhook for a person. In both cases the relay's own reason for disabling it is cleared.
    public mutating func setEnabled(_ isWanted: Bool) {
        let wasEnabled = isEnabled
        isEnabled = isWanted
        if !isWanted { disabledBecause = nil }
        enabledAgain(after: wasEnabled)
    }
}

/// Why no test event is sent to a webhook.
public enum WebhookTestRefusal: Error, Hashable, Sendable {
    /// The webhook is disabled.
    case disabled
    /// So many calls of the webhook wait that a test event after them would show nothing.
    case busy
}

extension WebhookStore {
    /// Queues a test event for a webhook. Returns the event's id and type, or why it was not queued.
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
