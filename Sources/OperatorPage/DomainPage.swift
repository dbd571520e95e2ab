import Domains
import HTTPServer
import InternetMessage
import RelayCore
import Resolver

/// One domain, and each of its DNS records with the values in DNS.
enum DomainPage {
    static func make(
        _ page: OperatorPage, _ name: DomainName, _ environment: Environment, _ query: Form, _ visitor: Visitor
    ) async throws -> PageContent {
        let checked: CheckedDomain
        do throws(DomainFailure) {
            checked = try await page.domains.show(name, environment)
        } catch {
            throw refusal(error, environment)
        }
        let domain = checked.domain
        var facts: [(String, HTML)] = [
            ("State", DomainsPage.status(domain)), ("Sends", domain.isSendingEnabled ? "yes" : "no"),
        ]
        if let time = domain.createdAt { facts.append(("Added", visitor.moment(time))) }
        if domain.name.unicodeText != domain.name.text { facts.append(("In DNS", "<code>\(domain.name.text)</code>")) }
        let zone = checked.records.map(\.record.zoneLine).joined(separator: "\n")
        return PageContent(
            title: domain.name.unicodeText, section: .domains, done: Done(query)?.html,
            body: """
                <h1 class="address">\(domain.name.unicodeText) \(Part.environment(environment))</h1>
                \(Part.facts(facts))<p>\(advice(domain, environment))</p>
                \(visitor.form(Path.domainCheck(name, environment), "<p class=\"actions\"><button>Check again</button></p>"))
                <h2>DNS records</h2>\(list(checked))
                <details><summary>As lines of a zone file</summary><div class="copy"><pre tabindex="0"><code>\(lines: zone)</code></pre>\
                <button type="button" class="quiet" data-copy hidden aria-label="Copy all records">Copy</button></div></details>
                """)
    }

    private static func advice(_ domain: SendingDomain, _ environment: Environment) -> HTML {
        switch (environment, domain.status) {
        case (.test, .verified): "It is simulated. No record is looked up."
        case (.test, _): "It is simulated: no record is looked up. <strong>Check again</strong> sets it to verified."
        case (_, .verified): "SES has found the records that it needs."
        case (_, .failed):
            "SES has not found the DKIM records for 72 hours and has stopped looking. Set them, delete the identity at SES, and add the domain again."
        default:
            "Set the records at the domain's DNS provider. SES then finds them without further action, which may take minutes to hours."
        }
    }

    private static func list(_ checked: CheckedDomain) -> HTML {
        guard !checked.records.isEmpty else { return "<p class=\"empty\">It needs no records.</p>" }
        return "<ul class=\"cards\">\(checked.records.map(card))</ul>"
    }

    private static func card(_ checked: CheckedRecord) -> HTML {
        let (record, finding) = (checked.record, checked.finding)
        let tone: Part.Tone =
            switch finding.word {
            case .found: .good
            case .wrong: .bad
            case .missing: record.isRequired ? .bad : .wait
            case .unknown: .wait
            }
        let need: HTML = record.isRequired ? .empty : " <span class=\"muted\">optional</span>"
        let reason: HTML = finding.reason.map { "<p>\($0.capitalised).</p>" } ?? .empty
        let found: HTML =
            finding.word == .wrong
            ? "<h4>Found in DNS</h4>\(finding.values.map { "<pre tabindex=\"0\">\($0)</pre>" as HTML })" : .empty
        return """
            <li class="card"><h3>\(record.type.name) for \(title(record)) \(Part.badge(finding.word.rawValue, tone))\(need)</h3>\(reason)
            <h4>Name</h4>\(Part.copyable(record.name, label: "the name"))<h4>Value</h4>\(Part.copyable(record.value, label: "the value"))\(found)</li>

            """
    }

    private static func title(_ record: DomainRecord) -> String {
        switch record.purpose {
        case .dkim: "DKIM"
        case .spf: "SPF"
        case .dmarc: "DMARC"
        case .mailFrom: "MAIL FROM"
        }
    }

    static func verify(
        _ page: OperatorPage, _ name: DomainName, _ environment: Environment
    ) async throws -> HTTPAnswer {
        do throws(DomainFailure) {
            _ = try await page.domains.verify(name, environment)
        } catch {
            throw refusal(error, environment)
        }
        return .redirect(to: Done.checked.at(Path.domain(name, environment)))
    }

    private static func refusal(_ failure: DomainFailure, _ environment: Environment) -> any Error {
        if case .storage(let error) = failure { return error }
        return Failures.Refused(
            sentence: failure.sentence, back: link(Path.domains, [("environment", environment.rawValue)]))
    }
}
