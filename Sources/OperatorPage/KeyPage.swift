import RelayCore

/// One key: its use by day, what needs attention, its rules, rotation and revocation.
enum KeyPage {
    static func make(
        _ page: OperatorPage, _ id: KeyID, _ query: Form, _ visitor: Visitor, form: Form? = nil,
        mistake: FormMistake? = nil,
        in section: Section = .none
    ) async throws -> PageContent {
        guard let record = try await page.store.keyRecord(id, now: visitor.now) else { throw StoreError.noSuchKey(id) }
        let use = try await page.store.use(of: [id], days: BarChart.days, now: visitor.now)[id] ?? []
        var waiting = (messages: 0, isMore: false)
        // All messages that a revocation decides about.
        for state in [MessageState.queued, .scheduled, .held] {
            let some = try await page.store.messagePage(
                MessageFilter(key: id, state: state, limit: 100), lookingAt: 500, now: visitor.now)
            waiting = (waiting.messages + some.messages.count, waiting.isMore || some.next != nil)
        }
        let key = record.key
        let isRevoked = key.revokedAt != nil
        return PageContent(
            title: key.name, section: .keys, done: Done(query)?.html,
            body: """
                <div class="title"><h1>\(key.name) \(Part.environment(key.environment))</h1>\
                <a class="button quiet" href="\(Path.messages(of: id))">Its messages</a></div>
                \(Part.mistake(mistake, form: section.anchor))<p>\(Part.prefix(key))\(when(isRevoked, " \(Part.badge("revoked", .bad))"))</p>\(KeysPage.notes(record, visitor))
                <h2>Use</h2>\(BarChart.large(BarChart.counts(use, today: visitor.now.day), today: visitor.now.day))
                \(facts(record, visitor))\(days(use))
                \(when(!isRevoked, testForm(key, form, mistake, section, visitor)))
                <details id="rules"\(when(section == .rules, " open"))><summary><h2>Rules</h2></summary>
                \(when(isRevoked, rules(key)))\(when(!isRevoked, rulesForm(key, form, mistake, section, visitor)))</details>
                \(when(!isRevoked, rotateForm(key, visitor)))\
                \(when(!isRevoked, revokeForm(key, waiting, section == .revoke ? mistake : nil, visitor)))
                """)
    }

    /// The form that a mistake belongs to.
    enum Section {
        case none, rules, test, revoke

        /// The anchor of the form in the page.
        var anchor: String? {
            switch self {
            case .none: nil
            case .rules: "#rules"
            case .test: "#test"
            case .revoke: "#revoke"
            }
        }
    }

    private static func facts(_ record: KeyRecord, _ visitor: Visitor) -> HTML {
        let (key, usage) = (record.key, record.usage)
        let counts = usage.feedback
        var rows: [(String, HTML)] = [
            ("Last used", visitor.ago(usage.lastUsedAt)), ("Today", "\(grouped(usage.emailsToday))"),
            ("In 30 days", "\(grouped(usage.emails30Days))"), ("In total", "\(grouped(usage.emailsTotal))"),
            ("Delivered in 30 days", "\(grouped(counts.deliveries))"),
            (
                "Bounced",
                "\(grouped(counts.bounces)), \(grouped(counts.hardBounces)) permanent (\(rate(record.standing.bounceRate)))"
            ),
            ("Complaints", "\(grouped(counts.complaints)) (\(rate(record.standing.complaintRate)))"),
            ("Limit hits", "\(grouped(usage.rateLimitHits))"), ("Failed logins", "\(grouped(usage.authFailures))"),
            ("Created", visitor.moment(key.createdAt)),
        ]
        if let expiry = key.expiresAt { rows.append(("Works until", visitor.moment(expiry))) }
        if let revoked = key.revokedAt { rows.append(("Revoked", visitor.moment(revoked))) }
        return Part.facts(rows)
    }

    private static func days(_ use: [KeyDay]) -> HTML {
        guard !use.isEmpty else { return .empty }
        let rows = use.reversed().map { day -> [HTML] in
            [
                "\(BarChart.date(day.day))", "\(grouped(day.emails))", "\(grouped(day.feedback.deliveries))",
                "\(grouped(day.feedback.bounces))", "\(grouped(day.feedback.complaints))",
            ]
        }
        return """
            <details><summary>Day by day</summary>\(Part.table("Use by day", ["Day", "Emails", "Delivered", "Bounced", "Complaints"], rows))</details>
            """
    }

    private static func rules(_ key: Key) -> HTML {
        func list(_ texts: [String], none: String) -> HTML { "\(texts.isEmpty ? none : texts.joined(separator: ", "))" }
        return Part.facts([
            ("Scopes", list(key.scopes.map(\.rawValue).sorted(), none: "none")),
            ("Limits", "\(key.limits.description)"),
            ("Domains", list(key.domains.map(\.description), none: "any")),
            ("Networks", list(key.networks.map(\.description), none: "any")),
        ])
    }

    private static func rulesForm(
        _ key: Key, _ form: Form?, _ mistake: FormMistake?, _ section: Section, _ visitor: Visitor
    ) -> HTML {
        let isWrong = section == .rules
        let fields = isWrong ? form ?? KeyForm.fields(of: key) : KeyForm.fields(of: key)
        return """
            \(visitor.form(Path.keyAction(key.id, "rules"), class: "panel", "\(KeyForm.html(fields, isNew: false))<p class=\"actions\"><button>Change the rules</button></p>"))
            """
    }

    private static func testForm(
        _ key: Key, _ form: Form?, _ mistake: FormMistake?, _ section: Section, _ visitor: Visitor
    ) -> HTML {
        let isWrong = section == .test
        let domain = key.domains.first?.domain ?? "example.com"
        let from = isWrong ? form?.raw("from") ?? "" : "test@\(domain)"
        let to = isWrong ? form?.raw("to") ?? "" : key.environment == .test ? "success@simulator.amazonses.com" : ""
        let about: HTML =
            key.environment == .test
            ? "It is simulated. <code>bounce@simulator.amazonses.com</code> bounces, <code>complaint@simulator.amazonses.com</code> complains."
            : "It is really sent, through SES. It counts for the key's limits."
        return """
            <details id="test"\(when(isWrong, " open"))><summary><h2>Send a test message</h2></summary>
            \(visitor.form(Path.keyAction(key.id, "test"), class: "panel", """
                \(FormID.field)<div class="columns">\(Part.field("From", Part.input("from", from, type: "email", "required")))\
                \(Part.field("To", Part.input("to", to, type: "email", "required"), hint: about))</div>\
                <p class="actions"><button>Send it</button></p>
                """))</details>
            """
    }

    private static func rotateForm(_ key: Key, _ visitor: Visitor) -> HTML {
        """
        <details id="rotate"><summary><h2>Give the key a new secret</h2></summary>
        \(visitor.form(Path.keyAction(key.id, "rotate"), class: "panel", """
            \(FormID.field)<p>Id, rules and use stay. The old secret keeps working for the time that you choose, so that you can \
            change the application.</p>\(Part.field("The old secret keeps working for", Part.select("grace", "86400", KeyActions.graces.map { (String($0.seconds), $0.text) })))\
            <p class="actions"><button>Make a new secret</button></p>
            """))</details>
        """
    }

    private static func revokeForm(
        _ key: Key, _ waiting: (messages: Int, isMore: Bool), _ mistake: FormMistake?, _ visitor: Visitor
    ) -> HTML {
        let (count, isMore) = waiting
        let sentence: HTML =
            count == 0
            ? "None of its messages are in the queue."
            : "\(isMore ? "At least " : "")\(counted(count, "of its messages is", "of its messages are")) in the queue."
        return """
            <details id="revoke" class="danger"\(when(mistake != nil, " open"))><summary><h2>Revoke the key</h2></summary>
            \(visitor.form(Path.keyAction(key.id, "revoke"), class: "panel", """
                <p>This takes effect at once and can't be undone: no application can send with the key any more, not even on an open connection. \(sentence)</p>\
                <fieldset><legend>Queued messages</legend>\
                <label class="check"><input type="radio" name="queued" value="deliver" checked> <span>are still delivered</span></label>\
                <label class="check"><input type="radio" name="queued" value="hold"> <span>are held</span></label>\
                <label class="check"><input type="radio" name="queued" value="drop"> <span>are dropped</span></label></fieldset>\
                \(Part.field("Type the key's name to confirm", Part.input("confirm", "", "required autocomplete=\"off\" data-must-be=\"\(key.name)\""), hint: "<code>\(key.name)</code>"))\
                <p class="actions"><button class="danger">Revoke the key</button></p>
                """))</details>
            """
    }
}
