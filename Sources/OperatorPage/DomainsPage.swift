import Domains
import HTTPServer
import HTTPTypes
import InternetMessage
import RelayCore

/// The list of domains to send from.
enum DomainsPage {
    private static let pageSize = 50

    static func make(
        _ page: OperatorPage, _ query: Form, _ visitor: Visitor, mistake: FormMistake?
    ) async throws -> PageContent {
        // Without a region there are no live domains to show.
        let environment = Environment(rawValue: query["environment"]) ?? (page.domains.hasLive ? .live : .test)
        let after = mistake == nil ? DomainName(ascii: query["after"].utf8)?.text : nil
        return PageContent(
            title: "Domains", section: .domains, done: Done(query)?.html,
            body: """
                <h1>Domains</h1>
                <p>SES sends for a domain once it has found the domain's DKIM records in DNS. The domains of live keys \
                are identities of the SES account; those of test keys are simulated.</p>
                <form class="filter" method="get" action="\(Path.domains)">
                \(Part.field("Environment", Part.select("environment", environment.rawValue, environments)))
                <button class="quiet">Show</button></form>
                \(try await list(page, environment, after, visitor))
                <h2 id="add">Add a domain</h2>\(Part.mistake(mistake))\(form(mistake == nil ? Form([("environment", environment.rawValue)]) : query, visitor))
                """)
    }

    private static let environments = [("live", "live"), ("test", "test")]

    private static func list(
        _ page: OperatorPage, _ environment: Environment, _ after: String?, _ visitor: Visitor
    ) async throws -> HTML {
        let found: [SendingDomain]
        do throws(DomainFailure) {
            found = try await page.domains.list(environment, behind: after, limit: pageSize + 1)
        } catch {
            if case .storage(let error) = error { throw error }
            // The form below still works for the other environment.
            return "<p class=\"mistake\" role=\"alert\">\(error.sentence.capitalised).</p>"
        }
        guard !found.isEmpty else {
            return "<p class=\"empty\">There are no domains of \(environment.rawValue) keys.</p>"
        }
        let shown = found.prefix(pageSize)
        let more: HTML =
            found.count > shown.count
            ? Part.more(
                link(Path.domains, [("environment", environment.rawValue), ("after", shown.last?.name.text ?? "")]),
                "More domains") : .empty
        let rows = shown.map { domain -> [HTML] in
            [
                "<a class=\"address\" href=\"\(Path.domain(domain.name, environment))\">\(domain.name.unicodeText)</a>",
                status(domain), domain.isSendingEnabled ? "yes" : "no",
                domain.createdAt.map { visitor.ago($0) } ?? "not known",
            ]
        }
        return
            "\(Part.table("Domains of \(environment.rawValue) keys", ["Domain", "State", "Sends", "Added"], rows))\(more)"
    }

    static func status(_ domain: SendingDomain) -> HTML {
        switch domain.status {
        case .verified: Part.badge("verified", .good)
        case .pending: Part.badge("pending", .wait)
        case .notStarted: Part.badge("not started", .wait)
        case .failed: Part.badge("failed", .bad)
        case .temporaryFailure: Part.badge("temporary failure", .bad)
        }
    }

    private static func form(_ form: Form, _ visitor: Visitor) -> HTML {
        visitor.form(
            Path.domains, class: "panel",
            """
            <div class="columns">\(Part.field("Domain", Part.input("name", form.raw("name"), "required spellcheck=\"false\" autocapitalize=\"none\""), hint: "Such as example.com."))\
            \(Part.field("Environment", Part.select("environment", form["environment"], environments), hint: "Live: the relay creates an identity in the SES account."))</div>\
            <p class="actions"><button>Add the domain</button></p>
            """)
    }

    static func add(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        func refused(_ field: String, _ sentence: String) async throws -> HTTPAnswer {
            visitor.page(
                try await make(page, form, visitor, mistake: FormMistake(field, sentence)), .unprocessableContent)
        }
        guard let environment = Environment(rawValue: form["environment"]) else {
            throw Failures.Refused(sentence: "choose live or test", back: Path.domains)
        }
        let name: DomainName
        switch SendingDomainName.read(form["name"]) {
        case .success(let read): name = read
        case .failure(let mistake): return try await refused("name", "The domain \(mistake.predicate)")
        }
        do throws(DomainFailure) {
            _ = try await page.domains.add(name, environment, by: nil)
        } catch {
            if case .storage(let error) = error { throw error }
            return try await refused("name", error.sentence)
        }
        return .redirect(to: Done.domain.at(Path.domain(name, environment)))
    }
}

extension DomainFailure {
    /// The failure for the operator, without a full stop.
    var sentence: String {
        switch self {
        case .notFound: "there is no such domain"
        case .tooMany(let sentence): "no domain can be added: \(sentence)"
        case .refused(let words): "SES does not accept this domain: \(words)"
        case .denied(let permission):
            "the relay's AWS credentials lack the permission \(permission); allow it to their user or role in IAM"
        case .unconfigured: "the domains of live keys are at SES; set ses.region and restart the relay"
        case .unavailable(let predicate): "SES does not answer at the moment: \(predicate)"
        case .busy: "too many requests about domains are in progress; try again in a few seconds"
        case .storage: "the database does not answer"
        }
    }
}
