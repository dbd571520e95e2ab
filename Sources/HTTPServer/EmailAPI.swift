import Admission
import HTTPTypes
import Logging
import RelayCore
import StrictJSON

/// The resources below `/v1/email`, for one caller and the emails of its key.
struct EmailAPI: Sendable {
    let service: HTTPService
    let caller: Caller

    init(_ service: HTTPService, _ caller: Caller) {
        self.service = service
        self.caller = caller
    }

    var key: KeyID { caller.grant.id }
    private var scope: Scope { caller.grant.scope }

    /// Adds the key's remaining limits to the answer to a send.
    func submissionAnswer(_ answer: HTTPAnswer) async -> HTTPAnswer {
        let standing = service.admission.rateStanding(of: caller.grant)
        let now = service.clock.now()
        var usedToday: Int?
        if standing.limits.perDay != nil {
            usedToday = (try? await service.store.keyRecord(key, now: now))?.usage.emailsToday
        }
        var answer = answer
        RateLimitFields(standing, usedToday: usedToday, at: now).add(to: &answer.head.headerFields)
        return answer
    }

    /// A refusal that admission has already counted and logged.
    func answer(_ refusal: Refusal) -> HTTPAnswer { HTTPAnswer(Problem(refusal, scope: scope)) }

    /// A refusal that is decided here.
    func refuse(_ problem: Problem) -> HTTPAnswer {
        service.tell(problem, client: caller.client, key: key)
        return HTTPAnswer(problem)
    }

    // MARK: Messages

    /// The key's messages, newest first.
    func messages(_ query: String) async -> HTTPAnswer {
        switch MessagesQuery.read(query, in: caller.grant.key.environment) {
        case .failure(let problem): return refuse(problem)
        case .success(let query):
            var filter = query.filter(of: key)
            // One more record shows whether there is a next page.
            filter.limit = query.limit + 1
            let records: [MessageRecord]
            do {
                records = try await service.store.messages(filter, now: service.clock.now())
            } catch {
                return storageFailed(error)
            }
            return await confirmed {
                let page = EmailAPI.page(of: records, limit: query.limit)
                return HTTPAnswer(
                    .ok,
                    [
                        "data": .array(page.map { JSON($0) }),
                        "next_cursor": JSON(records.count > page.count ? page.last?.id.external : nil),
                    ])
            }
        }
    }

    /// At most `limit` records, and no more recipients than fit into an answer of about 200 KB, but at least one
    /// message.
    private static func page(of records: [MessageRecord], limit: Int) -> ArraySlice<MessageRecord> {
        var recipients = 0
        let end = records.firstIndex { record in
            recipients += record.recipients.count
            return recipients > EmailAPI.recipientsOfPage
        }
        return records.prefix(min(limit, max(1, end ?? limit)))
    }

    private static let recipientsOfPage = 1000

    func message(_ id: MessageID) async -> HTTPAnswer {
        do {
            let records = try await service.store.messages(
                MessageFilter(ids: [id], key: key, limit: 1), now: service.clock.now())
            return await confirmed {
                guard let record = records.first else { return refuse(.noSuchMessage) }
                return HTTPAnswer(.ok, JSON(record, events: true))
            }
        } catch {
            return storageFailed(error)
        }
    }

    /// Checks the key again before an answer is sent. If the key is not valid any more, the answer is a refusal.
    func confirmed(_ answer: () -> HTTPAnswer) async -> HTTPAnswer {
        if let refusal = await service.admission.confirm(caller.grant) { return self.answer(refusal) }
        return answer()
    }

    func storageFailed(_ error: any Error) -> HTTPAnswer {
        service.admission.storageFailed(error)
        return refuse(Problem(.recordsUnavailable, scope: scope))
    }

    func cancel(_ id: MessageID) async -> HTTPAnswer {
        do {
            let now = service.clock.now()
            switch try await service.store.cancel(caller.grant.cancellation(of: id), now: now) {
            case .cancelled:
                service.log.write(
                    .info, "cancelled", client: caller.client, metadata: ["message": "\(id)", "key": "\(key)"])
                return HTTPAnswer(.ok, ["messageId": JSON(id.external), "status": "cancelled"])
            case .conflict: return refuse(.onItsWay)
            case .notFound: return refuse(.noSuchMessage)
            case .refused(let refusal):
                service.admission.tell(refusal, client: caller.client, key: key)
                return answer(refusal)
            }
        } catch {
            return storageFailed(error)
        }
    }
}

extension Problem {
    static let noSuchMessage = Problem(.notFound, .notFound, "This API key has sent no message with this id.")

    static let onItsWay = Problem(
        .conflict, .conflict, "The message is being sent or has ended already, so it can no longer be cancelled.")
}

extension Refusal {
    static let recordsUnavailable = Refusal(
        .storage, "The relay can't read its records at the moment; try again later")
}
