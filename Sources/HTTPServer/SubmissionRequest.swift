import Admission
import HTTPTypes
import RelayCore
import StrictJSON

/// A request to send: one email, or a batch.
struct SubmissionRequest: RequestWithBody {
    let isBatch: Bool
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: configuration.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: refusalOfSpace)
    }

    private func refusalOfSpace(_ octets: Int) -> Refusal? {
        api.service.store.refusalOfSpace(for: api.caller.grant.key.environment, size: octets)
    }

    /// Why the body is refused before it is read; nil if it is not.
    func refusal(of fields: HTTPFields) -> Problem? {
        refusalOfBody(fields)
            ?? refusalOfSpace(fields.bodyLength).map { Problem($0, scope: api.caller.grant.scope) }
    }

    var tooLarge: Problem { .tooLarge(configuration.maximumBodySize) }

    /// Each answer contains the key's remaining limits.
    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer { await api.submissionAnswer(answer) }

    /// Puts the emails that the body describes into the queue.
    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            return api.refuse(.notJSON(error))
        }
        let references = RequestTemplates.references(in: document)
        guard !references.isEmpty else {
            return await answer(read(document, fields, context))
        }
        guard references.count <= RequestTemplates.mostReferences else { return api.refuse(.tooManyReferences) }
        return await answer(document, fields, references)
    }

    /// Answers a request that names templates. The emails can be much larger than the request. So if they exceed
    /// `roomWithoutTurn`, the request waits for a turn.
    private func answer(_ document: JSON, _ fields: HTTPFields, _ references: [TemplateReference]) async -> HTTPAnswer {
        do {
            let small = SubmissionRequest.roomWithoutTurn
            let found = try await templates(references, most: small)
            if let found, found.leastSize(of: document) <= small {
                var context = self.context
                context.templates = found
                context.rendering = RenderingRoom(perEmail: small, total: small)
                let request = read(document, fields, context)
                if !request.isOverRoom { return await answer(request) }
            }
            let room = isBatch ? configuration.maximumBodySize : configuration.maximumMessageSize
            return try await api.service.renderingTurns.with(room) {
                var context = self.context
                if let found {
                    context.templates = found
                } else if let found = try await templates(references, most: .max) {
                    context.templates = found
                }
                context.rendering = RenderingRoom(perEmail: configuration.maximumMessageSize, total: room)
                return await answer(read(document, fields, context))
            }
        } catch {
            return api.storageFailed(error)
        }
    }

    /// If the templates and the emails made from them have at most this many octets, the request needs no turn.
    private static let roomWithoutTurn = 1 << 20

    private var context: EmailRequest.Context {
        EmailRequest.Context(now: api.service.clock.now(), maximumRecipients: configuration.maximumRecipients)
    }

    /// The templates that the request names. Nil if their bodies together have more than `most` octets.
    private func templates(_ references: [TemplateReference], most: Int) async throws -> RequestTemplates? {
        var templates = RequestTemplates()
        let owner = api.caller.grant.key.templateOwner
        var left = most
        for reference in references {
            guard let template = try await api.service.store.template(reference, of: owner) else { continue }
            left -= (template.content.html?.utf8.count ?? 0) + (template.content.text?.utf8.count ?? 0)
            guard left >= 0 else { return nil }
            templates.add(template, as: reference)
        }
        return templates
    }

    /// A request that has been read.
    private enum Reading {
        case one(EmailRequest)
        case batch(EmailBatch)
        case failed(EmailRequestFailure)

        /// Whether there was not enough room for the emails made from templates.
        var isOverRoom: Bool {
            switch self {
            case .one: false
            case .failed(let failure): failure.concernsSize
            case .batch(let batch):
                batch.items.contains { item in
                    if case .failure(let failure) = item { failure.concernsSize } else { false }
                }
            }
        }
    }

    private func read(_ document: JSON, _ fields: HTTPFields, _ context: EmailRequest.Context) -> Reading {
        do throws(EmailRequestFailure) {
            let key = try IdempotencyKey.inHeader(fields)
            if isBatch { return .batch(try EmailBatch(document, idempotencyKey: key, context)) }
            return .one(try EmailRequest(document, idempotencyKey: key, context))
        } catch {
            return .failed(error)
        }
    }

    private func answer(_ reading: Reading) async -> HTTPAnswer {
        switch reading {
        case .one(let request): await answer(request)
        case .batch(let batch): await answer(batch)
        case .failed(let failure): api.refuse(Problem(failure))
        }
    }

    private var sender: EmailSender { EmailSender(api: api, configuration: configuration) }

    private func answer(_ request: EmailRequest) async -> HTTPAnswer {
        switch await sender.send(request) {
        case .success(let sent):
            return HTTPAnswer(.ok, .object(JSONObject(sent.members)), replayed: sent.isRepeat)
        case .failure(let refusal): return api.answer(refusal)
        }
    }

    private func answer(_ batch: EmailBatch) async -> HTTPAnswer {
        switch await sender.send(batch) {
        case .failure(let refusal): return api.answer(refusal)
        case .success(let outcomes):
            let results = outcomes.map { outcome -> JSON in
                switch outcome {
                case .sent(let sent): return .object(JSONObject(sent.members))
                case .refused(let refusal):
                    return ["status": "failed", "error": JSON(Problem(refusal, scope: api.caller.grant.scope))]
                case .invalid(let failure):
                    let problem = Problem(failure)
                    api.service.tell(problem, client: api.caller.client, key: api.key)
                    return ["status": "failed", "error": JSON(problem)]
                }
            }
            let sent = outcomes.compactMap { outcome in if case .sent(let sent) = outcome { sent } else { nil } }
            return HTTPAnswer(
                .ok, ["results": .array(results)], replayed: !sent.isEmpty && sent.allSatisfy(\.isRepeat))
        }
    }
}

extension HTTPAnswer {
    /// - Parameter replayed: whether the request was carried out before, and this is the same answer again.
    fileprivate init(_ status: HTTPResponse.Status, _ document: JSON, replayed: Bool) {
        self.init(status, document, replayed ? [.idempotentReplayed: "true"] : [:])
    }
}

extension SentEmail {
    /// The members of the answer that describe the email.
    fileprivate var members: [JSONObject.Member] {
        [
            .init("messageId", JSON(id.external)),
            .init("status", JSON((isScheduled ? MessageStatus.scheduled : .queued).rawValue)),
        ]
    }
}

extension IdempotencyKey {
    fileprivate static func inHeader(_ fields: HTTPFields) throws(EmailRequestFailure) -> IdempotencyKey? {
        let values = fields[values: .idempotencyKey]
        guard let value = values.first else { return nil }
        guard values.count == 1 else {
            throw .idempotencyKey("The request has the header Idempotency-Key \(values.count) times; send it once.")
        }
        do throws(Mistake) {
            return try IdempotencyKey(header: value)
        } catch {
            throw .idempotencyKey(error.detail)
        }
    }
}

extension EmailRequestFailure {
    fileprivate var concernsSize: Bool {
        if case .invalid(let errors) = self { errors.contains { $0.kind == .size } } else { false }
    }
}

extension Problem {
    static let tooManyReferences = Problem(
        .refusal(.invalid), .unprocessableContent,
        "The request names more than \(RequestTemplates.mostReferences) different templates; send it in several requests."
    )

    static func notJSON(_ error: JSONError) -> Problem {
        Problem(
            .refusal(.invalid), .badRequest,
            "The body is not the expected JSON, at line \(error.line), column \(error.column): \(error.explanation)."
        )
    }

    /// The problem of a request whose document is well-formed.
    init(_ failure: EmailRequestFailure) {
        switch failure {
        case .idempotencyKey(let detail): self.init(.refusal(.invalid), .badRequest, detail)
        case .invalid(let errors):
            let detail =
                errors.count == 1
                ? errors[0].detail : "The request has \(errors.count) mistakes; each is described in errors."
            self.init(
                failure.kind.code, failure.kind == .size ? .contentTooLarge : .unprocessableContent, detail,
                mistakes: errors.map { Mistake(detail: $0.detail, pointer: $0.pointer) })
        }
    }
}
