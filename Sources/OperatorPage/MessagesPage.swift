import HTTPServer
import HTTPTypes
import RelayCore

/// The list of messages, searched by recipient, subject, id, key and what became of them.
enum MessagesPage {
    private static let pageSize = 50
    /// Messages that are looked at for a page. With more, a page would take too long where few of them match.
    private static let mostLookedAt = 2000
    /// Octets that a search for words counts for: all that there are, so that there is one at a time. The beginning of a word that all of
    /// a million messages have takes 20 MB while it is looked for.
    private static let searchSize = 8 << 20

    static func answer(_ page: OperatorPage, _ query: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        var view = View(query)
        switch try await KeyText.find(query["key"], page, now: visitor.now) {
        case .none: break
        case .key(let id): view.key = id
        case .mistake(let mistake):
            return visitor.page(
                PageContent(
                    title: "Messages", section: .messages,
                    body: "<h1>Messages</h1>\(Part.mistake(mistake))\(view.filter(key: query["key"]))"),
                .unprocessableContent)
        }
        // Who has the id wants the message.
        if let id = MessageID(view.text), view.after == nil,
            try await page.store.messages(MessageFilter(ids: [id]), now: visitor.now).first != nil
        {
            return .redirect(to: Path.message(id))
        }
        var filter = MessageFilter(key: view.key, state: view.state, before: view.after, limit: pageSize)
        filter.words = view.text.isEmpty ? nil : view.text
        filter.status = view.status
        // What has come in the last moments is to be found, too.
        let unindexed = view.text.isEmpty ? 0 : try await page.store.indexWords()
        let (store, asked) = (page.store, filter)
        let found = try await page.turns.with(view.text.isEmpty ? 0 : searchSize) {
            try await store.messagePage(asked, lookingAt: mostLookedAt, now: visitor.now)
        }
        return visitor.page(content(view, found, unindexed, visitor))
    }

    private static func content(
        _ view: View, _ found: RelayCore.MessagePage, _ unindexed: Int, _ visitor: Visitor
    ) -> PageContent {
        let isCutShort = found.messages.count < pageSize && found.next != nil
        var list: HTML = found.messages.isEmpty ? .empty : table(found.messages, visitor)
        if found.messages.isEmpty {
            list =
                isCutShort
                ? "<p class=\"empty\">None of the newest \(grouped(mostLookedAt)) messages that were looked at matches.</p>"
                : view.isNarrowed
                    ? view.nothing
                    : "<div class=\"empty\"><p><strong>There are no messages yet.</strong></p><p>Send a test message from the page of a <a href=\"\(Path.keys)\">key</a>.</p></div>"
        }
        let note: HTML =
            unindexed == 0
            ? .empty
            : "<p class=\"important\">The words of \(grouped(unindexed)) messages are not in the index yet: the newest may be missing here. Load the page again in a moment.</p>"
        return PageContent(
            title: "Messages", section: .messages,
            body: """
                <h1>Messages</h1>\(view.filter(key: view.key?.text ?? ""))\(note)\(list)\
                \(found.next.map { Part.more(view.path(after: $0), isCutShort ? "Look at older messages" : "Older messages") }.orEmpty)
                """, isLive: view.after == nil && view.text.isEmpty)
    }

    private static func table(_ messages: [MessageRecord], _ visitor: Visitor) -> HTML {
        Part.table(
            "Messages, newest first", ["Accepted", "To", "Subject", "What became of it", "Key"],
            messages.map { message in
                let subject = message.subject.map(\.trimmed) ?? ""
                return [
                    visitor.ago(message.acceptedAt), recipients(message),
                    "<a href=\"\(Path.message(message.id))\">\(subject.isEmpty ? "(no subject)" : String(subject.prefix(80)))</a>",
                    outcome(message),
                    "<a class=\"code\" href=\"\(Path.key(message.key))\">\(message.key.text)</a> \(Part.environment(message.environment))",
                ]
            })
    }

    private static func recipients(_ message: MessageRecord) -> HTML {
        let all = message.recipients
        let rest: HTML = all.count > 1 ? " <span class=\"muted\">and \(all.count - 1) more</span>" : .empty
        return "<span class=\"address\">\(all.first ?? "")</span>\(rest)"
    }

    /// The status of the recipients; of many, how many have which, the worst first.
    static func outcome(_ message: MessageRecord) -> HTML {
        let records = message.recipientRecords
        let statuses = Dictionary(grouping: records, by: \.status).mapValues(\.count)
        if statuses.count == 1, let status = statuses.keys.first { return badge(status, message) }
        let order = RecipientStatus.allCases.filter { statuses[$0] != nil }
            .sorted { tone($0) == .bad && tone($1) != .bad }
        return "\(order.map { "\(badge($0, message, count: statuses[$0] ?? 0)) " as HTML })"
    }

    /// A test message that was sent is simulated: the word says so.
    static func badge(_ status: RecipientStatus, _ message: MessageRecord, count: Int = 1) -> HTML {
        let word = status == .sent && message.environment == .test ? "simulated" : status.rawValue
        return Part.badge(count > 1 ? "\(count) \(word)" : word, tone(status))
    }

    static func tone(_ status: RecipientStatus) -> Part.Tone {
        switch status {
        case .delivered: .good
        case .sent: .plain
        case .queued, .scheduled, .sending, .delayed: .wait
        case .held, .bounced, .complained, .rejected, .failed, .suppressed, .cancelled: .bad
        }
    }

    // MARK: What is asked for

    private struct View {
        var text: String
        var key: KeyID?
        var state: MessageState?
        var status: RecipientStatus?
        var after: MessageID?

        init(_ query: Form) {
            text = String(query["q"].prefix(200))
            let word = query["state"]
            // Of words that both have the recipients' finds more: of several recipients one may be suppressed.
            status = RecipientStatus(rawValue: word)
            state = status == nil ? MessageState(rawValue: word) : nil
            after = MessageID(query["after"])
        }

        /// What is said where no message matches, with what to try then.
        var nothing: HTML {
            let last = text.split(separator: " ").last ?? ""
            guard !text.isEmpty, last.count >= MessageFilter.shortestBeginning, !last.hasSuffix("*") else {
                return "<p class=\"empty\">No message matches.</p>"
            }
            let wider = link(Path.messages, [("q", text + "*"), ("key", key?.text ?? ""), ("state", word)])
            return """
                <p class="empty">No message matches. Words are found whole: look for <a href="\(wider)">\(text)*</a> to find words that begin \
                so.</p>
                """
        }

        var isNarrowed: Bool { !text.isEmpty || key != nil || state != nil || status != nil }

        private var word: String { state?.rawValue ?? status?.rawValue ?? "" }

        func path(after id: MessageID) -> String {
            link(Path.messages, [("q", text), ("key", key?.text ?? ""), ("state", word), ("after", id.description)])
        }

        private static let words: [(value: String, text: String)] =
            [("", "anything")]
            + RecipientStatus.allCases.map { ($0.rawValue, $0.rawValue) }
            + MessageState.allCases.filter { RecipientStatus(rawValue: $0.rawValue) == nil }.map {
                ($0.rawValue, $0.rawValue)
            }

        func filter(key: String) -> HTML {
            """
            <form class="filter" method="get" action="\(Path.messages)" role="search">
            \(Part.field("Recipient, subject or id", Part.input("q", text, type: "search", "placeholder=\"whole words, or ann*\"")))
            \(Part.field("What became of it", Part.select("state", word, View.words)))
            \(Part.field("Key", Part.input("key", key, "placeholder=\"name or id\" spellcheck=\"false\"")))
            <button class="quiet">Search</button></form>
            """
        }
    }
}
