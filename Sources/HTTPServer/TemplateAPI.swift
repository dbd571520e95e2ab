import Admission
import HTTPTypes
import Logging
import MessageComposition
import RelayCore
import StrictJSON
import Templates

/// What a key can do with templates. A key sees only the templates of its owner (``Key/templateOwner``).
struct TemplateAPI: Sendable {
    let api: EmailAPI

    private var store: any RelayStore { api.service.store }
    private var now: Timestamp { api.service.clock.now() }
    private var owner: TemplateOwner { api.caller.grant.key.templateOwner }

    func answer(_ action: TemplateRoute.Action, query: String) async -> HTTPAnswer {
        switch action {
        case .list: await list(query)
        case .show(let id): await show(id)
        case .delete(let id): await delete(id)
        case .versions(let id): await versions(id, query)
        case .version(let reference): await version(reference)
        }
    }

    private func list(_ query: String) async -> HTTPAnswer {
        let page: TextPageQuery
        switch TextPageQuery.read(query) {
        case .failure(let problem): return api.refuse(problem)
        case .success(let read): page = read
        }
        return await looked { _ in
            // One more template shows whether there is a next page.
            let found = try await store.templates(
                TemplateFilter(
                    owner: owner, after: page.cursor.map { .init(owner: owner, nameKey: $0) }, limit: page.limit + 1))
            let shown = found.prefix(page.limit)
            let next = found.count > shown.count ? shown.last.map { Template.nameKey($0.name) } : nil
            return HTTPAnswer(
                .ok,
                [
                    "data": .array(shown.map { JSON($0) }),
                    "next_cursor": JSON(next.map { TextCursor.encoded($0) }),
                ])
        }
    }

    private func show(_ id: TemplateID) async -> HTTPAnswer {
        await looked { now in
            guard let template = try await store.template(TemplateReference(id), of: owner) else { return nil }
            let statistics = try await store.statistics(
                of: id, in: api.caller.grant.key.environment, now: now)
            return HTTPAnswer(.ok, JSON(template, [.init("statistics", JSON(statistics))]))
        }
    }

    func create(_ fields: TemplateFields) async -> HTTPAnswer {
        await looked { now in
            var generator = SystemRandomNumberGenerator()
            let template = Template(
                id: TemplateID(using: &generator), owner: owner, name: fields.name ?? "",
                content: try fields.checked(TemplateContent()), createdAt: now, updatedAt: now, createdBy: api.key)
            switch try await store.insert(template) {
            case .nameTaken: return api.refuse(.templateNameTaken)
            case .tooMany: return api.refuse(.tooManyTemplates)
            case .inserted: break
            }
            log("template created", template)
            return HTTPAnswer(
                .created, JSON(template), [.location: "\(TemplateRoute.path)/\(template.id)"])
        }
    }

    func change(_ id: TemplateID, _ fields: TemplateFields) async -> HTTPAnswer {
        await save(id) { template in
            if let name = fields.name { template.name = name }
            template.content = try fields.checked(template.content)
        }
    }

    func rollBack(_ id: TemplateID, _ fields: RollbackFields) async -> HTTPAnswer {
        let earlier: Template?
        do {
            guard try await store.template(TemplateReference(id), of: owner) != nil else {
                return await looked { _ in nil }
            }
            earlier = try await store.template(TemplateReference(id, version: fields.version), of: owner)
        } catch {
            return api.storageFailed(error)
        }
        guard let content = earlier?.content else { return api.refuse(Problem(EmailRequestFailure.noSuchVersion)) }
        return await save(id) { $0.content = content }
    }

    private func save(
        _ id: TemplateID, _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async -> HTTPAnswer {
        await looked { now in
            switch try await store.saveTemplate(id, of: owner, by: api.key, now: now, change) {
            case .saved(let template, let before):
                if template != before { log("template saved", template) }
                return HTTPAnswer(.ok, JSON(template))
            case .nameTaken: return api.refuse(.templateNameTaken)
            case .notFound: return nil
            case .refused(let error): throw error
            }
        }
    }

    private func delete(_ id: TemplateID) async -> HTTPAnswer {
        await looked { _ in
            guard try await store.deleteTemplate(id, of: owner) else { return nil }
            api.service.log.write(
                .info, "template deleted", client: api.caller.client,
                metadata: ["template": "\(id)", "key": "\(api.key)"])
            return .noContent
        }
    }

    private func versions(_ id: TemplateID, _ query: String) async -> HTTPAnswer {
        let page: VersionsQuery
        switch VersionsQuery.read(query) {
        case .failure(let problem): return api.refuse(problem)
        case .success(let read): page = read
        }
        return await looked { _ in
            guard try await store.template(TemplateReference(id), of: owner) != nil else { return nil }
            let found = try await store.versions(of: id, before: page.cursor, limit: page.limit + 1)
            let shown = found.prefix(page.limit)
            return HTTPAnswer(
                .ok,
                [
                    "data": .array(shown.map { JSON($0) }),
                    "next_cursor": JSON(found.count > shown.count ? shown.last.map { String($0.version) } : nil),
                ])
        }
    }

    private func version(_ reference: TemplateReference) async -> HTTPAnswer {
        await looked { _ in try await store.template(reference, of: owner).map { HTTPAnswer(.ok, JSON($0)) } }
    }

    /// - Parameter limit: the largest number of octets of the rendered email.
    func render(_ id: TemplateID, _ fields: RenderFields, limit: Int) async -> HTTPAnswer {
        await looked { _ in
            guard let template = try await store.template(TemplateReference(id, version: fields.version), of: owner)
            else {
                guard fields.version != nil, try await store.template(TemplateReference(id), of: owner) != nil else {
                    return nil
                }
                throw EmailRequestFailure.noSuchVersion
            }
            let place = JSONPointer.root.appending("variables")
            let parsed: ParsedTemplate
            let values: TemplateValues
            do throws(TemplateMistakes) {
                parsed = try ParsedTemplate(template.content)
            } catch {
                throw EmailRequestFailure.invalid(
                    error.all.map { ValidationError($0.sentence, at: .root) })
            }
            do throws(TemplateMistakes) {
                values = try parsed.values(fields.variables)
            } catch {
                throw EmailRequestFailure.invalid(
                    error.all.map { mistake in
                        ValidationError(
                            mistake.detail, at: mistake.pointer.tokens.reduce(place) { $0.appending($1) },
                            .templateVariables)
                    })
            }
            if let fault = RenderingRoom(perEmail: limit, total: limit).fault(of: values.size) {
                throw EmailRequestFailure.invalid([ValidationError(fault, at: place, .size)])
            }
            return try await api.service.renderingTurns.with(values.size) {
                let rendered = parsed.render(values)
                if let subject = rendered.subject, subject.utf8.count > Email.maximumSubjectLength {
                    throw EmailRequestFailure.invalid([
                        ValidationError(
                            "The subject has \(subject.utf8.count) octets with the values in their places; shorten it to at most \(Email.maximumSubjectLength).",
                            at: place)
                    ])
                }
                return HTTPAnswer(.ok, JSON(rendered))
            }
        }
    }

    /// Runs `body`, which returns nil if the key has no such template, and throws a mistake of the request. If the key
    /// has become invalid in the meantime, the answer is a refusal.
    private func looked(_ body: (Timestamp) async throws -> HTTPAnswer?) async -> HTTPAnswer {
        do {
            let answer = try await body(now)
            return await api.confirmed { answer ?? api.refuse(.noSuchTemplate) }
        } catch let failure as EmailRequestFailure {
            return api.refuse(Problem(failure))
        } catch {
            return api.storageFailed(error)
        }
    }

    private func log(_ message: String, _ template: Template) {
        api.service.log.write(
            .info, message, client: api.caller.client,
            metadata: ["template": "\(template.id)", "version": "\(template.version)", "key": "\(api.key)"])
    }
}

extension EmailAPI {
    /// The outcome of the key's messages, by tag.
    func tags(_ query: String) async -> HTTPAnswer {
        let page: TextPageQuery
        switch TextPageQuery.read(query) {
        case .failure(let problem): return refuse(problem)
        case .success(let read): page = read
        }
        do {
            let found = try await service.store.statistics(
                StatisticsFilter(.tag, key: key, after: page.cursor, limit: page.limit + 1),
                now: service.clock.now())
            return await confirmed {
                let shown = found.prefix(page.limit)
                let next = found.count > shown.count ? shown.last.map { TextCursor.encoded($0.name) } : nil
                let data = shown.map { entry -> JSON in
                    [
                        "tag": JSON(entry.name.isEmpty ? nil : entry.name),
                        "statistics": JSON(entry.statistics),
                    ]
                }
                return HTTPAnswer(.ok, ["data": .array(data), "next_cursor": JSON(next)])
            }
        } catch {
            return storageFailed(error)
        }
    }
}

extension EmailRequestFailure {
    static let noSuchVersion = EmailRequestFailure.invalid([
        ValidationError(
            "The template has no such version, or it is no longer kept; GET …/versions lists the versions that are kept.",
            at: .root.appending("version"))
    ])
}

extension Problem {
    static let noSuchTemplate = Problem(
        .notFound, .notFound, "This API key has no template with this id, or not in this version.")

    static let templateNameTaken = Problem(
        .templateName, .conflict,
        "Another template has this name, in upper or lower case; choose another name, or change that template.")

    static let tooManyTemplates = Problem(
        .templateLimit, .conflict,
        "There are already \(Template.mostOfOwner) templates; delete one, or change one of them.")
}
