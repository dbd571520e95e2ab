import HTTPTypes
import RelayCore
import StrictJSON

/// A request about a template that has a body.
struct TemplateRequest: RequestWithBody {
    enum Purpose: Hashable, Sendable {
        case create
        case change(TemplateID)
        case render(TemplateID)
        case rollBack(TemplateID)
    }

    let purpose: Purpose
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// The most octets of a body: the longest html and text, with room for JSON's escapes.
    static let maximumBodySize = 8 << 20

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: TemplateRequest.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: { _ in nil })
    }

    var tooLarge: Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(TemplateRequest.maximumBodySize) octets.")
    }

    func refusal(of fields: HTTPFields) -> Problem? { refusalOfBody(fields) }

    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer { answer }

    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            return api.refuse(.notJSON(error))
        }
        let templates = TemplateAPI(api: api)
        do throws(EmailRequestFailure) {
            switch purpose {
            case .create: return await templates.create(try TemplateFields(document, isComplete: true))
            case .change(let id):
                return await templates.change(id, try TemplateFields(document, isComplete: false))
            case .render(let id):
                return await templates.render(
                    id, try RenderFields(document), limit: configuration.maximumMessageSize)
            case .rollBack(let id): return await templates.rollBack(id, try RollbackFields(document))
            }
        } catch {
            return api.refuse(Problem(error))
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
