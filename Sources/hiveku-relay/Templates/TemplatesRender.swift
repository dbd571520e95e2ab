import ArgumentParser
import RelayCore
import Settings
import StrictJSON
import Templates

struct TemplatesRender: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render", abstract: "Print the email that a template gives with some variables. Nothing is sent.",
        discussion: """
            The variables are JSON, nested like their names: '{"customer": {"name": "Ada"}}', or a file that contains \
            it; '-' reads standard input. All missing and unknown variables, and those of a wrong type, are printed at \
            once.
            """)

    enum Part: String, ExpressibleByArgument, CaseIterable {
        case subject, html, text
    }

    @OptionGroup var named: NamedTemplateOptions
    @Option(help: "The version. (default: the latest)") var version: Int?
    @Option(help: ArgumentHelp("JSON, or the file that contains it.", valueName: "json-or-file")) var variables: String?
    @Option(help: "Print only this part, unchanged: subject, html or text.") var part: Part?
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    /// The most octets of a file of variables.
    private static let longestVariables = 8 << 20

    func validate() throws {
        if part != nil, json { throw ValidationError("--part and --json exclude each other") }
    }

    func run() async throws {
        let given = try givenVariables()
        let settings = try common.settings()
        let store = try common.store()
        let template = try await named.find(in: store, version: version)
        let parsed: ParsedTemplate
        let values: TemplateValues
        do throws(TemplateMistakes) {
            parsed = try ParsedTemplate(template.content)
            values = try parsed.values(given)
        } catch {
            for mistake in error.all {
                let name = mistake.pointer.tokens.joined(separator: ".")
                printError(printable(name.isEmpty ? mistake.sentence : "\(name): \(mistake.sentence)"))
            }
            throw ExitCode(1)
        }
        let limit = settings.submission.maximumMessageSize
        guard values.size <= limit else {
            throw CommandError(
                "the email would have \(grouped(values.size)) octets, more than the \(grouped(limit)) of submission.max_message_size"
            )
        }
        try tell(parsed.render(values), template)
    }

    /// Reads the variables before the command becomes another user, who may not be able to read the file.
    private func givenVariables() throws -> JSON? {
        guard let variables else { return nil }
        let isInline = variables.utf8.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
        let octets =
            isInline
            ? Array(variables.utf8)
            : try TemplateDirectory.octets(of: variables, atMost: TemplatesRender.longestVariables)
        do throws(JSONError) {
            return try JSON(reading: octets)
        } catch {
            throw CommandError("\(isInline ? "--variables" : printable(variables)): \(error)")
        }
    }

    private func tell(_ rendered: RenderedTemplate, _ template: Template) throws {
        if json {
            return try JSONValue.object([
                "id": .string(template.id.text), "version": .integer(template.version),
                "subject": JSONValue(rendered.subject), "html": JSONValue(rendered.html),
                "text": JSONValue(rendered.text), "from": JSONValue(rendered.from),
                "reply_to": JSONValue(rendered.replyTo),
            ]).print()
        }
        if let part {
            let text =
                switch part {
                case .subject: rendered.subject.map { $0 + "\n" }
                case .html: rendered.html
                case .text: rendered.text
                }
            guard let text else { throw CommandError("the template has no \(part.rawValue)") }
            return try Output.write(Array(text.utf8))
        }
        printRows([
            ("From", rendered.from ?? "-"),
            ("Reply to", rendered.replyTo.isEmpty ? "-" : rendered.replyTo.joined(separator: ", ")),
            ("Subject", rendered.subject ?? "-"),
        ])
        for (title, body) in [("TEXT", rendered.text), ("HTML", rendered.html)] {
            guard let body else { continue }
            print("\n\(title)")
            // `printable` escapes line ends, which must be printed here. So it gets each line by itself.
            var lines = body.split(omittingEmptySubsequences: false) { $0.isNewline }
            if lines.last?.isEmpty == true { lines.removeLast() }
            print(lines.map { printable(String($0)) }.joined(separator: "\n"))
        }
    }
}

struct TemplatesRollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Go back to an earlier version of a template.",
        discussion: "The content of that version becomes the next version, so nothing is lost.")

    @OptionGroup var named: NamedTemplateOptions
    @Option(help: "The version to go back to.") var version: Int
    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let old = try await named.find(in: store, version: version)
        let saving = try await store.saveTemplate(old.id, of: nil, by: nil, now: store.commandClock.now()) {
            $0.content = old.content
        }
        guard case .saved(let template, let before) = saving else { throw named.none }
        if json {
            return try JSONValue.object([
                "id": .string(template.id.text), "name": .string(template.name),
                "version": .integer(template.version),
            ]).print()
        }
        let name = printable(template.name)
        printError(
            template.version == before.version
                ? "Nothing changed: version \(template.version) of \(name) has the same content as version \(version)."
                : "Version \(template.version) of \(name) has the content of version \(version).")
    }
}

struct TemplatesDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a template with all its versions.",
        discussion: """
            Requests that name it are refused from then on. Messages that were made from it stay as they are.
            """)

    @OptionGroup var named: NamedTemplateOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let store = try common.store()
        let template = try await named.find(in: store)
        guard try await store.deleteTemplate(template.id, of: nil) else { throw named.none }
        printError("Deleted the template \(printable(template.name)) (\(template.id)).")
    }
}
