import HTTPServer
import RelayCore
import TemplateFiles
import Templates

/// One version of a template: its look, its variables, the outcome of its emails, and its versions.
enum TemplatePage {
    static func gone() -> Failures.Refused {
        Failures.Refused(sentence: "there is no template with this id any more", back: Path.templates)
    }

    /// A template in a version; nil: the latest. A version that is not kept is refused.
    static func template(_ page: OperatorPage, _ id: TemplateID, version: Int?) async throws -> Template {
        if let found = try await page.store.template(TemplateReference(id, version: version), of: nil) { return found }
        guard version != nil, try await page.store.template(TemplateReference(id), of: nil) != nil else { throw gone() }
        throw Failures.Refused(sentence: "this version is no longer kept", back: Path.template(id))
    }

    static func version(_ text: String) -> Int? { Int(text).flatMap { 1...999_999_999 ~= $0 ? $0 : nil } }

    static func make(
        _ page: OperatorPage, _ id: TemplateID, _ query: Form, _ visitor: Visitor
    ) async throws -> PageContent {
        let wanted = version(query["version"])
        let template = try await template(page, id, version: wanted)
        let statistics = try await page.store.statistics(of: id, now: visitor.now)
        let versions = try await page.store.versions(of: id, before: nil, limit: Template.keptVersions)
        let latest = versions.first?.version ?? template.version
        let isLatest = template.version == latest
        let content = template.content
        let note: HTML =
            isLatest
            ? .empty
            : "<p class=\"important\">This is version \(template.version). <a href=\"\(Path.template(id))\">Version \(latest) is the latest.</a></p>"
        return PageContent(
            title: template.name, section: .templates, done: Done(query)?.html,
            body: """
                <h1>\(template.name)</h1>\(note)\(actions(template, isLatest: isLatest, visitor))
                \(Part.facts([
                    ("Id", "<span class=\"code\">\(id.text)</span>"), ("Owner", TemplatesPage.owner(template.owner)),
                    ("Version", "\(template.version)"), ("Saved", visitor.moment(template.updatedAt)),
                    ("Saved by", template.createdBy.map { "<a class=\"code\" href=\"\(Path.key($0))\">\($0.text)</a>" } ?? "operator"),
                    ("Subject", "\(content.subject ?? "none: the request must have one")"),
                    ("From", "\(content.from ?? "none: the request must have one")"),
                    ("Reply to", "\(content.replyTo.isEmpty ? "none" : content.replyTo.joined(separator: ", "))"),
                ]))
                <h2>How it looks</h2><p class="muted">With sample values.</p>\
                <iframe class="mail" sandbox src="\(Path.templatePreview(id, template.version))" title="The template with values" loading="lazy"></iframe>
                <h2>Outcome of its emails</h2>\(statisticsTable(statistics))
                <h2>Variables</h2>\(variables(content.variables))
                <h2>Versions</h2>\(versionsTable(id, versions, shown: template.version, visitor))
                """)
    }

    private static func actions(_ template: Template, isLatest: Bool, _ visitor: Visitor) -> HTML {
        let id = template.id
        let back: HTML = visitor.form(
            Path.templateAction(id, .rollBack),
            """
            <input type="hidden" name="version" value="\(template.version)"><button class="quiet">Go back to this version</button>
            """)
        return """
            <div class="actions">\(isLatest ? "<a class=\"button\" href=\"\(Path.editTemplate(id))\">Edit</a>" : back)\
            \(visitor.form(Path.templateAction(id, .delete), "<button class=\"danger\" data-confirm=\"Delete this template and all its versions?\">Delete</button>"))</div>
            """
    }

    private static func statisticsTable(_ statistics: MessageStatistics) -> HTML {
        Part.table(
            "Recipients by time", ["Time", "Sent", "Delivered", "Bounced", "Complained"],
            [("Today", statistics.today), ("7 days", statistics.days7), ("30 days", statistics.days30)].map {
                [
                    "\($0)", "\(grouped($1.sent))", "\(grouped($1.delivered))", "\(grouped($1.bounced))",
                    "\(grouped($1.complained))",
                ]
            })
    }

    private static func variables(_ variables: [TemplateVariable]) -> HTML {
        guard !variables.isEmpty else { return "<p class=\"empty\">It has none: all its emails are the same.</p>" }
        return Part.table(
            "Variables", ["Name", "Type", "Required", "Default"],
            variables.map { variable in
                let standard = variable.defaultValue.map { String(decoding: $0.octets, as: UTF8.self) }
                return [
                    "<code>\(variable.name)</code>", "\(variable.type.rawValue)",
                    "\(variable.isRequired ? "yes" : "no")",
                    "\(standard.map { String($0.prefix(200)) } ?? "none")",
                ]
            })
    }

    private static func versionsTable(
        _ id: TemplateID, _ versions: [TemplateVersionSummary], shown: Int, _ visitor: Visitor
    ) -> HTML {
        let kept = Set(versions.map(\.version))
        return Part.table(
            "Versions, newest first", ["Version", "Saved", "By", "Subject", "Changes"],
            versions.map { version in
                let before = version.version - 1
                let changes: HTML =
                    kept.contains(before)
                    ? "<a href=\"\(Path.templateDiff(id, from: before, to: version.version))\">from version \(before)</a>"
                    : "none known"
                let link: HTML =
                    version.version == shown
                    ? "<strong>\(version.version)</strong>"
                    : "<a href=\"\(Path.template(id, version: version.version))\">\(version.version)</a>"
                return [
                    link, visitor.ago(version.createdAt), "\(version.createdBy?.text ?? "operator")",
                    "\(String((version.subject ?? "none").prefix(120)))", changes,
                ]
            })
    }

    // MARK: Differences

    static func difference(
        _ page: OperatorPage, _ id: TemplateID, _ query: Form, _ visitor: Visitor
    ) async throws -> PageContent {
        guard let from = version(query["from"]), let to = version(query["to"]) else {
            throw Failures.Refused(sentence: "two versions must be named", back: Path.template(id))
        }
        let (old, new) = (try await template(page, id, version: from), try await template(page, id, version: to))
        // The fields as in a file, in lines.
        let parts: [(String, LineDiff)] = try await page.turns.with(4 << 20) {
            [
                ("Fields", LineDiff(TemplateFiles.description(of: old), TemplateFiles.description(of: new))),
                ("HTML", LineDiff(old.content.html, new.content.html)),
                ("Text", LineDiff(old.content.text, new.content.text)),
            ]
        }
        let changed = parts.filter { !$0.1.isEmpty }
        let body: HTML =
            changed.isEmpty
            ? "<p class=\"empty\">No line of these two versions differs.</p>"
            : "\(changed.map { "<h2>\($0)</h2>\(hunks($1))" as HTML })"
        return PageContent(
            title: "Versions \(from) and \(to) of \(new.name)", section: .templates,
            body: """
                <h1>\(new.name): from version \(from) to version \(to)</h1>
                <p><a href="\(Path.template(id, version: from))">Version \(from)</a> · \
                <a href="\(Path.template(id, version: to))">Version \(to)</a> · <a href="\(Path.template(id))">The template</a></p>
                <form class="filter" method="get" action="\(Path.templateDiff(id))">\
                \(Part.field("From version", Part.input("from", "\(from)", type: "number", "min=\"1\"")))\
                \(Part.field("To version", Part.input("to", "\(to)", type: "number", "min=\"1\"")))\
                <button class="quiet">Compare</button></form>
                \(body)
                """)
    }

    /// The largest number of lines that are shown of a part.
    private static let mostLines = 2000

    private static func hunks(_ diff: LineDiff) -> HTML {
        var left = mostLines
        var shown: [HTML] = []
        for hunk in diff.hunks() where left > 0 {
            shown.append("<span class=\"place\">Line \(hunk.newStart)\n</span>")
            for line in hunk.lines.prefix(left) { shown.append(self.line(line)) }
            left -= hunk.lines.count
        }
        return """
            <pre class="diff" tabindex="0">\(shown)</pre>\(when(left <= 0, "<p class=\"more\">Only the first \(mostLines) lines are shown.</p>"))
            """
    }

    private static func line(_ line: LineDiff.Line) -> HTML {
        switch line.kind {
        case .same: "<span>  \(line.text)\n</span>"
        case .removed: "<del>- \(line.text)\n</del>"
        case .added: "<ins>+ \(line.text)\n</ins>"
        }
    }

    // MARK: Actions

    static func change(
        _ page: OperatorPage, _ id: TemplateID, _ change: PageRoute.TemplateChange, _ form: Form, _ visitor: Visitor
    ) async throws -> HTTPAnswer {
        switch change {
        case .save: return try await TemplateEditor.save(page, id, form, visitor)
        case .delete:
            guard try await page.store.deleteTemplate(id, of: nil) else { throw gone() }
            return .redirect(to: Done.templateDeleted.at(Path.templates))
        case .rollBack:
            guard let number = version(form["version"]) else { throw gone() }
            let content = try await template(page, id, version: number).content
            let saving = try await page.store.saveTemplate(id, of: nil, by: nil, now: page.clock.now()) {
                $0.content = content
            }
            guard case .saved = saving else { throw gone() }
            return .redirect(to: Done.templateSaved.at(Path.template(id)))
        }
    }
}
