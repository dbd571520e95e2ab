import ArgumentParser
import RelayCore

struct TemplatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "templates",
        abstract: "Manage templates of emails, from files and with versions.",
        discussion: """
            A template is a subject, an HTML body and a text body with placeholders such as {{ customer.name }}. A \
            request over HTTP names it by "template_id" and gives the "variables"; the relay fills them in. \\{{ \
            writes two braces.

            Templates can live in a repository, each in a directory of its own:

                welcome/template.yaml
                    name: welcome
                    subject: "Welcome, {{ customer.name }}"
                    from: "Shop <shop@example.com>"
                    variables:
                      - name: customer.name
                      - name: order.total
                        type: number
                        default: 0
                welcome/body.html
                    <p>Hello {{ customer.name }}, ...</p>
                welcome/body.txt
                    Hello {{ customer.name }}, ...

            'from', 'reply_to', 'variables' and one of the two bodies are optional. The types of variables are string, \
            number, boolean and date. A placeholder that is not declared is a string that each request must provide. \
            In body.html a value is escaped for its place.

                hiveku-relay templates put templates/
                hiveku-relay templates render welcome \\
                    --variables '{"customer": {"name": "Ada"}}'
                hiveku-relay templates show welcome --to welcome/

            'put' creates templates, or new versions of them. Each save that changes something creates a version; the last \(Template.keptVersions) versions are kept. \
            These templates are shared by all keys without a domain allowlist. A key with an allowlist has its own \
            templates, which --key selects.
            """,
        subcommands: [
            TemplatesList.self, TemplatesShow.self, TemplatesPut.self, TemplatesRollback.self, TemplatesRender.self,
            TemplatesDelete.self,
        ])
}

/// The owner of the templates that a command is about.
struct TemplateOwnerOptions: ParsableArguments {
    @Option(
        help:
            "The templates of the key with this public id, if it has a domain allowlist. (default: the shared templates)"
    )
    var key: KeyID?

    func owner(in store: any RelayStore) async throws -> TemplateOwner {
        guard let key else { return .shared }
        guard let found = try await store.storedKey(key) else { throw StoreError.noSuchKey(key) }
        return found.key.templateOwner
    }
}

/// The template that a command is about.
struct NamedTemplateOptions: ParsableArguments {
    @Argument(help: "The template's name or its id.") var template: String
    @OptionGroup var whose: TemplateOwnerOptions

    /// Finds the template by its id, or by its name among the templates of the owner. An id finds a template of any
    /// owner.
    ///
    /// - Throws: `CommandError` if there is no such template, or if it does not have the version.
    func find(in store: any RelayStore, version: Int? = nil) async throws -> Template {
        if let reference = TemplateReference(template), version == nil || reference.version == nil {
            return try await find(TemplateReference(reference.id, version: version ?? reference.version), in: store)
        }
        let owner = try await whose.owner(in: store)
        guard let found = try await store.template(named: template, of: owner) else { throw none }
        guard let version, version != found.version else { return found }
        return try await find(TemplateReference(found.id, version: version), in: store)
    }

    private func find(_ reference: TemplateReference, in store: any RelayStore) async throws -> Template {
        if let found = try await store.template(reference, of: nil) { return found }
        guard let version = reference.version, try await store.template(TemplateReference(reference.id), of: nil) != nil
        else { throw none }
        throw CommandError(
            "the template \(printable(template)) has no version \(version), or it is no longer kept; 'hiveku-relay templates show' lists the versions"
        )
    }

    var none: CommandError {
        CommandError(
            "no template has the name or id \(printable(template)); 'hiveku-relay templates list' lists all templates")
    }
}

struct TemplatesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List templates, by owner and name.")

    @Option(help: "Only templates of the key with this public id.") var key: KeyID?
    @Flag(help: "Print one JSON object per line.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        var options = TemplateOwnerOptions()
        options.key = key
        var filter = TemplateFilter(owner: key == nil ? nil : try await options.owner(in: store), limit: 500)
        var table = Table(["ID", "NAME", "OWNER", "VERSION", "SAVED (UTC)", "SUBJECT"], rightAligned: [3])
        var isEmpty = true
        while true {
            let page = try await store.templates(filter)
            for template in page {
                isEmpty = false
                if json {
                    try JSONValue(template).print()
                } else {
                    table.append([
                        template.id.text, template.name, template.owner.words, String(template.version),
                        brief(template.updatedAt), String((template.subject ?? "-").prefix(50)),
                    ])
                }
            }
            guard page.count == filter.limit, let last = page.last else { break }
            filter.after = TemplateFilter.Place(last)
        }
        guard !json else { return }
        guard !isEmpty else { return printError("There are no templates: hiveku-relay templates --help") }
        table.print()
    }
}

struct TemplatesShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a template with its versions and statistics, or write it to files.",
        discussion: """
            With --to, writes template.yaml, body.html and body.txt to the directory, in the form that 'hiveku-relay templates put' reads.
            """)

    @OptionGroup var named: NamedTemplateOptions
    @Option(help: "The version. (default: the latest)") var version: Int?
    @Option(
        name: .customLong("to"),
        help: ArgumentHelp(
            "Write the template's files to this directory, which is created if necessary.", valueName: "directory"))
    var directory: String?
    @Flag(help: "With --to: replace existing files, and remove a body that the template does not have.")
    var replace = false
    @Flag(help: "Print one JSON document, with the bodies.") var json = false
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if directory != nil, json { throw ValidationError("--to and --json exclude each other") }
        if replace, directory == nil { throw ValidationError("--replace needs --to") }
    }

    func run() async throws {
        let store = try common.store()
        let now = store.commandClock.now()
        let template = try await named.find(in: store, version: version)
        if let directory {
            try TemplateDirectory(directory).write(template, replacing: replace)
            return printError(
                "Wrote version \(template.version) of \(printable(template.name)) to \(printable(directory)).")
        }
        let statistics = try await store.statistics(of: template.id, now: now)
        let versions = try await store.versions(of: template.id, before: nil, limit: Template.keptVersions)
        if json {
            return try JSONValue(
                template,
                [
                    "statistics": JSONValue(statistics),
                    "versions": .array(versions.map { JSONValue($0) }),
                ]
            ).print()
        }
        let content = template.content
        func octets(_ text: String?) -> String { text.map { "\(grouped($0.utf8.count)) octets" } ?? "-" }
        func counts(_ counts: RecipientCounts) -> String {
            "\(grouped(counts.sent)) sent, \(grouped(counts.delivered)) delivered, \(grouped(counts.bounced)) bounced, \(grouped(counts.complained)) complained"
        }
        printRows([
            ("Id", template.id.text), ("Name", template.name), ("Owner", template.owner.words),
            ("Version", String(template.version)), ("Created", template.createdAt.rfc3339),
            ("Saved", template.updatedAt.rfc3339 + (template.createdBy.map { " by the key \($0)" } ?? "")),
            ("Subject", content.subject ?? "-"), ("From", content.from ?? "-"),
            ("Reply to", content.replyTo.isEmpty ? "-" : content.replyTo.joined(separator: ", ")),
            ("HTML", octets(content.html)), ("Text", octets(content.text)),
            ("Today", counts(statistics.today)), ("7 days", counts(statistics.days7)),
            ("30 days", counts(statistics.days30)),
        ])
        if !content.variables.isEmpty {
            print("")
            var table = Table(["VARIABLE", "TYPE", "REQUIRED", "DEFAULT"])
            for variable in content.variables {
                table.append([
                    variable.name, variable.type.rawValue, variable.isRequired ? "yes" : "no",
                    variable.defaultValue.map { String(decoding: $0.octets, as: UTF8.self) } ?? "-",
                ])
            }
            table.print()
        }
        print("")
        var table = Table(["VERSION", "SAVED (UTC)", "BY", "SUBJECT"], rightAligned: [0])
        for version in versions {
            table.append([
                String(version.version), brief(version.createdAt), version.createdBy?.text ?? "operator",
                String((version.subject ?? "-").prefix(50)),
            ])
        }
        table.print()
    }
}

extension TemplateOwner {
    /// The owner, as tables show it.
    var words: String {
        switch self {
        case .shared: "shared"
        case .key(let id): id.text
        }
    }

    fileprivate var key: KeyID? { if case .key(let id) = self { id } else { nil } }
}

extension JSONValue {
    init(_ template: TemplateSummary) {
        self = .object([
            "id": .string(template.id.text), "name": .string(template.name), "key": JSONValue(template.owner.key?.text),
            "version": .integer(template.version), "subject": JSONValue(template.subject),
            "created_at": JSONValue(template.createdAt), "updated_at": JSONValue(template.updatedAt),
            "created_by": JSONValue(template.createdBy?.text),
        ])
    }

    fileprivate init(_ version: TemplateVersionSummary) {
        self = .object([
            "version": .integer(version.version), "subject": JSONValue(version.subject),
            "created_at": JSONValue(version.createdAt), "created_by": JSONValue(version.createdBy?.text),
        ])
    }

    /// A template with its content. The names of the members are those of the HTTP API.
    fileprivate init(_ template: Template, _ more: [String: JSONValue]) {
        let content = template.content
        let members: [String: JSONValue] = [
            "id": .string(template.id.text), "name": .string(template.name), "key": JSONValue(template.owner.key?.text),
            "version": .integer(template.version), "subject": JSONValue(content.subject),
            "html": JSONValue(content.html), "text": JSONValue(content.text),
            "variables": .array(content.variables.map { .json($0.json) }), "from": JSONValue(content.from),
            "reply_to": JSONValue(content.replyTo), "created_at": JSONValue(template.createdAt),
            "updated_at": JSONValue(template.updatedAt), "created_by": JSONValue(template.createdBy?.text),
        ]
        self = .object(members.merging(more) { own, _ in own })
    }
}
