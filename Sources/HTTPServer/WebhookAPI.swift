import Admission
import HTTPTypes
import Logging
import NIOCore
import RelayCore
import StrictJSON

/// What a key can do with its webhooks. A key sees only its own webhooks.
struct WebhookAPI: Sendable {
    let api: EmailAPI

    private var store: any RelayStore { api.service.store }
    private var now: Timestamp { api.service.clock.now() }

    func answer(_ action: WebhookRoute.Action, query: String) async -> HTTPAnswer {
        switch action {
        case .list: await list()
        case .show(let id): await show(id)
        case .delete(let id): await delete(id)
        case .test(let id): await test(id)
        case .rotate(let id): await rotate(id)
        case .deliveries(let id): await deliveries(id, query)
        }
    }

    private func list() async -> HTTPAnswer {
        await looked { _ in
            let webhooks = try await store.webhooks(of: api.key)
            // A key has few webhooks, so one page contains all.
            return HTTPAnswer(.ok, ["data": .array(webhooks.map { JSON($0) }), "next_cursor": .null])
        }
    }

    private func show(_ id: WebhookID) async -> HTTPAnswer {
        await looked { now in
            guard let webhook = try await own(id) else { return nil }
            let statistics = try await store.statistics(of: id, now: now)
            return HTTPAnswer(.ok, JSON(webhook, [.init("statistics", JSON(statistics))]))
        }
    }

    func create(_ wishes: WebhookFields) async -> HTTPAnswer {
        await looked { now in
            var generator = SystemRandomNumberGenerator()
            var webhook = Webhook(
                id: WebhookID(using: &generator), key: api.key, url: wishes.url ?? "", createdAt: now,
                secret: WebhookSecret(using: &generator))
            wishes.apply(to: &webhook)
            guard try await store.insert(webhook) else { return api.refuse(.tooManyWebhooks) }
            log("webhook created", webhook.id)
            return HTTPAnswer(
                .created, JSON(webhook, [.init("signing_secret", JSON(webhook.secret.text))]),
                [.location: "\(WebhookRoute.path)/\(webhook.id)"])
        }
    }

    func change(_ id: WebhookID, _ wishes: WebhookFields) async -> HTTPAnswer {
        await looked { _ in
            guard try await own(id) != nil, let changed = try await store.update(id, { wishes.apply(to: &$0) }) else {
                return nil
            }
            log("webhook changed", id)
            return HTTPAnswer(.ok, JSON(changed))
        }
    }

    private func delete(_ id: WebhookID) async -> HTTPAnswer {
        await looked { _ in
            guard try await own(id) != nil, try await store.deleteWebhook(id) else { return nil }
            log("webhook deleted", id)
            return .noContent
        }
    }

    private func test(_ id: WebhookID) async -> HTTPAnswer {
        await looked { now in
            guard let webhook = try await own(id) else { return nil }
            let event: (id: String, type: String)
            switch try await store.queueTest(of: webhook, now: now) {
            case .success(let queued): event = queued
            case .failure(.disabled): return api.refuse(.webhookDisabled)
            case .failure(.busy): return api.refuse(.webhookBusy)
            }
            return HTTPAnswer(
                .accepted, ["event_id": JSON(event.id), "type": JSON(event.type), "status": "queued"])
        }
    }

    private func rotate(_ id: WebhookID) async -> HTTPAnswer {
        await looked { now in
            guard try await own(id) != nil else { return nil }
            var generator = SystemRandomNumberGenerator()
            let secret = WebhookSecret(using: &generator)
            guard let changed = try await store.update(id, { $0.rotate(to: secret, now: now) }) else { return nil }
            log("webhook has a new secret", id)
            return HTTPAnswer(
                .ok,
                JSON(
                    changed,
                    [
                        .init("signing_secret", JSON(secret.text)),
                        .init("previous_secret_until", JSON(changed.previousSecretUntil?.rfc3339)),
                    ]))
        }
    }

    private func deliveries(_ id: WebhookID, _ query: String) async -> HTTPAnswer {
        let page: DeliveriesQuery
        switch DeliveriesQuery.read(query) {
        case .failure(let problem): return api.refuse(problem)
        case .success(let read): page = read
        }
        return await looked { _ in
            guard try await own(id) != nil else { return nil }
            // One more record shows whether there is a next page.
            let found = try await store.calls(of: id, before: page.cursor, limit: page.limit + 1)
            let shown = found.prefix(page.limit)
            return HTTPAnswer(
                .ok,
                [
                    "data": .array(shown.map { JSON($0) }),
                    "next_cursor": JSON(found.count > shown.count ? shown.last.map { String($0.call.id) } : nil),
                ])
        }
    }

    private func own(_ id: WebhookID) async throws -> Webhook? {
        guard let webhook = try await store.webhook(id), webhook.key == api.key else { return nil }
        return webhook
    }

    /// Runs `body`, which returns nil if the key has no such webhook. If the key has become invalid in the meantime,
    /// the answer is a refusal.
    private func looked(_ body: (Timestamp) async throws -> HTTPAnswer?) async -> HTTPAnswer {
        do {
            let answer = try await body(now)
            return await api.confirmed { answer ?? api.refuse(.noSuchWebhook) }
        } catch {
            return api.storageFailed(error)
        }
    }

    private func log(_ message: String, _ id: WebhookID) {
        api.service.log.write(
            .info, message, client: api.caller.client, metadata: ["webhook": "\(id)", "key": "\(api.key)"])
    }
}

/// The query of `GET …/deliveries`.
struct DeliveriesQuery: Hashable, Sendable {
    var limit = MessagesQuery.defaultLimit
    var cursor: Int64?

    static func read(_ query: some StringProtocol) -> Result<DeliveriesQuery, Problem> {
        func problem(_ sentence: String) -> Result<DeliveriesQuery, Problem> {
            .failure(Problem(.refusal(.invalid), .unprocessableContent, sentence))
        }
        guard let parameters = try? FormQuery.parameters(query) else {
            return problem("A percent sign in the query must be followed by two hexadecimal digits of UTF-8.")
        }
        var read = DeliveriesQuery()
        var seen: Set<String> = []
        for (name, text) in parameters {
            guard seen.insert(name).inserted else { return problem("A parameter is given twice; give each one once.") }
            switch name {
            case "limit":
                guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
                    return problem("The parameter limit must be a number from 1 to \(MessagesQuery.maximumLimit).")
                }
                read.limit = number
            case "cursor":
                guard let id = Int64(text), id > 0, String(id) == text else {
                    return problem("The parameter cursor must be the next_cursor of an earlier page.")
                }
                read.cursor = id
            default: return problem("A parameter is not known; the parameters are limit, cursor.")
            }
        }
        return .success(read)
    }
}

extension WebhookFields {
    func apply(to webhook: inout Webhook) {
        if let url { webhook.url = url }
        if let events { webhook.events = events }
        if let tags { webhook.tags = tags }
        if let enabled { webhook.setEnabled(enabled) }
    }
}

extension Problem {
    static let noSuchWebhook = Problem(.notFound, .notFound, "This API key has no webhook with this id.")

    static let tooManyWebhooks = Problem(
        .webhookLimit, .conflict,
        "This API key already has \(Webhook.mostOfKey) webhooks; delete one, or let one receive more events.")

    static let webhookDisabled = Problem(
        .webhookState, .conflict, "The webhook is disabled; enable it first: PATCH it with {\"enabled\": true}.")

    static let webhookBusy = Problem(
        .webhookState, .conflict,
        "Many events already wait for this webhook, so a test event would wait behind them; check its deliveries.")
}
