import HTTPServer
import RelayCore

/// The list of keys: what each one may do, how it is used, and what needs attention.
enum KeysPage {
    private static let pageSize = 25
    /// The largest number of keys that are examined for a page that shows only keys that need attention.
    private static let mostLookedAt = 1000

    static func make(_ page: OperatorPage, _ query: Form, _ visitor: Visitor) async throws -> PageContent {
        let view = View(query)
        let found = try await find(page, view, visitor.now)
        let use = try await page.store.use(of: found.records.map(\.key.id), days: BarChart.days, now: visitor.now)
        let cards = found.records.map { card($0, use[$0.key.id] ?? [], visitor) }
        let isFirst = view.after == nil && !view.isNarrowed
        let list: HTML =
            cards.isEmpty
            ? (isFirst && found.next == nil ? welcome : "<p class=\"empty\">\(view.nothing)</p>")
            : "<ul class=\"cards\">\(cards)</ul>"
        return PageContent(
            title: "Keys", section: .keys, done: Done(query)?.html,
            body: """
                <div class="title"><h1>Keys</h1><a class="button" href="\(Path.newKey)">Create a key</a></div>
                \(view.filter)\(list)\(found.next.map { Part.more($0, view.onlyNotes ? "Search older keys" : "Older keys") }.orEmpty)
                """)
    }

    private static let welcome: HTML = """
        <div class="empty"><p><strong>There are no keys yet.</strong></p><p>An application sends with a key: it is the password of its \
        SMTP settings. Begin with a test key: its mail is simulated and is not delivered.</p></div>
        """

    // MARK: What is asked for

    private struct View {
        var text: String
        var environment: Environment?
        var includesRevoked: Bool
        var onlyNotes: Bool
        var after: KeyFilter.Place?

        init(_ query: Form) {
            text = String(query["q"].prefix(100))
            environment = Environment(rawValue: query["environment"])
            includesRevoked = query.has("revoked")
            onlyNotes = query.has("notes")
            let place = query["after"].split(separator: "-")
            if place.count == 2, let milliseconds = Int64(place[0]), let id = KeyID(String(place[1])) {
                after = KeyFilter.Place(createdAt: Timestamp(milliseconds: milliseconds), id: id)
            }
        }

        var isNarrowed: Bool { !text.isEmpty || environment != nil || onlyNotes }

        var nothing: String {
            onlyNotes ? "None of these keys needs attention." : "No key matches."
        }

        func path(after place: KeyFilter.Place) -> String {
            link(
                Path.keys,
                [
                    ("q", text), ("environment", environment?.rawValue ?? ""), ("revoked", includesRevoked ? "1" : ""),
                    ("notes", onlyNotes ? "1" : ""), ("after", "\(place.createdAt.milliseconds)-\(place.id)"),
                ])
        }

        var filter: HTML {
            """
            <form class="filter" method="get" action="\(Path.keys)" role="search">
            \(Part.field("Name or id", Part.input("q", text, type: "search")))
            \(Part.field("Environment", Part.select("environment", environment?.rawValue ?? "", [("", "live and test"), ("live", "live"), ("test", "test")])))
            \(Part.check("notes", "1", onlyNotes, "Only keys that need attention"))\(Part.check("revoked", "1", includesRevoked, "Include revoked keys"))
            <button class="quiet">Show</button></form>
            """
        }
    }

    private static func find(
        _ page: OperatorPage, _ view: View, _ now: Timestamp
    ) async throws -> (records: [KeyRecord], next: String?) {
        var filter = KeyFilter(
            text: view.text.isEmpty ? nil : view.text, environment: view.environment,
            includesRevoked: view.includesRevoked, after: view.after, limit: view.onlyNotes ? 250 : pageSize + 1)
        guard view.onlyNotes else {
            let (store, asked) = (page.store, filter)
            // A search for a text that no name contains goes through all names, so it needs a turn.
            var records = try await page.turns.with(view.text.isEmpty ? 0 : 8 << 20) {
                try await store.keyRecords(asked, now: now)
            }
            let isMore = records.count > pageSize
            if isMore { records.removeLast() }
            return (records, isMore ? records.last.map { view.path(after: $0.key.place) } : nil)
        }
        var records: [KeyRecord] = []
        var lookedAt = 0
        while lookedAt < mostLookedAt {
            let some = try await page.store.keyRecords(filter, now: now)
            for record in some where !record.notes(at: now).isEmpty {
                records.append(record)
                if records.count == pageSize { return (records, view.path(after: record.key.place)) }
            }
            lookedAt += some.count
            guard some.count == filter.limit, let last = some.last else { return (records, nil) }
            filter.after = last.key.place
        }
        return (records, filter.after.map { view.path(after: $0) })
    }

    // MARK: A key

    private static func card(_ record: KeyRecord, _ use: [KeyDay], _ visitor: Visitor) -> HTML {
        let (key, usage) = (record.key, record.usage)
        let isRevoked = key.revokedAt != nil
        let rules: [(String, String)] =
            [
                ("Scopes", key.scopes.isEmpty ? "none" : key.scopes.map(\.rawValue).sorted().joined(separator: ", ")),
                ("Limits", key.limits.description),
            ]
            + (key.domains.isEmpty ? [] : [("Domains", summary(key.domains.map(\.description)))])
            + (key.networks.isEmpty ? [] : [("Networks", summary(key.networks.map(\.description)))])
        let numbers: [(String, HTML)] = [
            ("Last used", visitor.ago(usage.lastUsedAt)), ("In 30 days", "\(grouped(usage.emails30Days))"),
            ("In total", "\(grouped(usage.emailsTotal))"), ("Bounces", "\(rate(record.standing.bounceRate))"),
            ("Complaints", "\(rate(record.standing.complaintRate))"), ("Limit hits", "\(grouped(usage.rateLimitHits))"),
            ("Failed logins", "\(grouped(usage.authFailures))"),
        ]
        return """
            <li class="card\(when(isRevoked, " over"))"><div class="who"><h2><a href="\(Path.key(key.id))">\(key.name)</a> \
            \(Part.environment(key.environment))</h2><p>\(Part.prefix(key))</p>\
            <p class="rules">\(rules.map { "<span><b>\($0.0)</b> \($0.1)</span> " as HTML })</p></div>\
            <div class="use">\(BarChart.small(BarChart.counts(use, today: visitor.now.day)))</div>\
            \(Part.facts(numbers))\(notes(record, visitor))</li>

            """
    }

    /// The first three items of a list.
    private static func summary(_ list: [String]) -> String {
        list.prefix(3).joined(separator: ", ") + (list.count > 3 ? " and \(list.count - 3) more" : "")
    }

    /// What needs attention, with what to do about it.
    static func notes(_ record: KeyRecord, _ visitor: Visitor) -> HTML {
        let notes = record.notes(at: visitor.now)
        guard !notes.isEmpty else { return .empty }
        let items = notes.map { note -> HTML in
            let advice = note.advice.map { "<span>: \($0)</span>" as HTML }.orEmpty
            return "<li\(when(note.isUrgent, " class=\"urgent\""))><strong>\(note.text)</strong>\(advice)</li>"
        }
        return "<ul class=\"notes\" aria-label=\"Needs attention\">\(items)</ul>"
    }
}
