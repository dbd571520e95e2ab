import Domains
import Foundation
import HTTPTypes
import InternetMessage
import MessageComposition
import ProcessSupport
import RelayCore
import Resolver
import StrictJSON
import Testing

@testable import HTTPServer

@Suite("The OpenAPI document")
struct OpenAPIDocumentTests {
    private let document: JSON

    init() throws { document = try JSON(reading: Array(OpenAPIDocument.text.utf8)) }

    /// The value at a JSON pointer. A slash in a name is written as `~1`.
    private func value(_ pointer: String) throws -> JSON {
        var value = document
        for token in pointer.split(separator: "/") {
            let name = token.split(separator: "~1", omittingEmptySubsequences: false).joined(separator: "/")
            guard case .object(let object) = value else { throw NoSuchPlace(pointer: pointer) }
            value = try #require(object[name], "\(pointer): no \(name)")
        }
        return value
    }

    private struct NoSuchPlace: Error {
        let pointer: String
    }

    private func strings(_ pointer: String) throws -> [String] {
        guard case .array(let elements) = try value(pointer) else { throw NoSuchPlace(pointer: pointer) }
        return elements.compactMap { if case .string(let string) = $0 { string.text } else { nil } }
    }

    private func text(_ pointer: String) throws -> String {
        guard case .string(let string) = try value(pointer) else { throw NoSuchPlace(pointer: pointer) }
        return string.text
    }

    private func names(_ pointer: String) throws -> [String] {
        guard case .object(let object) = try value(pointer) else { throw NoSuchPlace(pointer: pointer) }
        return object.members.map(\.name.text)
    }

    /// A validator of OpenAPI in Python checks the document. A validator of JSON Schema checks its examples.
    @Test("Follows the OpenAPI specification, and its examples follow its schemas")
    func specification() throws {
        let script = """
            import json, sys
            from jsonschema import Draft202012Validator
            from openapi_spec_validator import validate
            from referencing import Registry
            from referencing.jsonschema import DRAFT202012
            document = json.load(sys.stdin)
            validate(document)
            resource = DRAFT202012.create_resource(document)
            registry = Registry().with_resource("urn:api", resource)
            count = 0
            def absolute(node):
                if isinstance(node, dict):
                    return {k: "urn:api" + v if k == "$ref" else absolute(v) for k, v in node.items()}
                return [absolute(n) for n in node] if isinstance(node, list) else node
            def look(node):
                global count
                if isinstance(node, list):
                    for item in node: look(item)
                if not isinstance(node, dict): return
                examples = [node["example"]] if "example" in node else []
                found = node.get("examples", {})
                if isinstance(found, dict) and "schema" in node: examples += [e["value"] for e in found.values()]
                schema = node.get("schema")
                if isinstance(found, list) and "type" in node: examples, schema = found, {k: v for k, v in node.items()}
                if isinstance(schema, dict):
                    for example in examples:
                        Draft202012Validator(absolute(schema), registry=registry).validate(example)
                        count += 1
                for key, item in node.items():
                    if key not in ("example", "examples"): look(item)
            look(document)
            assert count >= 10, count
            """
        let input = Pipe()
        let errors = Pipe()
        let process = try ChildProcess(
            [ProcessInfo.processInfo.environment["PYTHON"] ?? "python3", "-c", script],
            input: input.fileHandleForReading, errors: errors.fileHandleForWriting)
        // The error output ends when the last handle for writing to it is closed.
        try errors.fileHandleForWriting.close()
        try input.fileHandleForWriting.write(contentsOf: Data(document.bytes))
        try input.fileHandleForWriting.close()
        let words = try errors.fileHandleForReading.readToEnd() ?? Data()
        #expect(process.wait() == 0, "\(String(decoding: words, as: UTF8.self))")
    }

    @Test("Has the fields and bounds that the server checks")
    func fields() throws {
        #expect(try names("components/schemas/Email/properties") == FieldNames.email.known)
        #expect(try names("components/schemas/Attachment/properties") == FieldNames.attachment.known)
        #expect(try value("components/schemas/Email/properties/tags/maxItems") == JSON(EmailReader.maximumTagElements))
        let email = "components/schemas/Email/properties"
        #expect(try value("\(email)/subject/maxLength") == JSON(Email.maximumSubjectLength))
        #expect(try value("\(email)/attachments/maxItems") == JSON(Email.maximumAttachments))
        #expect(try value("\(email)/headers/maxProperties") == JSON(Email.maximumHeaders))
        #expect(
            try value("\(email)/headers/propertyNames/maxLength") == JSON(Email.HeaderField.maximumNameLength))
        #expect(
            try value("\(email)/headers/additionalProperties/maxLength") == JSON(Email.HeaderField.maximumValueLength))
        #expect(try value("components/schemas/Mailbox/maxLength") == JSON(Mailbox.maximumLength))
        let attachment = "components/schemas/Attachment/properties"
        #expect(try value("\(attachment)/filename/maxLength") == JSON(Email.Attachment.maximumFilenameLength))
        #expect(try value("\(attachment)/content_type/maxLength") == JSON(Email.Attachment.maximumContentTypeLength))
        #expect(try value("\(attachment)/content_id/maxLength") == JSON(Email.Attachment.maximumContentIDLength))
        #expect(try value("components/schemas/Tag/minLength") == 1)
        #expect(try value("components/schemas/Tag/maxLength") == JSON(MessageTags.maximumLength))
        #expect(try value("components/schemas/Emails/minItems") == JSON(EmailBatch.sizes.lowerBound))
        #expect(try value("components/schemas/Emails/maxItems") == JSON(EmailBatch.sizes.upperBound))
        #expect(
            try value("components/schemas/IdempotencyKey/maxLength") == JSON(IdempotencyKeyRule.lengths.upperBound))
        #expect(
            try value("components/schemas/Problem/properties/errors/maxItems") == JSON(ValidationErrors.limit + 1))
    }

    @Test("Has the bounds of templates")
    func templates() throws {
        let new = "/components/schemas/NewTemplate/properties"
        #expect(try names(new) == FieldNames.template.known)
        #expect(try names("/components/schemas/TemplateChange/properties") == FieldNames.template.known)
        #expect(try value("\(new)/name/maxLength") == JSON(Template.longestName))
        #expect(try value("\(new)/subject/maxLength") == JSON(TemplateContent.longestSubject))
        #expect(try value("\(new)/html/maxLength") == JSON(TemplateContent.longestBody))
        #expect(try value("\(new)/text/maxLength") == JSON(TemplateContent.longestBody))
        #expect(try value("\(new)/from/maxLength") == JSON(TemplateContent.longestAddress))
        #expect(try value("\(new)/variables/maxItems") == JSON(TemplateContent.mostVariables))
        let variable = "/components/schemas/TemplateVariable/properties"
        #expect(try names(variable) == FieldNames.variable.known)
        #expect(try value("\(variable)/name/maxLength") == JSON(TemplateVariable.longestName))
        #expect(try strings("\(variable)/type/enum") == TemplateVariableType.allCases.map(\.rawValue))
        #expect(try names("/components/schemas/TemplateValues/properties") == FieldNames.render.known)
        #expect(try names("/components/schemas/TemplateRollback/properties") == FieldNames.rollback.known)
        let versions = try text("/paths/~1v1~1email~1templates~1{id}~1versions/get/description")
        #expect(versions.contains(" \(Template.keptVersions) "))
        let templateID = try text("/components/schemas/Email/properties/template_id/description")
        #expect(templateID.contains(" \(RequestTemplates.mostReferences) "))
    }

    @Test("Knows the events of webhooks, and how many a key has")
    func webhooks() throws {
        #expect(try strings("/components/schemas/WebhookEvents/items/enum") == WebhookEventName.known)
        #expect(
            try strings("/components/schemas/WebhookDelivery/properties/status/enum") == [
                "waiting", "delivered", "failed",
            ])
        #expect(try names("/components/schemas/NewWebhook/properties") == FieldNames.webhook.known)
        #expect(try names("/components/schemas/WebhookChange/properties") == FieldNames.webhook.known)
        #expect(try value("/components/schemas/WebhookURL/maxLength") == JSON(Webhook.longestURL))
        let list = try text("/paths/~1v1~1email~1webhooks/get/description")
        #expect(list.contains(" \(Webhook.mostOfKey) "))
    }

    @Test("Has the fields, states and records of domains")
    func domains() throws {
        #expect(try names("/components/schemas/NewDomain/properties") == FieldNames.domain.known)
        #expect(try strings("/components/schemas/DomainStatus/enum") == DomainStatus.allCases.map(\.rawValue))
        let record = "/components/schemas/DomainRecord/properties"
        #expect(try strings("\(record)/purpose/enum") == DomainRecord.Purpose.allCases.map(\.rawValue))
        #expect(try strings("\(record)/type/enum") == DNSRecordType.allCases.map(\.name))
        #expect(try strings("\(record)/status/enum") == RecordFinding.Word.allCases.map(\.rawValue))
    }

    @Test("Knows every reason word and every state")
    func words() throws {
        let codes = try strings("components/schemas/Problem/properties/code/enum")
        #expect(Set(codes).count == codes.count)
        #expect(Set(codes) == Set(ProblemCode.allCases.map(\.word)))
        // The API reports a simulated message as `sent`.
        let states = try strings("components/schemas/MessageStatus/enum")
        #expect(Set(MessageState.allCases.map(\.rawValue)).subtracting(states) == ["simulated"])
        let recipientStates = try strings("components/schemas/RecipientStatus/enum")
        #expect(Set(recipientStates) == Set(RecipientStatus.allCases.map(\.rawValue)))
        #expect(
            Set(states + (try strings("components/schemas/EventStatus/enum"))) == Set(MessagesQuery.statuses))
        #expect(
            try strings("components/schemas/Event/properties/type/enum").sorted()
                == EventKind.allCases.map(\.rawValue).sorted())
    }

    @Test("Its examples of problems have the titles that the server gives")
    func titles() throws {
        var problems: [JSONObject] = []
        func look(_ value: JSON) {
            switch value {
            case .array(let elements): for element in elements { look(element) }
            case .object(let object):
                if case .string(let type)? = object["type"], type.text.hasPrefix("urn:") { problems.append(object) }
                for member in object.members { look(member.value) }
            default: break
            }
        }
        look(document)
        #expect(problems.count >= 2)
        for problem in problems {
            guard case .string(let word)? = problem["code"],
                let code = ProblemCode.allCases.first(where: { $0.word == word.text })
            else {
                Issue.record("an example has no code")
                continue
            }
            #expect(problem["title"] == JSON(code.title))
            #expect(problem["type"] == JSON("urn:hiveku:relay:problem:\(word.text)"))
        }
    }

    @Test("Its examples of requests are accepted")
    func examples() throws {
        var context = EmailRequest.Context(
            now: try #require(Timestamp(rfc3339: "2026-11-28T12:00:00Z".utf8)), maximumRecipients: 100)
        let new = try TemplateFields(
            value("paths/~1v1~1email~1templates/post/requestBody/content/application~1json/example"), isComplete: true)
        let id = try #require(TemplateID("tpl_0123456789abcdefghjk"))
        context.templates.add(
            Template(
                id: id, owner: .shared, name: try #require(new.name), content: try new.checked(TemplateContent()),
                createdAt: context.now, updatedAt: context.now), as: TemplateReference(id))
        context.rendering = RenderingRoom(perEmail: 10_000, total: 10_000)
        let send = "paths/~1v1~1email~1send/post/requestBody/content/application~1json/examples"
        for name in try names(send) {
            let example = try value("\(send)/\(name)/value")
            #expect(throws: Never.self, "\(name)") { try EmailRequest(example, idempotencyKey: nil, context) }
        }
        let batch = try EmailBatch(
            value("paths/~1v1~1email~1batch/post/requestBody/content/application~1json/example"), idempotencyKey: nil,
            context)
        for item in batch.items { #expect(throws: Never.self) { try item.get() } }
    }
}
