import HTTPServer
import RelayCore

/// The list of templates.
enum TemplatesPage {
    private static let most = 100

    static func make(_ page: OperatorPage, _ query: Form, _ visitor: Visitor) async throws -> PageContent {
        var filter = TemplateFilter(limit: most + 1)
        if !query.raw("after").isEmpty {
            // The templates of a key, or the shared ones.
            let owner = KeyID(query.raw("of")).map { TemplateOwner.key($0) } ?? .shared
            filter.after = TemplateFilter.Place(owner: owner, nameKey: query.raw("after"))
        }
        let found = try await page.store.templates(filter)
        let shown = Array(found.prefix(most))
        var rows: [[HTML]] = []
        for template in shown {
            let statistics = try await page.store.statistics(of: template.id, now: visitor.now)
            rows.append(row(template, statistics.days30, visitor))
        }
        let list: HTML =
            shown.isEmpty
            ? "<p class=\"empty\">There are no templates yet.</p>"
            : Part.table(
                "Templates, by owner and name", ["Name", "Subject", "Owner", "Version", "Saved", "Sent in 30 days"],
                rows)
        let more: HTML =
            found.count > most
            ? shown.last.map { last in
                let place = TemplateFilter.Place(last)
                let key = if case .key(let id) = place.owner { id.text } else { "" }
                return Part.more(link(Path.templates, [("of", key), ("after", place.nameKey)]), "More templates")
            }.orEmpty : .empty
        return PageContent(
            title: "Templates", section: .templates, done: Done(query)?.html,
            body: """
                <div class="title"><h1>Templates</h1><a class="button" href="\(Path.newTemplate)">Write a template</a></div>
                <p>A template is an email with placeholders. An application names it in its request and provides the values. \
                <code>hiveku-relay templates put</code> reads templates from files.</p>
                \(list)\(more)
                """)
    }

    private static func row(_ template: TemplateSummary, _ counts: RecipientCounts, _ visitor: Visitor) -> [HTML] {
        [
            "<a href=\"\(Path.template(template.id))\">\(template.name)</a>",
            "\(String((template.subject ?? "none").prefix(120)))", owner(template.owner),
            "\(template.version)", visitor.ago(template.updatedAt), "\(grouped(counts.sent))",
        ]
    }

    static func owner(_ owner: TemplateOwner) -> HTML {
        switch owner {
        case .shared: "shared"
        case .key(let id): "<a class=\"code\" href=\"\(Path.key(id))\">\(id.text)</a>"
        }
    }
}
