import Admission
import Domains
import HTTPTypes
import InternetMessage
import Logging
import RelayCore
import StrictJSON

/// What a key can do with the domains of its environment: with all of them, or with those in its allowlist.
struct DomainAPI: Sendable {
    let api: EmailAPI

    private var domains: SendingDomains { api.service.domains }
    private var key: Key { api.caller.grant.key }

    func answer(_ action: DomainRoute.Action, query: String) async -> HTTPAnswer {
        switch action {
        case .list: await list(query)
        case .show(let name): await show(name)
        case .verify(let name): await verify(name)
        }
    }

    private func list(_ query: String) async -> HTTPAnswer {
        var limit = MessagesQuery.defaultLimit
        var cursor: String?
        let problem = QueryParameters.problem(query, ["limit", "cursor"]) { name, text in
            if name == "limit" {
                guard let number = Int(text), (1...MessagesQuery.maximumLimit).contains(number) else {
                    return "The parameter limit must be a number from 1 to \(MessagesQuery.maximumLimit)."
                }
                limit = number
            } else {
                guard let name = DomainName(ascii: text.utf8) else {
                    return "The parameter cursor must be the next_cursor of an earlier page."
                }
                cursor = name.text
            }
            return nil
        }
        if let problem { return api.refuse(problem) }
        let (pageSize, last) = (limit, cursor)
        return await looked { () async throws(DomainFailure) in
            // One more domain shows whether there is a next page.
            let found = try await domains.list(key.environment, behind: last, limit: pageSize + 1) { [key] name in
                key.allows(domain: name)
            }
            let page = found.prefix(pageSize)
            let next = found.count > page.count ? page.last?.name.text : nil
            return HTTPAnswer(.ok, ["data": .array(page.map { JSON($0) }), "next_cursor": JSON(next)])
        }
    }

    private func show(_ name: DomainName) async -> HTTPAnswer {
        await looked(name) { () async throws(DomainFailure) in
            HTTPAnswer(.ok, JSON(try await domains.show(name, key.environment)))
        }
    }

    private func verify(_ name: DomainName) async -> HTTPAnswer {
        await looked(name) { () async throws(DomainFailure) in
            HTTPAnswer(.ok, JSON(try await domains.verify(name, key.environment)))
        }
    }

    func add(_ name: DomainName) async -> HTTPAnswer {
        await looked(name) { () async throws(DomainFailure) in
            let (domain, isNew) = try await domains.add(name, key.environment, by: api.key)
            if isNew {
                api.service.log.write(
                    .info, "domain added", client: api.caller.client,
                    metadata: [
                        "domain": "\(name)", "environment": "\(key.environment.rawValue)", "key": "\(api.key)",
                    ])
            }
            return HTTPAnswer(
                isNew ? .created : .ok, JSON(domain), isNew ? [.location: "\(DomainRoute.path)/\(name)"] : [:])
        }
    }

    /// Runs `body`. If the key has become invalid in the meantime, the answer is a refusal.
    ///
    /// - Parameter name: the domain that is asked for. A domain that the key may not use is refused before SES or the
    ///   store is asked, so the answer does not reveal whether it exists.
    private func looked(
        _ name: DomainName? = nil, _ body: () async throws(DomainFailure) -> HTTPAnswer
    ) async -> HTTPAnswer {
        if let name, !key.allows(domain: name.text) { return api.refuse(.foreignDomain(name, key)) }
        do throws(DomainFailure) {
            let answer = try await body()
            return await api.confirmed { answer }
        } catch {
            switch error {
            case .storage(let error): return api.storageFailed(error)
            default: return await api.confirmed { api.refuse(Problem(error)) }
            }
        }
    }
}

extension Problem {
    static func foreignDomain(_ name: DomainName, _ key: Key) -> Problem {
        let shown = key.domains.prefix(3).map(\.description).joined(separator: ", ")
        let allowed = key.domains.count > 3 ? "\(shown) and \(key.domains.count - 3) more" : shown
        return Problem(
            .refusal(.senderDomain), .forbidden,
            "This API key is only for \(allowed), not for \(name); ask the relay's operator to add the domain to the key."
        )
    }

    /// The problem for a failure of SES or of the limits.
    init(_ failure: DomainFailure) {
        switch failure {
        case .notFound:
            self.init(
                .notFound, .notFound,
                "There is no such domain in this API key's environment; POST /v1/email/domains adds one.")
        case .tooMany(let sentence):
            self.init(.domainLimit, .conflict, "No domain can be added: \(sentence).")
        case .refused(let words):
            let detail = "SES does not accept this domain: \(words)\(words.hasSuffix(".") ? "" : ".")"
            self.init(
                .refusal(.invalid), .unprocessableContent, detail,
                mistakes: [Mistake(detail: detail, pointer: .root.appending("name"))])
        case .denied(let permission):
            self.init(
                .ses, .badGateway,
                "The relay's AWS credentials lack the permission \(permission); the relay's operator must allow it in IAM."
            )
        case .unconfigured:
            self.init(
                .ses, .badGateway,
                "The domains of live keys are at SES, which this relay has no access to; its operator must set ses.region."
            )
        case .unavailable(let predicate):
            self.init(.ses, .badGateway, "SES does not answer at the moment: \(predicate). Try again later.")
        case .busy:
            self.init(
                .busy, .serviceUnavailable,
                "Too many requests about domains are in progress; try again in a few seconds.",
                retryAfter: .seconds(5))
        case .storage: self.init(.recordsUnavailable, scope: .domains)
        }
    }
}
