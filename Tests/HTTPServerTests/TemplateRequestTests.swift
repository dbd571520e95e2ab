import HTTPTypes
import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON
import Templates
import TestSupport
import Testing

@testable import HTTPServer

/// The mistakes in a document. Each line has a kind, a place and a sentence.
private func mistakes(_ body: () throws -> Void) -> [String] {
    do {
        try body()
        return []
    } catch EmailRequestFailure.invalid(let errors) {
        return errors.map { "\($0.kind) \($0.pointer.fragment) \($0.detail)" }
    } catch {
        return ["\(error)"]
    }
}

@Suite("Emails that are made from templates") struct TemplatedEmailTests {
    private static let id = "tpl_0123456789abcdefghjk"
    private let now = Timestamp(milliseconds: 1_795_824_000_000)

    private func context(_ content: TemplateContent, room: Int = 10_000, perEmail: Int = 10_000) throws
        -> EmailRequest.Context
    {
        let id = try #require(TemplateID(Self.id))
        var context = EmailRequest.Context(now: now, maximumRecipients: 5)
        context.templates.add(
            Template(id: id, owner: .shared, name: "n", version: 7, content: content, createdAt: now, updatedAt: now),
            as: TemplateReference(id))
        context.rendering = RenderingRoom(perEmail: perEmail, total: room)
        return context
    }

    private let greeting = TemplateContent(
        subject: "Hello {{name}}", html: "<p>{{name}}</p>", text: "{{name}}", from: "Acme <a@example.com>",
        replyTo: ["r@example.com", "s@example.com"])

    @Test("The template supplies the fields that the request lacks") func defaults() throws {
        let document: JSON = ["to": "b@example.net", "template_id": JSON(Self.id), "variables": ["name": "<Ann>"]]
        let request = try EmailRequest(document, idempotencyKey: nil, try context(greeting))
        #expect(request.email.subject == "Hello <Ann>")
        #expect(request.email.html == "<p>&lt;Ann&gt;</p>" && request.email.text == "<Ann>")
        #expect(request.email.from.address.text == "a@example.com" && request.email.from.displayName == "Acme")
        #expect(request.email.replyTo.map(\.address.text) == ["r@example.com", "s@example.com"])
        #expect(request.template?.description == "\(Self.id)@7")
    }

    @Test("A field of the request replaces that of the template") func overrides() throws {
        let document: JSON = [
            "to": "b@example.net", "from": "c@example.com", "reply_to": "d@example.com", "subject": "{{name}}",
            "template_id": JSON(Self.id), "variables": ["name": "Ann"],
        ]
        let request = try EmailRequest(document, idempotencyKey: nil, try context(greeting))
        #expect(request.email.subject == "{{name}}" && request.email.from.address.text == "c@example.com")
        #expect(request.email.replyTo.map(\.address.text) == ["d@example.com"])
    }

    @Test("All mistakes are reported at once, each with its place") func allAtOnce() throws {
        let document: JSON = [
            "to": "nobody", "html": "<p>", "template_id": JSON(Self.id), "variables": ["nme": "Ann"], "tags": 1,
        ]
        let context = try context(greeting)
        let found = mistakes { _ = try EmailRequest(document, idempotencyKey: nil, context) }
        #expect(found.count == 5)
        for mistake in [
            ["templateVariables #/variables/nme", #""nme""#, #""name""#],
            ["templateVariables #/variables/name", #""name""#, "required", "string"],
            ["invalid #/html", "html", "template_id"],
        ] {
            #expect(found.contains { tells($0, mistake) }, "\(mistake) in \(found)")
        }
        let only: JSON = ["to": "b@example.net", "template_id": JSON(Self.id)]
        do throws(EmailRequestFailure) {
            _ = try EmailRequest(only, idempotencyKey: nil, context)
            Issue.record("the email was accepted")
        } catch {
            #expect(Problem(error).code == .templateVariables)
            #expect(Problem(error).status == .unprocessableContent)
        }
    }

    @Test(
        "A missing template is reported with its place",
        arguments: ["tpl_00000000000000000000", "tpl_0123456789abcdefghjk@3", "welcome"])
    func missing(_ id: String) throws {
        let document: JSON = ["to": "b@example.net", "template_id": JSON(id)]
        let context = try context(greeting)
        let found = mistakes { _ = try EmailRequest(document, idempotencyKey: nil, context) }
        // Without the template, the relay can't know what else is missing.
        #expect(found.count == 1 && found[0].hasPrefix("invalid #/template_id "), "\(found)")
    }

    @Test("Fields that neither the request nor the template has are reported") func lacking() throws {
        let document: JSON = ["to": "b@example.net", "template_id": JSON(Self.id)]
        let context = try context(TemplateContent(text: "t"))
        let missing = mistakes { _ = try EmailRequest(document, idempotencyKey: nil, context) }
        #expect(
            tells(
                missing,
                [
                    ["invalid #/from", "from", "required", "user@example.com", "Name <user@example.com>"],
                    ["invalid #/subject", "subject", "required", "template", "string"],
                ]), "\(missing)")
        let without: JSON = [
            "to": "b@example.net", "from": "a@example.com", "subject": "s", "text": "t", "variables": ["a": "b"],
        ]
        let useless = mistakes { _ = try EmailRequest(without, idempotencyKey: nil, context) }
        #expect(tells(useless, [["invalid #/variables", "variables", "template_id"]]), "\(useless)")
    }

    @Test("An email that would be too large is refused before it is rendered") func size() throws {
        let document: JSON = [
            "to": "b@example.net", "template_id": JSON(Self.id),
            "variables": ["name": JSON(String(repeating: "&", count: 2000))],
        ]
        let context = try context(greeting)
        do throws(EmailRequestFailure) {
            _ = try EmailRequest(document, idempotencyKey: nil, context)
            Issue.record("the email was accepted")
        } catch {
            #expect(Problem(error).code == .refusal(.size))
            #expect(Problem(error).status == .contentTooLarge)
        }
        let subject: JSON = [
            "to": "b@example.net", "template_id": JSON(Self.id),
            "variables": ["name": JSON(String(repeating: "x", count: 4200))],
        ]
        let roomy = try self.context(greeting, room: 100_000, perEmail: 100_000)
        let found = mistakes { _ = try EmailRequest(subject, idempotencyKey: nil, roomy) }
        #expect(tells(found, [["invalid #/variables", "subject", "4096"]]), "\(found)")
    }

    @Test("The emails of a batch share the space for rendering") func batch() throws {
        let item: JSON = ["to": "b@example.net", "template_id": JSON(Self.id), "variables": ["name": "123456789"]]
        let wrong: JSON = ["to": "b@example.net", "template_id": JSON(Self.id)]
        // Each email needs 40 octets: 15 for the subject, 16 for the HTML, 9 for the text.
        let batch = try EmailBatch(
            [item, wrong, item, item], idempotencyKey: nil, try context(greeting, room: 80))
        #expect(batch.items.map { (try? $0.get()) != nil } == [true, false, true, false])
        guard case .failure(let failure) = batch.items[3] else { return }
        #expect(Problem(failure).code == .refusal(.size))
        #expect(Problem(failure).mistakes.first?.pointer.fragment == "#/3/variables")
    }

    @Test("Each template of a request is looked up once, and there is a limit") func references() throws {
        func email(_ id: String) -> JSON { ["template_id": JSON(id)] }
        let ids = (0..<30).map { "\(Self.id)@\($0 + 1)" }
        #expect(RequestTemplates.references(in: email(Self.id)).map(\.description) == [Self.id])
        #expect(RequestTemplates.references(in: .array([email(ids[0]), email(ids[1]), email(ids[0]), 1])).count == 2)
        #expect(RequestTemplates.references(in: ["emails": .array(ids.map(email))]).count == 21)
        #expect(RequestTemplates.references(in: ["template_id": 1]).isEmpty)
        // Without its values, the greeting has 6 octets of subject, 7 of HTML and none of text.
        let templates = try context(greeting).templates
        #expect(templates.leastSize(of: .array([email(Self.id), email(Self.id), email(ids[0]), 1])) == 26)
        #expect(templates.leastSize(of: email(Self.id)) == 13)
    }
}

@Suite("The documents of templates") struct TemplateFieldsTests {
    private static let id = "tpl_0123456789abcdefghjk"

    @Test("All mistakes are reported at once") func allAtOnce() throws {
        let document: JSON = [
            "name": "tpl_a", "html": "<p {{a}}>{{b", "text": 1, "variable": [],
            "variables": [
                ["name": "a.1"], ["name": "b", "type": "int"], ["type": "date", "default": "x", "required": 1], 1,
            ],
            "reply_to": ["a@example.com", 2], "from": "{{a}}@example.com",
        ]
        let found = mistakes { _ = try TemplateFields(document, isComplete: true) }
        let places = found.map { $0.split(separator: " ")[1] }
        #expect(
            Set(places) == [
                "#/variable", "#/name", "#/text", "#/variables/0/name", "#/variables/1/type", "#/variables/2/name",
                "#/variables/2/default", "#/variables/2/required", "#/variables/3", "#/reply_to/1", "#/html", "#/from",
            ], "\(found)")
        #expect(found.contains { $0.mentions(" #/html ", "1", "4", "tag") }, "\(found)")
    }

    @Test("A change keeps the fields that it does not name, and removes those that are null") func change() throws {
        let before = TemplateContent(
            subject: "{{s}}", html: "{{a}} {{c}}", text: "t",
            variables: [.init(name: "s"), .init(name: "a", type: .number), .init(name: "c")], from: "a@example.com")
        let fields = try TemplateFields(["html": "{{a}} {{n}}", "text": nil, "from": nil], isComplete: false)
        let after = try fields.checked(before)
        #expect(after.html == "{{a}} {{n}}" && after.text == nil && after.from == nil && after.subject == "{{s}}")
        // No placeholder uses c any more.
        #expect(after.variables == [.init(name: "s"), .init(name: "a", type: .number), .init(name: "n")])
        let found = mistakes { _ = try TemplateFields(["html": nil, "text": nil], isComplete: false).checked(before) }
        #expect(tells(found, [["invalid #/text", "html", "text", "required"]]), "\(found)")
    }

    @Test("A variable with a default is not required") func defaults() throws {
        let document = Array(
            #"{"name": "n", "text": "{{a}}", "variables": [{"name": "a", "type": "number", "default": 1.0e1}]}"#.utf8)
        let fields = try TemplateFields(try JSON(reading: document), isComplete: true)
        let variable = try #require(try fields.checked(TemplateContent()).variables.first)
        #expect(
            !variable.isRequired && variable.defaultValue.map { String(decoding: $0.octets, as: UTF8.self) } == "1.0e1")
    }

    @Test(arguments: [
        ("GET", "", "list"), ("POST", "", "create"), ("GET", "/\(id)", "show"), ("HEAD", "/\(id)", "show"),
        ("PATCH", "/\(id)", "change"), ("DELETE", "/\(id)", "delete"), ("GET", "/\(id)/versions", "versions"),
        ("GET", "/\(id)/versions/3", "version"), ("POST", "/\(id)/render", "render"),
        ("POST", "/\(id)/rollback", "rollBack"),
    ])
    func routes(_ method: String, _ rest: String, _ what: String) throws {
        let finding = Route.find(try #require(HTTPRequest.Method(method)), TemplateRoute.path + rest)
        guard case .found(.templates(let route)) = finding else {
            Issue.record("\(finding)")
            return
        }
        #expect("\(route)".contains(what))
        #expect(Route.templates(route).scope == .templates)
    }

    @Test(arguments: [
        "/", "/x", "/\(id)/", "/\(id)/versions/", "/\(id)/versions/0", "/\(id)/versions/x", "/\(id)/versions/1/2",
        "/\(id)/other",
        "s",
    ])
    func noRoutes(_ rest: String) { #expect(Route.find(.get, TemplateRoute.path + rest) == .notFound) }

    @Test("A cursor can be decoded to its text", arguments: ["", "a", "é=/+", "."]) func cursors(_ text: String) {
        let cursor = TextCursor.encoded(text)
        #expect(TextCursor.text(cursor) == text)
        #expect(!cursor.isEmpty && cursor.utf8.allSatisfy { $0 != 0x3D && $0 != 0x2F && $0 != 0x2B })
        #expect(TextCursor.text(cursor + "!") == nil)
    }
}
