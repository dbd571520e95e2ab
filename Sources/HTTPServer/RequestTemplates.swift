import RelayCore
import StrictJSON
import Templates

/// The templates that a request to send names, each read and parsed once.
struct RequestTemplates: Sendable {
    enum Found: Sendable {
        /// The template, with the version that was found.
        case parsed(ParsedTemplate, TemplateReference)
        /// Another version of the relay saved the template, and this version can't use it. The reason is a sentence
        /// with its full stop.
        case unusable(String)
    }

    private var found: [TemplateReference: Found] = [:]

    /// The largest number of different templates that a request may name. Each can have 2 MiB.
    static let mostReferences = 20

    init() {}

    mutating func add(_ template: Template, as reference: TemplateReference) {
        do throws(TemplateMistakes) {
            found[reference] = .parsed(
                try ParsedTemplate(template.content), TemplateReference(template.id, version: template.version))
        } catch {
            found[reference] = .unusable(error.all.first?.sentence ?? "")
        }
    }

    /// Nil if there is no such template.
    subscript(reference: TemplateReference) -> Found? { found[reference] }

    /// The templates that the emails of a request name, each once: at most one more than ``mostReferences``.
    static func references(in document: JSON) -> [TemplateReference] {
        var references: [TemplateReference] = []
        for email in emails(in: document) where references.count <= mostReferences {
            if let reference = reference(of: email), !references.contains(reference) { references.append(reference) }
        }
        return references
    }

    /// The smallest number of octets that the emails of a request can have: those of their templates without any value.
    func leastSize(of document: JSON) -> Int {
        RequestTemplates.emails(in: document).reduce(0) { size, email in
            guard let reference = RequestTemplates.reference(of: email),
                case .parsed(let template, _)? = found[reference]
            else { return size }
            return size + template.leastSize
        }
    }

    /// The values of the document that may be emails: the document itself, or the elements of a batch.
    private static func emails(in document: JSON) -> [JSON] {
        switch document {
        case .array(let elements): elements
        case .object(let object):
            if case .array(let elements)? = object["emails"] { elements } else { [document] }
        default: []
        }
    }

    private static func reference(of email: JSON) -> TemplateReference? {
        guard case .object(let object) = email, case .string(let text)? = object["template_id"], text.utf8.count <= 64
        else { return nil }
        return TemplateReference(text.text)
    }
}

/// How many octets may be made from templates for one request.
struct RenderingRoom: Sendable {
    /// The largest number of octets of one email's subject, html and text together.
    var perEmail: Int
    /// The largest number of octets of all emails of the request together.
    var total: Int
    /// How many octets of `total` are left.
    var left: Int

    init(perEmail: Int, total: Int) {
        (self.perEmail, self.total, left) = (perEmail, total, total)
    }

    /// Why this many octets can't be made; nil if they can.
    func fault(of size: Int) -> String? {
        if size > perEmail {
            return
                "The email has \(size) octets with the values in their places, and the limit of a message is \(perEmail); shorten the values or the template."
        }
        if size > left {
            return
                "The emails in this request that are made from templates have more than \(total) octets; send them in several requests."
        }
        return nil
    }
}
