import Admission
import HTTPTypes
import Logging
import RelayCore
import StrictJSON

/// What a key can do with the list of suppressions of its environment. All keys of the environment share the list.
struct SuppressionAPI: Sendable {
    let api: EmailAPI

    private var store: any RelayStore { api.service.store }
    private var environment: RelayCore.Environment { api.caller.grant.key.environment }

    func list(_ query: String) async -> HTTPAnswer {
        switch SuppressionsQuery.read(query) {
        case .failure(let problem): return api.refuse(problem)
        case .success(let query):
            return await looked {
                let found = try await store.suppressions(query.filter(of: environment))
                let page = found.prefix(query.limit)
                let next = found.count > page.count ? page.last.map(SuppressionsQuery.cursor(behind:)) : nil
                return HTTPAnswer(.ok, ["data": .array(page.map { JSON($0) }), "next_cursor": JSON(next)])
            }
        }
    }

    func show(_ address: String) async -> HTTPAnswer {
        await looked {
            try await store.suppression(of: address, in: environment).map { HTTPAnswer(.ok, JSON($0)) }
        }
    }

    func add(_ fields: SuppressionFields) async -> HTTPAnswer {
        await looked {
            let entry = Suppression(
                environment: environment, address: fields.address, reason: fields.reason,
                createdAt: api.service.clock.now(), note: fields.note)
            let isNew = try await store.add([entry]) > 0
            // An existing entry keeps its time, and the stronger of the two reasons.
            let listed = try await store.suppression(of: entry.address, in: environment) ?? entry
            if isNew { log("suppression added", listed) }
            return HTTPAnswer(
                isNew ? .created : .ok, JSON(listed),
                isNew ? [.location: SuppressionRoute.path(of: listed.address)] : [:])
        }
    }

    func remove(_ address: String, _ query: String) async -> HTTPAnswer {
        switch SuppressionRemovalQuery.read(query) {
        case .failure(let problem): return api.refuse(problem)
        case .success(let query):
            return await looked {
                switch try await store.removeSuppression(
                    of: address, in: environment, evenComplaint: query.isConfirmed)
                {
                case .notListed: return nil
                case .isComplaint: return api.refuse(.complaint)
                case .removed(let entry):
                    log("suppression removed", entry)
                    return .noContent
                }
            }
        }
    }

    /// Runs `body`, which returns nil if the address is not on the list. If the key has become invalid in the meantime,
    /// the answer is a refusal.
    private func looked(_ body: () async throws -> HTTPAnswer?) async -> HTTPAnswer {
        do {
            let answer = try await body()
            return await api.confirmed { answer ?? api.refuse(.noSuchSuppression) }
        } catch {
            return api.storageFailed(error)
        }
    }

    /// Without the address: the log contains no recipients.
    private func log(_ message: String, _ entry: Suppression) {
        api.service.log.write(
            .info, message, client: api.caller.client,
            metadata: [
                "environment": "\(entry.environment.rawValue)", "suppression": "\(entry.reason.rawValue)",
                "key": "\(api.key)",
            ])
    }
}

extension JSON {
    init(_ entry: Suppression) {
        self = [
            "email": JSON(entry.address), "reason": JSON(entry.reason.rawValue),
            "created_at": JSON(entry.createdAt.rfc3339), "messageId": JSON(entry.message?.external),
            "note": JSON(entry.note),
        ]
    }
}

extension Problem {
    static let noSuchSuppression = Problem(
        .notFound, .notFound, "This address is not on the list of suppressions of this API key's environment.")

    static let complaint = Problem(
        .complaint, .conflict,
        "The recipient has complained about a message, and more complaints can make SES stop the account's sending; to remove the address from the list anyway, add ?confirm=true."
    )
}
