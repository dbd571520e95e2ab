import ArgumentParser
import Foundation
import RelayCore
import Settings

struct WebhooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhooks",
        abstract: "Create, list, test and disable webhooks, which receive events about messages.",
        discussion: """
            A webhook belongs to a key and receives events about that key's messages. The relay posts each event to it \
            as JSON, at least once and in no particular order. It tries again for 24 hours: 30 s after the first try, \
            then after twice as long each time. A response with a status of 200 to 299 within 15 s means that the \
            event has arrived.

            To check that a request comes from the relay, a receiver decodes the base64 text after whsec_ to get the \
            key. With this key it computes the HMAC-SHA256 of '<webhook-id>.<webhook-timestamp>.<body>'. One of the \
            values in the header webhook-signature, which are separated by spaces, must be 'v1,' followed by the \
            result in base64. The libraries of Standard Webhooks do this, and refuse old timestamps:

                pip install standardwebhooks
                standardwebhooks.Webhook(secret).verify(body, headers)

            X-Hiveku-Signature is the HMAC-SHA256 of the body alone, in hexadecimal digits. Its key is the whole text whsec_….
            The webhook-id is the same at each try, so a receiver can recognise an event that arrives twice.
            """,
        subcommands: [
            WebhooksList.self, WebhooksCreate.self, WebhooksShow.self, WebhooksDeliveries.self, WebhooksTest.self,
            WebhooksRotate.self, WebhooksEnable.self, WebhooksDisable.self, WebhooksDelete.self,
        ])
}

extension WebhookID: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

func noSuchWebhook(_ id: WebhookID) -> CommandError {
    CommandError("no webhook has the id \(id); 'hiveku-relay webhooks list' lists all webhooks")
}

struct WebhooksList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List webhooks, with how many of their events arrived.")

    @Option(help: "Only those of the key with this public id.") var key: KeyID?
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let webhooks = try await store.webhooks(of: key)
        if json {
            for webhook in webhooks {
                let statistics = try await store.statistics(of: webhook.id, now: now)
                try JSONValue(webhook, ["statistics": JSONValue(statistics)]).print()
            }
            return
        }
        guard !webhooks.isEmpty else { return printError("There are no webhooks: hiveku-relay webhooks create --help") }
        var table = Table(
            ["ID", "KEY", "URL", "EVENTS", "TAGS", "24 HOURS", "WAITING", "STATE"], rightAligned: [5, 6])
        for webhook in webhooks {
            let statistics = try await store.statistics(of: webhook.id, now: now)
            table.append([
                webhook.id.text, webhook.key.text, webhook.url, webhook.eventNames.joined(separator: ","),
                webhook.tags.joined(separator: ","), share(statistics.delivered24Hours, statistics.calls24Hours),
                String(statistics.waiting), state(webhook, now: now),
            ])
        }
        table.print()
    }
}

/// A percentage such as `97 %`; `-` if nothing was sent.
private func share(_ part: Int, _ whole: Int) -> String { whole == 0 ? "-" : "\(part * 100 / whole) %" }

private func state(_ webhook: Webhook, now: Timestamp) -> String {
    guard webhook.isEnabled else { return "DISABLED" + (webhook.disabledBecause.map { ": \($0)" } ?? "") }
    return webhook.failingSince.map { "fails for \(approximate(now - $0))" } ?? "works"
}

struct WebhooksCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a webhook and print its signing secret.",
        discussion: """
            The secret is the only line on standard output, and is printed only this once: SECRET=$(hiveku-relay \
            webhooks create --key ID --url https://app.example.com/hooks/email). 'hiveku-relay webhooks --help' says \
            how the receiver uses it.
            """)

    @Option(help: "The public id of the key whose messages the events are about.") var key: KeyID
    @Option(help: "The URL that events are posted to: https, at a public address or one in webhooks.private_networks.")
    var url: String
    @Option(
        name: .customLong("event"),
        help: ArgumentHelp(
            "An event to send: \(WebhookEventName.known.joined(separator: ", ")). May be repeated. (default: all events)",
            valueName: "event"))
    var events: [String] = []
    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only send events about messages with this tag. May be repeated.", valueName: "tag"))
    var tags: [String] = []
    @Flag(help: "Print the webhook and its secret as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    private func chosenEvents() throws -> Set<WebhookEvent> {
        var chosen: Set<WebhookEvent> = []
        var all = false
        for text in events {
            switch WebhookEventName(text) {
            case .all: all = true
            case .one(let event): chosen.insert(event)
            case .mistake(let sentence): throw ValidationError("--event: \(printable(sentence))")
            }
        }
        return all ? [] : chosen
    }

    func validate() throws {
        do throws(WebhookURL.Mistake) {
            _ = try WebhookURL(url)
        } catch {
            throw ValidationError("--url: the URL \(error.explanation)")
        }
        _ = try chosenEvents()
        if let refusal = MessageTags.refusal(of: MessageTags.unique(tags)) {
            throw ValidationError("--tag: \(refusal.explanation)")
        }
    }

    func run() async throws {
        let policy = WebhookAddressPolicy(try common.settings().webhooks)
        if let refusal = (try? WebhookURL(url)).flatMap({ policy.refusal(of: $0) }) {
            throw CommandError("the URL \(refusal)")
        }
        let store = try common.store()
        let now = store.commandClock.now()
        guard let record = try await store.keyRecord(key, now: now) else { throw StoreError.noSuchKey(key) }
        if record.key.revokedAt != nil {
            throw CommandError("the key \(key) is revoked, so there will be no events; name another key")
        }
        var generator = SystemRandomNumberGenerator()
        let webhook = Webhook(
            id: WebhookID(using: &generator), key: key, url: url, events: try chosenEvents(),
            tags: MessageTags.unique(tags), createdAt: now, secret: WebhookSecret(using: &generator))
        guard try await store.insert(webhook) else {
            throw CommandError(
                "the key \(key) already has \(Webhook.mostOfKey) webhooks; delete one, or let one receive more events")
        }
        try reveal(webhook, json: json)
        if !json {
            printError("Created the webhook \(webhook.id). Its signing secret is shown only this once.")
            printError("To try it: hiveku-relay webhooks test \(webhook.id)")
        }
    }
}

private func reveal(_ webhook: Webhook, json: Bool) throws {
    if json {
        try JSONValue(webhook, ["signing_secret": .string(webhook.secret.text)]).print()
    } else {
        print(webhook.secret.text)
    }
}

struct WebhooksShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a webhook, its statistics, and its last events.",
        discussion: "The signing secret is not shown again; 'hiveku-relay webhooks rotate' gives the webhook a new one."
    )

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let webhook = try await store.webhook(id) else { throw noSuchWebhook(id) }
        let statistics = try await store.statistics(of: id, now: now)
        if json { return try JSONValue(webhook, ["statistics": JSONValue(statistics)]).print() }
        func rate(_ part: Int, _ whole: Int) -> String {
            whole == 0 ? "no events" : "\(share(part, whole)) of \(counted(whole, "event", "events")) arrived"
        }
        printRows([
            ("Id", webhook.id.text), ("Key", webhook.key.text), ("URL", webhook.url),
            ("Events", webhook.eventNames == ["*"] ? "all" : webhook.eventNames.joined(separator: ", ")),
            ("Tags", webhook.tags.isEmpty ? "any" : webhook.tags.joined(separator: ", ")),
            ("State", state(webhook, now: now)), ("Created", webhook.createdAt.rfc3339),
            ("24 hours", rate(statistics.delivered24Hours, statistics.calls24Hours)),
            ("7 days", rate(statistics.delivered7Days, statistics.calls7Days)),
            ("Answers within", statistics.latency.map { "\($0.wholeMilliseconds) ms on average" } ?? "-"),
            ("Waiting", String(statistics.waiting)),
            ("Last success", statistics.lastSuccess.map(line) ?? "none"),
            ("Last failure", statistics.lastFailure.map(line) ?? "none"),
        ])
        if let failure = statistics.lastFailure {
            printRows([
                ("  request", String(decoding: failure.call.body, as: UTF8.self)),
                (failure.lastStatus == nil ? "  error" : "  answer", failure.lastResponse ?? "-"),
            ])
        }
        let calls = try await store.calls(of: id, before: nil, limit: 5)
        guard !calls.isEmpty else { return }
        print("")
        printCalls(calls)
    }

    private func line(_ record: WebhookCallRecord) -> String {
        "\(record.lastAttemptAt?.rfc3339 ?? "-"), \(record.call.type) \(record.call.event), \(answer(record))"
    }
}

private func answer(_ record: WebhookCallRecord) -> String {
    guard record.lastAttemptAt != nil else { return "not tried yet" }
    return record.lastStatus.map { "answered with \($0)" } ?? record.lastResponse ?? "no answer"
}

private func printCalls(_ calls: [WebhookCallRecord]) {
    var table = Table(["EVENT", "TYPE", "CREATED", "STATE", "TRIES", "LAST TRY", "RESULT"], rightAligned: [4])
    for record in calls {
        table.append([
            record.call.event, record.call.type, brief(record.call.createdAt), record.state.rawValue,
            String(record.call.attempts), brief(record.lastAttemptAt), answer(record),
        ])
    }
    table.print()
}

struct WebhooksDeliveries: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries",
        abstract: "List the events that were sent to a webhook or wait for it, newest first.",
        discussion: "Events are kept for 7 days. With --json they come with what was sent and what was answered.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Option(help: "The most events to list.") var limit = 20
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard 1...10_000 ~= limit else { throw ValidationError("--limit must be a number from 1 to 10000") }
    }

    func run() async throws {
        let store = try common.store()
        guard try await store.webhook(id) != nil else { throw noSuchWebhook(id) }
        let calls = try await store.calls(of: id, before: nil, limit: limit)
        if json { return try JSONValue.print(calls.lazy.map { JSONValue($0) }) }
        guard !calls.isEmpty else { return printError("There are no events yet: hiveku-relay webhooks test \(id)") }
        printCalls(calls)
    }
}

struct WebhooksTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Send a test event to a webhook.",
        discussion: """
            The event has the type test, and the running relay sends it like any other. Afterwards \
            'hiveku-relay webhooks deliveries ID' shows the receiver's response.
            """)

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        guard let webhook = try await store.webhook(id) else { throw noSuchWebhook(id) }
        let event: (id: String, type: String)
        switch try await store.queueTest(of: webhook, now: now) {
        case .success(let queued): event = queued
        case .failure(.disabled):
            throw CommandError("the webhook \(id) is disabled; enable it first: hiveku-relay webhooks enable \(id)")
        case .failure(.busy):
            throw CommandError(
                "many events already wait for the webhook \(id), and a test event would wait behind them; to list them: "
                    + "hiveku-relay webhooks deliveries \(id)")
        }
        if json {
            try JSONValue.object(["event_id": .string(event.id), "webhook": .string(id.text)]).print()
        } else {
            printError("Queued the test event \(event.id). To see the result: hiveku-relay webhooks deliveries \(id)")
        }
    }
}

struct WebhooksRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Give a webhook a new signing secret and print it.",
        discussion: """
            For 24 hours webhook-signature has a signature with each of the two secrets, so that there is time to \
            change the receiver. X-Hiveku-Signature has room for only one signature, which uses the new secret at \
            once.
            """)

    @Argument(help: "The webhook's id.") var id: WebhookID
    @Flag(help: "Print the webhook and its secret as one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        var generator = SystemRandomNumberGenerator()
        let secret = WebhookSecret(using: &generator)
        guard let webhook = try await store.update(id, { $0.rotate(to: secret, now: now) }) else {
            throw noSuchWebhook(id)
        }
        try reveal(webhook, json: json)
        if !json {
            let until = webhook.previousSecretUntil?.rfc3339 ?? "now"
            printError(
                "The webhook \(id) has a new secret, which is shown only this once. The old one also signs until \(until)."
            )
        }
    }
}

struct WebhooksEnable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Enable a webhook that a person or the relay has disabled.",
        discussion: "It receives events from now on, and those of the last day that still wait for it.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await common.store().update(id) { $0.setEnabled(true) }
        guard changed != nil else { throw noSuchWebhook(id) }
        printError("Enabled the webhook \(id).")
    }
}

struct WebhooksDisable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Disable a webhook: nothing is sent to it until it is enabled again.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let changed = try await common.store().update(id) { $0.setEnabled(false) }
        guard changed != nil else { throw noSuchWebhook(id) }
        printError("Disabled the webhook \(id).")
    }
}

struct WebhooksDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a webhook, its waiting events and its history.")

    @Argument(help: "The webhook's id.") var id: WebhookID
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard try await common.store().deleteWebhook(id) else { throw noSuchWebhook(id) }
        printError("Deleted the webhook \(id).")
    }
}

extension JSONValue {
    /// A webhook without its secret.
    init(_ webhook: Webhook, _ more: [String: JSONValue] = [:]) {
        let members: [String: JSONValue] = [
            "id": .string(webhook.id.text), "key": .string(webhook.key.text), "url": .string(webhook.url),
            "events": JSONValue(webhook.eventNames), "tags": JSONValue(webhook.tags),
            "enabled": .bool(webhook.isEnabled),
            "disabled_because": JSONValue(webhook.disabledBecause), "failing_since": JSONValue(webhook.failingSince),
            "created_at": JSONValue(webhook.createdAt),
        ]
        self = .object(members.merging(more) { $1 })
    }

    init(_ statistics: WebhookStatistics) {
        self = .object([
            "calls_24h": .integer(statistics.calls24Hours), "delivered_24h": .integer(statistics.delivered24Hours),
            "calls_7d": .integer(statistics.calls7Days), "delivered_7d": .integer(statistics.delivered7Days),
            "latency_ms": JSONValue(statistics.latency.map { Int($0.wholeMilliseconds) }),
            "waiting": .integer(statistics.waiting),
            "last_success": statistics.lastSuccess.map { JSONValue($0) } ?? .null,
            "last_failure": statistics.lastFailure.map { JSONValue($0) } ?? .null,
        ])
    }

    /// A call, with the request and the response. The names are those of the HTTP API.
    init(_ record: WebhookCallRecord) {
        self = .object([
            "id": .string(String(record.call.id)), "event_id": .string(record.call.event),
            "type": .string(record.call.type), "status": .string(record.state.rawValue),
            "attempts": .integer(record.call.attempts), "created_at": JSONValue(record.call.createdAt),
            "next_attempt_at": JSONValue(record.nextAttemptAt), "last_attempt_at": JSONValue(record.lastAttemptAt),
            "duration_ms": JSONValue(record.lastDuration.map { Int($0.wholeMilliseconds) }),
            "request_body": .string(String(decoding: record.call.body, as: UTF8.self)),
            "response_status": JSONValue(record.lastStatus),
            "response_body": JSONValue(record.lastStatus == nil ? nil : record.lastResponse),
            "error": JSONValue(record.lastStatus == nil ? record.lastResponse : nil),
        ])
    }
}
