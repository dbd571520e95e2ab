import HTTPServer
import InternetMessage
import Logging
import RelayCore

/// One message: the outcome for each recipient, the delivery attempts, and the content.
enum MessageDetailPage {
    static func make(_ page: OperatorPage, _ id: MessageID, _ query: Form, _ visitor: Visitor) async throws
        -> PageContent
    {
        guard let message = try await page.store.messages(MessageFilter(ids: [id]), now: visitor.now).first else {
            throw StoreError.noSuchMessage(id)
        }
        let key = try await page.store.keyRecord(message.key, now: visitor.now)?.key
        let subject = message.subject.map(\.trimmed) ?? ""
        let content = message.hasBody ? try await MessageContent.read(page, id).map { self.content($0, id) } : nil
        return PageContent(
            title: subject.isEmpty ? "Message \(id)" : subject, section: .messages, done: Done(query)?.html,
            body: """
                <div class="title"><h1>\(subject.isEmpty ? "(no subject)" : subject)</h1></div>
                \(Part.facts(facts(message, key, visitor)))\(actions(message, visitor))
                <h2>Outcome</h2>\(recipients(message, visitor))
                <details\(when(message.deliveries.contains { $0.reason != nil }, " open"))><summary><h2>Delivery attempts</h2></summary>\
                \(message.deliveries.enumerated().map { delivery($0.element, $0.offset + 1, of: message, visitor) })</details>
                <h2>Content</h2>\(content ?? "<p class=\"empty\">The content is no longer kept. It is deleted as soon as a message is sent, and for other messages after their retention time.</p>")
                """, isLive: isLive(message, visitor.now))
    }

    /// Whether something may still happen: events arrive for a while after sending.
    private static func isLive(_ message: MessageRecord, _ now: Timestamp) -> Bool {
        now - message.acceptedAt < .seconds(3600) || message.deliveries.contains { !$0.state.isFinal }
    }

    private static func facts(_ message: MessageRecord, _ key: Key?, _ visitor: Visitor) -> [(String, HTML)] {
        var rows: [(String, HTML)] = [
            ("From", "<span class=\"address\">\(message.reversePath ?? "<>")</span>"),
            ("Accepted", visitor.moment(message.acceptedAt)),
            (
                "Key",
                "<a href=\"\(Path.key(message.key))\">\(key?.name ?? message.key.text)</a> \(Part.environment(message.environment))"
            ),
            ("Client", "\(message.client.map { "\($0)" } ?? "not known")"), ("Size", "\(grouped(message.size)) octets"),
            ("Id", "<code>\(message.id.description)</code>"),
        ]
        if let time = message.scheduledAt { rows.append(("Scheduled for", visitor.moment(time))) }
        if !message.tags.isEmpty { rows.append(("Tags", "\(message.tags.joined(separator: ", "))")) }
        return rows
    }

    // MARK: Actions

    static func perform(_ page: OperatorPage, _ id: MessageID, _ operatorAction: PageRoute.MessageAction) async throws
        -> HTTPAnswer
    {
        let now = page.clock.now()
        let messages = try await page.store.matching(OperatorAction(operatorAction), MessageFilter(ids: [id]), now: now)
        { _ in }
        guard !messages.isEmpty else {
            throw Failures.Refused(
                sentence: "the message's state has changed, so this can no longer be done", back: Path.message(id))
        }
        _ = try await page.store.perform(OperatorAction(operatorAction), messages, now: now)
        page.logger.notice(
            "operator action on a message", metadata: ["message": "\(id)", "action": "\(operatorAction.rawValue)"])
        if operatorAction == .drop { await page.tellDropped(messages) }
        return .redirect(to: Done.performed.at(Path.message(id)))
    }

    private static func actions(_ message: MessageRecord, _ visitor: Visitor) -> HTML {
        let states = Set(message.deliveries.map(\.state))
        var possible: [(PageRoute.MessageAction, String)] = []
        if states.contains(.failed), message.hasBody { possible.append((.retry, "Send again")) }
        if states.contains(.queued) { possible.append((.hold, "Hold")) }
        if states.contains(.held) { possible.append((.release, "Release")) }
        if states.contains(.queued) || states.contains(.held) { possible.append((.drop, "Drop")) }
        guard !possible.isEmpty else { return .empty }
        let forms = possible.map { operatorAction, text -> HTML in
            let look: HTML = operatorAction == .drop ? "danger" : "quiet"
            let ask: HTML = when(operatorAction == .drop, " data-confirm=\"Drop this message? It will not be sent.\"")
            return visitor.form(
                Path.message(message.id, operatorAction.rawValue), "<button class=\"\(look)\"\(ask)>\(text)</button>")
        }
        return "<div class=\"actions\">\(forms)</div>"
    }

    // MARK: Delivery status

    private static let mostRecipients = 200

    private static func recipients(_ message: MessageRecord, _ visitor: Visitor) -> HTML {
        let records = message.recipientRecords
        let items = records.prefix(mostRecipients).map { record -> HTML in
            let detail: HTML = record.detail.map { "<p class=\"reason\">\($0)</p>" } ?? .empty
            let events = record.events.map { event -> HTML in
                let more: HTML = event.sentence.map { ": \($0)" } ?? .empty
                return
                    "<li><b>\(event.kind.rawValue)</b> <time datetime=\"\(event.at.rfc3339)\">\(brief(event.at))</time>\(more)</li>"
            }
            let advice: HTML = advice(record, message).map { "<p class=\"advice\">\($0)</p>" } ?? .empty
            return """
                <li class="card"><h3><span class="address">\(record.address)</span> \(MessagesPage.badge(record.status, message))</h3>\
                \(detail)\(advice)<ol class="events">\(events)</ol></li>

                """
        }
        let rest: HTML = records.count > mostRecipients ? "<p>and \(records.count - mostRecipients) more</p>" : .empty
        return "<ul class=\"cards\">\(items)</ul>\(rest)"
    }

    /// An explanation for a reader who sees this status for the first time.
    private static func advice(_ record: RecipientRecord, _ message: MessageRecord) -> HTML? {
        let list: HTML =
            "<a href=\"\(link(Path.suppressions, [("q", record.address), ("environment", message.environment.rawValue)]))\">list of suppressions</a>"
        switch record.status {
        case .bounced:
            let isHard = record.events.contains { $0.kind == .bounced && $0.detail.bounceType == .hard }
            return isHard
                ? "There is no such mailbox. The address is now on the \(list). No mail is sent to it while it is there."
                : "The mailbox could not accept it this time. A later message may arrive."
        case .complained: return "The recipient has marked it as unwanted. The address is now on the \(list)."
        case .suppressed: return "It was not sent, because the address is on the \(list)."
        case .rejected: return "SES has refused it because of its content."
        case .delayed: return "The receiving server does not accept it yet. SES keeps trying."
        case .held: return "It is not sent until it is released."
        case .sent where message.environment == .live:
            return
                "SES has accepted it. SES has not reported yet whether it arrived, or the relay does not read SES's events (feedback.queue_url)."
        case .queued, .scheduled, .sending, .sent, .delivered, .failed, .cancelled: return nil
        }
    }

    private static func delivery(
        _ delivery: MessageRecord.Delivery, _ number: Int, of message: MessageRecord, _ visitor: Visitor
    ) -> HTML {
        var rows: [(String, HTML)] = [("State", "\(delivery.state.rawValue)")]
        if message.deliveries.count > 1 {
            rows.insert(("Recipients", "\(counted(delivery.recipients.count, "recipient", "recipients"))"), at: 0)
        }
        if let id = delivery.sesMessageID { rows.append(("SES message id", "<code>\(id)</code>")) }
        if let reason = delivery.reason { rows.append(("Reason", "\(reason)")) }
        if let next = delivery.nextAttemptAt { rows.append(("Next attempt", visitor.moment(next))) }
        if delivery.maybeDuplicate {
            rows.append(
                (
                    "Maybe a duplicate",
                    "SES may already have sent this message in an earlier attempt whose answer was lost."
                ))
        }
        let attempts = delivery.history.suffix(20).map { attempt -> HTML in
            let reason: HTML = attempt.reason.map { ": \($0)" } ?? .empty
            return
                "<li><time datetime=\"\(attempt.startedAt.rfc3339)\">\(brief(attempt.startedAt))</time> <b>\(attempt.outcome)</b>\(reason)</li>"
        }
        let title: HTML =
            message.deliveries.count > 1 ? "<h3>Delivery \(number) of \(message.deliveries.count)</h3>" : .empty
        let list: HTML =
            attempts.isEmpty
            ? "<p>\(delivery.state.isFinal ? "It was not sent." : "Nothing was tried yet.")</p>"
            : "<ol class=\"events\">\(attempts)</ol>"
        return "\(title)\(Part.facts(rows))\(list)"
    }

    // MARK: Content

    private static func content(_ message: ReadableMessage, _ id: MessageID) -> HTML {
        let fields = message.fields.map { ($0.name, "\($0.value)" as HTML) }
        let attachments = message.parts.map { part -> HTML in
            "<li>\(part.name ?? "(no name)") <span class=\"muted\">\(part.type), \(grouped(part.size)) octets</span></li>"
        }
        var parts: [HTML] = []
        if message.html != nil {
            parts.append(
                """
                <section><h3>HTML, without remote content</h3><iframe class="mail" sandbox src="\(Path.message(id, "html"))" \
                title="The message as HTML" loading="lazy"></iframe></section>
                """)
        }
        if let text = message.text {
            parts.append("<section><h3>Text</h3><pre class=\"mail\" tabindex=\"0\">\(lines: text)</pre></section>")
        }
        if !attachments.isEmpty { parts.append("<section><h3>Attachments</h3><ul>\(attachments)</ul></section>") }
        let cut: HTML = message.isCutOff ? "<p class=\"important\">It is too long to show completely.</p>" : .empty
        return """
            \(cut)\(parts)<details><summary><h3>Header</h3></summary>\(Part.facts(fields))</details>
            <p><a class="button quiet" href="\(Path.message(id, "raw"))" download>Download the original (.eml)</a></p>
            """
    }
}

extension OperatorAction {
    /// The action on a message that the operator has named: `retry` also sends a dropped message again.
    init(_ operatorAction: PageRoute.MessageAction) {
        self =
            switch operatorAction {
            case .retry: .retry(dropped: true)
            case .hold: .hold
            case .release: .release
            case .drop: .drop
            }
    }
}
