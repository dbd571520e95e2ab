import HTTPServer
import HTTPTypes
import RelayCore

/// The list of messages, searched by recipient, subject, id, key and outcome.
enum MessagesPage {
    private static let pageSize = 50
    /// The largest number of messages that are examined for a page. With more, a page would take too long if few of
    /// them match.
    private static let mostLookedAt = 2000
    /// The memory in octets that a search for words counts for. It is the whole capacity, so that only one search runs
    /// at a time: a prefix that a million messages share takes 20 MB during the search.
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
        // A visitor who enters an id wants that message.
        if let id = MessageID(view.text), view.after == nil,
            try await page.store.messages(MessageFilter(ids: [id]), now: visitor.now).first != nil
        {
            return .redirect(to: Path.message(id))
        }
        var filter = MessageFilter(key: view.key, state: view.state, before: view.after, limit: pageSize)
        filter.words = view.text.isEmpty ? nil : view.text
        filter.status = view.status
        // Include messages of the last moments in the search.
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
                ? "<p class=\"empty\">None of the newest \(grouped(mostLookedAt)) messages matches.</p>"
                : view.isNarrowed
                    ? view.nothing
                    : "<div class=\"empty\"><p><strong>There are no messages yet.</strong></p><p>Send a test message from the page of a <a href=\"\(Path.keys)\">key</a>.</p></div>"
        }
        let note: HTML =
            unindexed == 0
            ? .empty
            : "<p class=\"important\">\(grouped(unindexed)) messages are not in the search index yet, so the newest may be missing here. Reload the page in a moment.</p>"
        return PageContent(
            title: "Messages", section: .messages,
            body: """
                <h1>Messages</h1>\(view.filter(key: view.key?.text ?? ""))\(note)\(list)\
                \(found.next.map { Part.more(view.path(after: $0), isCutShort ? "Search older messages" : "Older messages") }.orEmpty)
                """, isLive: view.after == nil && view.text.isEmpty)
    }

    private static func table(_ messages: [MessageRecord], _ visitor: Visitor) -> HTML {
        Part.table(
            "Messages, newest first", ["Accepted", "To", "Subject", "Outcome", "Key"],
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

    /// The statuses of the recipients. If the statuses differ, the number of recipients with each status, the bad ones
    /// first.
    static func outcome(_ message: MessageRecord) -> HTML {
        let records = message.recipientRecords
        let statuses = Dictionary(grouping: records, by: \.status).mapValues(\.count)
        if statuses.count == 1, let status = statuses.keys.first { return badge(status, message) }
        let order = RecipientStatus.allCases.filter { statuses[$0] != nil }
            .sorted { tone($0) == .bad && tone($1) != .bad }
        return "\(order.map { "\(badge($0, message, count: statuses[$0] ?? 0)) " as HTML })"
    }

    /// A test message that was sent is shown as simulated.
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
            // A word that names both a message state and a recipient status is taken as the status, which finds more:
            // one of several recipients may be suppressed.
            status = RecipientStatus(rawValue: word)
            state = status == nil ? MessageState(rawValue: word) : nil
            after = MessageID(query["after"])
        }

        /// The text for an empty result, with a suggestion.
        var nothing: HTML {
            let last = text.split(separator: " ").last ?? ""
            guard !text.isEmpty, last.count >= MessageFilter.shortestBeginning, !last.hasSuffix("*") else {
                return "<p class=\"empty\">No message matches.</p>"
            }
            let wider = link(Path.messages, [("q", text + "*"), ("key", key?.text ?? ""), ("state", word)])
            return """
                <p class="empty">No message matches. Only whole words are found: search for <a href="\(wider)">\(text)*</a> to find words that begin \
                like this.</p>
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
            \(Part.field("Outcome", Part.select("state", word, View.words)))
            \(Part.field("Key", Part.input("key", key, "placeholder=\"name or id\" spellcheck=\"false\"")))
            <button class="quiet">Search</button></form>
            """
        }
    }
}
