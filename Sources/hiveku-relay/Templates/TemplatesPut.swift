import ArgumentParser
import RelayCore
import TemplateFiles

struct TemplatesPut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Create templates from files, or new versions of them.",
        discussion: """
            Each path is a directory with template.yaml or template.json, that file, a directory that contains such \
            directories, or a YAML or JSON file of any name that has the bodies as "html" and "text" too, as the HTTP \
            API takes it. Templates are matched by name, in upper or lower case. If there is no template with this name, it is created. If \
            there is one and the files differ from it, it gets a new version. If they are the same, nothing changes. \
            'hiveku-relay templates --help' shows example files.

            All mistakes of all files are printed, each with its line and column, before anything is saved.
            """)

    @Argument(help: ArgumentHelp("Directories of templates, or files.", valueName: "path"))
    var paths: [String]
    @OptionGroup var whose: TemplateOwnerOptions
    @Flag(help: "Only check the files: nothing is saved.") var check = false
    @Flag(help: "Print one JSON object for each template.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let templates = try read()
        guard !check else {
            return printError("\(counted(templates.count, "template is", "templates are")) without a mistake.")
        }
        let store = try common.store()
        let owner = try await whose.owner(in: store)
        for template in templates { try await put(template, owner, store) }
    }

    /// Reads all files before the command becomes another user, who may not be able to read them.
    private func read() throws -> [TemplateFiles] {
        var templates: [TemplateFiles] = []
        var mistakes: [FileMistake] = []
        var seen: Set<String> = []
        for directory in try paths.flatMap({ try TemplateDirectory.all(at: $0) })
        where seen.insert(try directory.description() ?? directory.path).inserted {
            do {
                templates.append(try directory.read())
            } catch let error as FileMistakes {
                mistakes += error.all
            }
        }
        var places: [String: FilePlace] = [:]
        for template in templates {
            let key = Template.nameKey(template.name)
            if let first = places[key] {
                mistakes.append(
                    FileMistake(template.place, "the template in \(first) has the same name; choose another one"))
            }
            places[key] = places[key] ?? template.place
        }
        guard mistakes.isEmpty else {
            for mistake in mistakes { printError(printable("\(mistake)")) }
            printError("\(counted(mistakes.count, "mistake", "mistakes")); nothing is saved.")
            throw ExitCode(1)
        }
        return templates
    }

    private enum Outcome: String {
        case created, saved, unchanged
    }

    private func put(_ files: TemplateFiles, _ owner: TemplateOwner, _ store: any RelayStore) async throws {
        // Another process may create or delete the template between the look-up and the saving. In that case, try
        // again.
        for _ in 0..<5 {
            let now = store.commandClock.now()
            guard let found = try await store.template(named: files.name, of: owner) else {
                var generator = SystemRandomNumberGenerator()
                let template = Template(
                    id: TemplateID(using: &generator), owner: owner, name: files.name, content: files.content,
                    createdAt: now, updatedAt: now)
                switch try await store.insert(template) {
                case .inserted: return try tell(template, .created)
                case .nameTaken: continue
                case .tooMany:
                    throw CommandError(
                        "there are already \(Template.mostOfOwner) templates; delete some: hiveku-relay templates delete --help"
                    )
                }
            }
            let (name, content) = (files.name, files.content)
            let saving = try await store.saveTemplate(found.id, of: owner, by: nil, now: now) { template in
                (template.name, template.content) = (name, content)
            }
            switch saving {
            case .saved(let template, let before):
                return try tell(template, template == before ? .unchanged : .saved, formerName: before.name)
            case .notFound, .nameTaken: continue
            case .refused(let error): throw error
            }
        }
        throw CommandError(
            "another process is changing the template \(printable(files.name)) at the same time; try again")
    }

    private func tell(_ template: Template, _ outcome: Outcome, formerName: String? = nil) throws {
        if json {
            return try JSONValue.object([
                "id": .string(template.id.text), "name": .string(template.name),
                "version": .integer(template.version), "outcome": .string(outcome.rawValue),
            ]).print()
        }
        let what =
            switch outcome {
            case .created: "created as \(template.id)"
            case .saved: "saved as version \(template.version) of \(template.id)"
            case .unchanged: "nothing changed: version \(template.version) of \(template.id) has the same content"
            }
        print("\(printable(template.name)): \(what)")
        if let formerName, formerName != template.name {
            print("\(printable(formerName)) is now called \(printable(template.name))")
        }
    }
}
