import HTTPServer
import HTTPTypes
import RelayCore
import TemplateFiles
import Templates

/// The form for writing a template, with its preview beside it.
enum TemplateEditor {
    /// The content of the form.
    private struct Fields {
        var name = ""
        var subject = ""
        var from = ""
        var replyTo = ""
        /// YAML, as in a file.
        var variables = ""
        var html = ""
        var text = ""
        /// The version that is being edited; empty for a new template.
        var version = ""

        init() {}

        init(_ template: Template) {
            let content = template.content
            name = template.name
            subject = content.subject ?? ""
            from = content.from ?? ""
            replyTo = content.replyTo.joined(separator: ", ")
            // Variables with the default rules are left out. So a variable goes away together with its placeholder.
            let used = ParsedTemplate.names(in: content)
            variables = TemplateFiles.description(
                of: content.variables.filter { $0 != TemplateVariable(name: $0.name) || !used.contains($0.name) })
            html = content.html ?? ""
            text = content.text ?? ""
            version = String(template.version)
        }

        /// A browser ends each line with CRLF, which becomes LF here.
        init(_ form: Form) {
            func lines(_ name: String) -> String { form.raw(name).replacing("\r\n", with: "\n") }
            name = form["name"]
            subject = form["subject"]
            from = form["from"]
            replyTo = form["reply_to"]
            variables = lines("variables")
            html = lines("html")
            text = lines("text")
            version = form["version"]
        }

        /// The result has the line ends that the template had before.
        func read(endingLinesAs before: TemplateContent?) throws(FileMistakes) -> TemplateFiles {
            func body(_ text: String, _ before: String?) -> String? {
                if text.isEmpty { return nil }
                return before?.utf8.contains(0x0D) == true ? text.replacing("\n", with: "\r\n") : text
            }
            return try TemplateFiles(
                fields: .init(
                    name: name, subject: subject, from: from,
                    replyTo: replyTo.split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }),
                variables: variables, html: body(html, before?.html), text: body(text, before?.text))
        }
    }

    // MARK: Pages

    static func new(_ visitor: Visitor) -> PageContent { page(nil, Fields(), [], visitor) }

    static func edit(_ page: OperatorPage, _ id: TemplateID, _ visitor: Visitor) async throws -> PageContent {
        self.page(id, Fields(try await TemplatePage.template(page, id, version: nil)), [], visitor)
    }

    private static func page(
        _ id: TemplateID?, _ fields: Fields, _ mistakes: [String], _ visitor: Visitor
    ) -> PageContent {
        let list: HTML =
            mistakes.isEmpty
            ? .empty
            : """
            <div class="mistake" role="alert"><p>Nothing has been saved yet:</p><ul>\(mistakes.map { "<li>\($0)</li>" as HTML })</ul></div>
            """
        let title = id == nil ? "Write a template" : "Edit \(fields.name)"
        let target = id.map { Path.templateAction($0, .save) } ?? Path.templates
        return PageContent(
            title: title, section: .templates,
            body: """
                <h1>\(title)</h1>\(list)
                \(visitor.form(target, class: "editor", "\(inputs(fields))\(preview(fields))"))
                """)
    }

    private static func inputs(_ fields: Fields) -> HTML {
        func area(_ name: String, _ text: String, rows: Int) -> HTML {
            // The first line end within a text area is ignored.
            "<textarea name=\"\(name)\" rows=\"\(rows)\" spellcheck=\"false\">\n\(exactly: text)</textarea>"
        }
        return """
            <div class="write"><input type="hidden" name="version" value="\(fields.version)">
            \(Part.field("Name", Part.input("name", fields.name, "required maxlength=\"\(Template.longestName)\"")))
            \(Part.field("Subject", Part.input("subject", fields.subject), hint: "Empty: each request must have one."))
            <div class="columns">\(Part.field("From", Part.input("from", fields.from, "placeholder=\"Shop <shop@example.com>\""), hint: "Empty: each request must have one."))\
            \(Part.field("Reply to", Part.input("reply_to", fields.replyTo), hint: "Addresses, separated by commas."))</div>
            \(Part.field("HTML", area("html", fields.html, rows: 16), hint: "Placeholders such as <code>{{ customer.name }}</code>. Values are escaped for their place."))
            \(Part.field("Text", area("text", fields.text, rows: 8), hint: "Shown by mail programs that show no HTML. One of the two is enough."))
            \(Part.field("Variables", area("variables", fields.variables, rows: 6), hint: "A variable that is not listed here is a string that each request must provide. <code>- name: total</code>, and below it <code>type: number</code>, <code>required: false</code> or <code>default: 0</code>."))
            <p class="actions"><button>Save</button></p></div>
            """
    }

    private static func preview(_ fields: Fields) -> HTML {
        """
        <div class="preview"><div class="title"><h2>Preview</h2>\
        <button class="quiet" formaction="\(Path.previewTemplate)" formtarget="preview" formnovalidate data-preview>Preview</button></div>
        <iframe class="mail" sandbox name="preview" title="Preview"></iframe>
        \(Part.field("Values", "<textarea name=\"values\" rows=\"4\" spellcheck=\"false\"></textarea>", hint: "JSON, such as <code>{\"customer\": {\"name\": \"Ada\"}}</code>. Empty: the relay uses sample values."))
        <fieldset class="wide"><legend>Show</legend>\
        <label class="check"><input type="radio" name="show" value="html" checked> <span>HTML</span></label>\
        <label class="check"><input type="radio" name="show" value="text"> <span>text</span></label></fieldset></div>
        """
    }

    // MARK: Actions

    private static func refused(
        _ id: TemplateID?, _ fields: Fields, _ mistakes: [String], _ visitor: Visitor
    ) -> HTTPAnswer {
        visitor.page(page(id, fields, mistakes, visitor), .unprocessableContent)
    }

    private static let nameTaken = "Name: another template has this name; choose another one."

    static func create(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let fields = Fields(form)
        let files: TemplateFiles
        do throws(FileMistakes) {
            files = try fields.read(endingLinesAs: nil)
        } catch {
            return refused(nil, fields, error.sentences, visitor)
        }
        var generator = SystemRandomNumberGenerator()
        let template = Template(
            id: TemplateID(using: &generator), owner: .shared, name: files.name, content: files.content,
            createdAt: visitor.now, updatedAt: visitor.now)
        switch try await page.store.insert(template) {
        case .inserted: return .redirect(to: Done.templateSaved.at(Path.template(template.id)))
        case .nameTaken: return refused(nil, fields, [nameTaken], visitor)
        case .tooMany:
            return refused(
                nil, fields, ["There are already \(Template.mostOfOwner) templates; delete some first."], visitor)
        }
    }

    /// Another operator or key has saved a version since this one was opened.
    private struct Overtaken: Error {
        var version: Int
    }

    static func save(
        _ page: OperatorPage, _ id: TemplateID, _ form: Form, _ visitor: Visitor
    ) async throws -> HTTPAnswer {
        var fields = Fields(form)
        let before = try await TemplatePage.template(page, id, version: nil)
        let files: TemplateFiles
        do throws(FileMistakes) {
            files = try fields.read(endingLinesAs: before.content)
        } catch {
            return refused(id, fields, error.sentences, visitor)
        }
        let edited = TemplatePage.version(fields.version)
        let name = files.name
        var content = files.content
        // A new order of the variables alone is not a change.
        if Set(content.variables) == Set(before.content.variables) { content.variables = before.content.variables }
        let saving = try await page.store.saveTemplate(id, of: nil, by: nil, now: page.clock.now()) {
            [content] template in
            guard template.version == edited else { throw Overtaken(version: template.version) }
            (template.name, template.content) = (name, content)
        }
        switch saving {
        case .saved: return .redirect(to: Done.templateSaved.at(Path.template(id)))
        case .nameTaken: return refused(id, fields, [nameTaken], visitor)
        case .notFound: throw TemplatePage.gone()
        case .refused(let error as Overtaken):
            fields.version = String(error.version)
            return refused(
                id, fields,
                [
                    "Version \(error.version) was saved in the meantime. Look at it first. To replace it with the content of this form, save again."
                ], visitor)
        case .refused(let error): throw error
        }
    }

    static func preview(_ page: OperatorPage, _ form: Form) async throws -> HTTPAnswer {
        try await page.turns.with(TemplatePreview.octets) {
            do throws(FileMistakes) {
                let files = try Fields(form).read(endingLinesAs: nil)
                return TemplatePreview.answer(files.content, values: form["values"], showsText: form["show"] == "text")
            } catch {
                return TemplatePreview.answer(error.sentences)
            }
        }
    }
}

extension FileMistakes {
    /// The mistakes as a list: `HTML, line 3, column 5: …`
    var sentences: [String] {
        all.map { mistake in
            let place = mistake.place
            var words = place.file
            if let line = place.line { words += ", line \(line)" }
            if place.line != nil, let column = place.column { words += ", column \(column)" }
            return "\(words): \(mistake.problem)."
        }
    }
}
