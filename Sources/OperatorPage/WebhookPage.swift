import HTTPServer
import RelayCore

/// One webhook, its statistics, and its last calls with requests and responses.
enum WebhookPage {
    private static let shown = 30

    static func make(_ page: OperatorPage, _ id: WebhookID, _ query: Form, _ visitor: Visitor) async throws
        -> PageContent
    {
        guard let webhook = try await page.store.webhook(id) else {
            throw Failures.Refused(sentence: "there is no webhook with this id any more", back: Path.webhooks)
        }
        var secret: HTML = .empty
        if case .webhook(let found) = await page.secrets.take(link(Path.webhook(id), [("of", query.raw("of"))])) {
            secret = """
                <h2>Its signing secret</h2><p class="important"><strong>Copy it now: it is shown only once.</strong> The receiver uses it to \
                check that a call comes from the relay (Standard Webhooks).</p>\(Part.copyable(found.text, label: "the secret"))
                """
        }
        let statistics = try await page.store.statistics(of: id, now: visitor.now)
        let calls = try await page.store.calls(of: id, before: nil, limit: shown)
        func rate(_ part: Int, _ whole: Int) -> HTML {
            whole == 0 ? "no events" : "\(part * 100 / whole) % of \(counted(whole, "event", "events")) arrived"
        }
        let list: HTML =
            calls.isEmpty
            ? "<p class=\"empty\">It has not been called yet.</p>"
            : "<ul class=\"cards\">\(calls.map { call($0, visitor) })</ul>"
        return PageContent(
            title: "Webhook", section: .webhooks, done: Done(query)?.html,
            body: """
                <h1 class="address">\(webhook.url)</h1><p>\(WebhooksPage.state(webhook, visitor))</p>\(secret)
                \(actions(webhook, visitor))
                \(Part.facts([
                    ("Key", "<a class=\"code\" href=\"\(Path.key(webhook.key))\">\(webhook.key.text)</a>"),
                    ("Events", "\(webhook.events.isEmpty ? "all" : webhook.eventNames.joined(separator: ", "))"),
                    ("Tags", "\(webhook.tags.isEmpty ? "any" : webhook.tags.joined(separator: ", "))"),
                    ("24 hours", rate(statistics.delivered24Hours, statistics.calls24Hours)),
                    ("7 days", rate(statistics.delivered7Days, statistics.calls7Days)),
                    ("Response time", "\(statistics.latency.map { "\($0.wholeMilliseconds) ms on average" } ?? "not known")"),
                    ("Waiting", "\(grouped(statistics.waiting))"), ("Created", visitor.moment(webhook.createdAt)),
                ]))
                <h2>Last calls</h2>\(list)
                """, isLive: secret.isEmpty)
    }

    private static func call(_ record: WebhookCallRecord, _ visitor: Visitor) -> HTML {
        let tone: Part.Tone =
            switch record.state {
            case .waiting: .wait
            case .delivered: .good
            case .failed: .bad
            }
        let time: HTML = record.lastDuration.map { " in \(Int($0.wholeMilliseconds)) ms" } ?? .empty
        let tries: HTML =
            record.call.attempts == 0
            ? "not tried yet"
            : "\(counted(record.call.attempts, "try", "tries")), \(record.lastStatus.map { "answered \($0)" } ?? "no answer (\(String((record.lastResponse ?? "").prefix(200))))")\(time)"
        let next: HTML = record.nextAttemptAt.map { " Next attempt: \(visitor.ago($0))." } ?? .empty
        let answer = record.lastResponse.map { $0.isEmpty ? "(empty)" : $0 }
        let response: HTML =
            answer.map {
                "<h4>\(record.lastStatus == nil ? "What went wrong" : "Response")</h4><pre tabindex=\"0\">\(lines: $0)</pre>"
            } ?? .empty
        return """
            <li class="card"><h3>\(record.call.type) \(Part.badge(record.state.rawValue, tone))</h3>
            <p>\(visitor.ago(record.lastAttemptAt ?? record.call.createdAt)): \(tries).\(next)</p>
            <details><summary>Request body</summary><pre tabindex="0">\(lines: String(decoding: record.call.body, as: UTF8.self))</pre>\(response)</details></li>

            """
    }

    // MARK: Actions

    private static func actions(_ webhook: Webhook, _ visitor: Visitor) -> HTML {
        func button(_ change: PageRoute.WebhookChange, _ text: String) -> HTML {
            let look: HTML = change == .delete ? "danger" : "quiet"
            let ask: HTML = when(change == .delete, " data-confirm=\"Delete this webhook and its calls?\"")
            return visitor.form(Path.webhook(webhook.id, change), "<button class=\"\(look)\"\(ask)>\(text)</button>")
        }
        return """
            <div class="actions">\(when(webhook.isEnabled, button(.test, "Send a test event")))\
            \(webhook.isEnabled ? button(.disable, "Disable") : button(.enable, "Enable"))\(button(.delete, "Delete"))</div>
            """
    }

    static func change(_ page: OperatorPage, _ id: WebhookID, _ change: PageRoute.WebhookChange) async throws
        -> HTTPAnswer
    {
        let back = Path.webhook(id)
        let gone = Failures.Refused(sentence: "there is no webhook with this id any more", back: Path.webhooks)
        switch change {
        case .delete:
            guard try await page.store.deleteWebhook(id) else { throw gone }
            return .redirect(to: Done.deleted.at(Path.webhooks))
        case .enable, .disable:
            guard try await page.store.update(id, { $0.setEnabled(change == .enable) }) != nil else { throw gone }
            return .redirect(to: Done.webhook.at(back))
        case .test:
            guard let webhook = try await page.store.webhook(id) else { throw gone }
            switch try await page.store.queueTest(of: webhook, now: page.clock.now()) {
            case .success: break
            case .failure(.disabled):
                throw Failures.Refused(sentence: "the webhook is disabled; enable it first", back: back)
            case .failure(.busy):
                throw Failures.Refused(
                    sentence: "many events already wait for this webhook, so a test event would wait behind them",
                    back: back)
            }
            return .redirect(to: Done.tested.at(back))
        }
    }
}
