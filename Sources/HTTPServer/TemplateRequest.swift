import RelayCore
import StrictJSON

/// A request about a template that has a body.
struct TemplateRequest: ResourceRequest {
    enum Purpose: Hashable, Sendable {
        case create
        case change(TemplateID)
        case render(TemplateID)
        case rollBack(TemplateID)
    }

    let purpose: Purpose
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// The longest html and text, with room for JSON's escapes.
    static let maximumBodySize = 8 << 20

    func answer(_ document: JSON) async throws(EmailRequestFailure) -> HTTPAnswer {
        let templates = TemplateAPI(api: api)
        switch purpose {
        case .create: return await templates.create(try TemplateFields(document, isComplete: true))
        case .change(let id): return await templates.change(id, try TemplateFields(document, isComplete: false))
        case .render(let id):
            return await templates.render(id, try RenderFields(document), limit: configuration.maximumMessageSize)
        case .rollBack(let id): return await templates.rollBack(id, try RollbackFields(document))
        }
    }
}

/// The body of `POST …/render`.
struct RenderFields: Sendable {
    var variables: JSON?
    /// Nil: the latest version.
    var version: Int?

    init(_ document: JSON) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.render, "The request") else {
            throw .invalid(reader.errors.all)
        }
        variables = fields.value("variables")?.value
        version = reader.version(fields)
        guard reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
    }
}

/// The body of `POST …/rollback`.
struct RollbackFields: Sendable {
    var version: Int

    init(_ document: JSON) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.rollback, "The request") else {
            throw .invalid(reader.errors.all)
        }
        let version = reader.version(fields)
        if fields.value("version") == nil {
            reader.errors.add(
                "\"version\" is required: the number of the version to go back to.", at: .root.appending("version"))
        }
        guard reader.errors.all.isEmpty, let version else { throw .invalid(reader.errors.all) }
        self.version = version
    }
}
