import HTTPServer
import HTTPTypes
import InternetMessage
import RelayCore

/// The list of suppressed addresses.
enum SuppressionsPage {
    private static let pageSize = 50

    static func make(
        _ page: OperatorPage, _ query: Form, _ visitor: Visitor, mistake: FormMistake?
    ) async throws -> PageContent {
        let text = String(query["q"].prefix(320))
        let environment = Environment(rawValue: query["environment"])
        let reason = SuppressionReason(rawValue: query["reason"])
        var filter = SuppressionFilter(
            environment: environment, reason: reason, search: text.isEmpty ? nil : text, limit: pageSize + 1)
        if let place = Environment(rawValue: query["after_environment"]), !query["after"].isEmpty {
            filter.after = .init(environment: place, matchKey: query["after"])
        }
        // The text that was typed into the form must not filter the list.
        if mistake != nil { filter = SuppressionFilter(limit: pageSize + 1) }
        var entries = try await page.store.suppressions(filter)
        let isMore = entries.count > pageSize
        if isMore { entries.removeLast() }
        let next = isMore ? entries.last.map { SuppressionFilter.Cursor($0) } : nil
        let list: HTML =
            entries.isEmpty
            ? "<p class=\"empty\">\(text.isEmpty && environment == nil && reason == nil ? "No address is suppressed." : "No address matches.")</p>"
            : table(entries, visitor)
        let older = next.map { cursor in
            Part.more(
                link(
                    Path.suppressions,
                    [
                        ("q", text), ("environment", environment?.rawValue ?? ""), ("reason", reason?.rawValue ?? ""),
                        ("after_environment", cursor.environment.rawValue), ("after", cursor.matchKey),
                    ]), "More addresses")
        }
        return PageContent(
            title: "Suppressions", section: .suppressions, done: Done(query)?.html,
            body: """
                <h1>Suppressions</h1>
                <p>No mail is sent to these addresses: a message to one of them is accepted, but this recipient is left out. Hard bounces and \
                complaints add addresses automatically.</p>
                <form class="filter" method="get" action="\(Path.suppressions)" role="search">
                \(Part.field("Address", Part.input("q", text, type: "search")))
                \(Part.field("Environment", Part.select("environment", environment?.rawValue ?? "", [("", "live and test"), ("live", "live"), ("test", "test")])))
                \(Part.field("Reason", Part.select("reason", reason?.rawValue ?? "", [("", "any")] + SuppressionReason.allCases.map { ($0.rawValue, words($0)) })))
                <button class="quiet">Search</button></form>
                \(list)\(older.orEmpty)
                <h2 id="add">Add an address</h2>\(Part.mistake(mistake))\(addForm(mistake == nil ? Form() : query, visitor))
                """)
    }

    private static func words(_ reason: SuppressionReason) -> String {
        switch reason {
        case .hardBounce: "hard bounce"
        case .complaint: "complaint"
        case .manual: "added by a person"
        }
    }

    private static func table(_ entries: [Suppression], _ visitor: Visitor) -> HTML {
        Part.table(
            "Suppressed addresses", ["Address", "Environment", "Reason", "Since", "Note", "Change"],
            entries.map { entry in
                let message: HTML = entry.message.map { " <a href=\"\(Path.message($0))\">the message</a>" } ?? .empty
                let sure: HTML =
                    entry.reason == .complaint
                    ? Part.check("even_complaint", "1", false, "Even though the recipient complained") : .empty
                return [
                    "<span class=\"address\">\(entry.address)</span>", Part.environment(entry.environment),
                    "\(words(entry.reason))\(message)", visitor.ago(entry.createdAt), "\(entry.note ?? "")",
                    visitor.form(
                        "/suppressions/remove",
                        """
                        <input type="hidden" name="address" value="\(entry.address)"><input type="hidden" name="environment" \
                        value="\(entry.environment.rawValue)">\(sure)<button class="quiet" aria-label="Remove \(entry.address)">Remove</button>
                        """),
                ]
            })
    }

    private static func addForm(_ form: Form, _ visitor: Visitor) -> HTML {
        visitor.form(
            Path.suppressions, class: "panel",
            """
            <div class="columns">\(Part.field("Address", Part.input("address", form.raw("address"), "required autocomplete=\"off\"")))\
            \(Part.field("Environment", Part.select("environment", form["environment"].isEmpty ? "live" : form["environment"], [("live", "live"), ("test", "test")])))\
            \(Part.field("Note", Part.input("note", form.raw("note"), "maxlength=\"\(Suppression.longestNote)\""), hint: "Why the address is on the list."))</div>\
            <p class="actions"><button>Add the address</button></p>
            """)
    }

    // MARK: Actions

    static func add(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let address: String
        do throws(AddressError) {
            address = try AddrSpec(parsing: form["address"].utf8).text
        } catch {
            let content = try await make(page, form, visitor, mistake: FormMistake("address", error.explanation))
            return visitor.page(content, .unprocessableContent)
        }
        guard let environment = Environment(rawValue: form["environment"]) else {
            throw Failures.Refused(sentence: "choose the list of live or test keys", back: Path.suppressions)
        }
        let note = form["note"]
        _ = try await page.store.add([
            Suppression(
                environment: environment, address: address, reason: .manual, createdAt: visitor.now,
                note: note.isEmpty ? nil : note)
        ])
        return .redirect(to: Done.added.at(Path.suppressions))
    }

    static func remove(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        guard let environment = Environment(rawValue: form["environment"]) else {
            throw Failures.Refused(sentence: "choose the list of live or test keys", back: Path.suppressions)
        }
        switch try await page.store.removeSuppression(
            of: form["address"], in: environment, evenComplaint: form.has("even_complaint"))
        {
        case .removed: return .redirect(to: Done.removed.at(Path.suppressions))
        case .notListed: return .redirect(to: Done.unlisted.at(Path.suppressions))
        case .isComplaint:
            throw Failures.Refused(
                sentence: "the recipient has complained; check the box beside the button if you are sure",
                back: Path.suppressions)
        }
    }
}
