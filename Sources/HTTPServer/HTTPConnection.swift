import Admission
import HTTPTypes
import HummingbirdCore
import Listening
import NIOCore
import RelayCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A connection of one client: authenticates the client, and answers each of its requests.
final class HTTPConnection: Sendable {
    private let service: HTTPService
    /// The address of the peer.
    private let peer: IPAddress
    private let isSecure: Bool
    /// The grant of the last request. A client that sends the same key again needs no look-up.
    private let grant = Mutex<Grant?>(nil)
    /// The client of the current request, and its key once the key is known. Events of the connection are reported with
    /// both.
    private let current: Mutex<(client: IPAddress, key: KeyID?)>

    init(_ service: HTTPService, peer: IPAddress, isSecure: Bool) {
        self.service = service
        self.peer = peer
        self.isSecure = isSecure
        current = Mutex((peer, nil))
    }

    /// The client whose request is being processed.
    var client: (address: IPAddress, key: KeyID?) { current.withLock { ($0.client, $0.key) } }

    /// Answers one request.
    ///
    /// - Throws: if the connection has ended, or if it must be closed because the rest of the request is missing.
    func respond(to request: Request, _ writer: consuming ResponseWriter) async throws {
        let finding = Route.find(request.method, request.uri.path)
        let answer: HTTPAnswer
        switch await step(for: request, finding) {
        case .answer(let early): answer = early
        case .body(let submission):
            if request.headers.expectsContinue {
                try await writer.writeInformationalHead(HTTPResponse(status: .continue))
            }
            answer = try await self.answer(submission, request)
        }
        service.observe(.answered(finding.name, status: answer.head.status.code))
        let body = request.method == .head ? ResponseBody() : ResponseBody(byteBuffer: answer.body)
        try await writer.write(response: answer.head, body: body)
    }

    private enum Step {
        case answer(HTTPAnswer)
        /// The body is needed.
        case body(any RequestWithBody)
    }

    private func step(for request: Request, _ finding: Route.Finding) async -> Step {
        let configuration = service.configuration.value
        let forwarded = ForwardedClient.address(peer: peer, request.headers, trusted: configuration.trustedProxies)
        let client = forwarded ?? peer
        current.withLock { $0 = (client, nil) }
        // A request must have exactly one Host (RFC 9112 section 3.2). A second one appears as a separate field here.
        guard request.head.authority != nil, request.headers[.host] == nil else {
            var answer = refuse(.host, client)
            answer.head.headerFields[.connection] = "close"
            return .answer(answer)
        }
        guard forwarded != nil else { return .answer(refuse(.forwardedFor, peer)) }
        let route: Route
        switch finding {
        case .found(let found): route = found
        case .notFound: return .answer(refuse(.notFound, client))
        case .otherMethod(let allowed): return .answer(refuse(.method(allowed: allowed), client))
        }
        guard let scope = route.scope else { return .answer(OpenAPIDocument.answer) }
        let caller: Caller
        switch await authenticate(request.headers, for: scope, client) {
        case .success(let grant):
            caller = Caller(grant: grant, isSecure: isSecure)
            current.withLock { $0.key = grant.id }
        case .failure(let answer): return .answer(answer.answer)
        }
        let api = EmailAPI(service, caller)
        switch route {
        case .send, .batch:
            return await wanting(
                SubmissionRequest(isBatch: route == .batch, api: api, configuration: configuration), request.headers)
        case .messages: return .answer(await api.messages(request.uri.query ?? ""))
        case .message(let id): return .answer(await api.message(id))
        case .cancel(let id): return .answer(await api.cancel(id))
        case .suppressions(.create):
            return await wanting(SuppressionRequest(api: api, configuration: configuration), request.headers)
        case .suppressions(.list): return .answer(await SuppressionAPI(api: api).list(request.uri.query ?? ""))
        case .suppressions(.show(let address)): return .answer(await SuppressionAPI(api: api).show(address))
        case .suppressions(.remove(let address)):
            return .answer(await SuppressionAPI(api: api).remove(address, request.uri.query ?? ""))
        case .webhooks(.write(let purpose)):
            return await wanting(
                WebhookRequest(purpose: purpose, api: api, configuration: configuration), request.headers)
        case .webhooks(.act(let action)):
            return .answer(await WebhookAPI(api: api).answer(action, query: request.uri.query ?? ""))
        case .templates(.write(let purpose)):
            return await wanting(
                TemplateRequest(purpose: purpose, api: api, configuration: configuration), request.headers)
        case .templates(.act(let action)):
            return .answer(await TemplateAPI(api: api).answer(action, query: request.uri.query ?? ""))
        case .tags: return .answer(await api.tags(request.uri.query ?? ""))
        case .domains(.create):
            return await wanting(DomainRequest(api: api, configuration: configuration), request.headers)
        case .domains(.act(let action)):
            return .answer(await DomainAPI(api: api).answer(action, query: request.uri.query ?? ""))
        case .openAPI: return .answer(OpenAPIDocument.answer)
        }
    }

    /// The body is needed unless the header gives a reason to refuse it.
    private func wanting(_ request: any RequestWithBody, _ fields: HTTPFields) async -> Step {
        guard let problem = request.refusal(of: fields) else { return .body(request) }
        let caller = request.api.caller
        return .answer(await request.completed(refuse(problem, caller.client, caller.grant.id)))
    }

    // MARK: Authentication

    private struct Refused: Error {
        var answer: HTTPAnswer
    }

    private func authenticate(
        _ fields: HTTPFields, for scope: Scope, _ client: IPAddress
    ) async -> Result<Grant, Refused> {
        switch BearerCredentials(fields) {
        case .none: return .failure(Refused(answer: refuse(.noCredentials, client)))
        case .malformed(let sentence):
            let refusal = Refusal(.keyMalformed, sentence)
            service.admission.tell(refusal, client: client, key: nil)
            return .failure(Refused(answer: HTTPAnswer(Problem(refusal, scope: scope))))
        case .token(let token):
            let presented = PresentedKey(place: .bearerToken, octets: Array(token.utf8))
            if let last = grant.withLock({ $0 }),
                let renewed = service.admission.renew(last, presented, for: scope, client: client)
            {
                return .success(renewed)
            }
            switch await service.admission.authenticate(presented, for: scope, client: client) {
            case .success(let granted):
                grant.withLock { $0 = granted }
                return .success(granted)
            case .failure(let refused):
                // Guessing keys must be slow.
                if refused.delay > .zero {
                    try? await service.clock.sleep(until: service.clock.now() + refused.delay)
                }
                var answer = HTTPAnswer(Problem(refused.refusal, scope: scope))
                if refused.endsConnection { answer.head.headerFields[.connection] = "close" }
                return .failure(Refused(answer: answer))
            }
        }
    }

    /// A refusal that only HTTP has, with its line in the log.
    private func refuse(_ problem: Problem, _ client: IPAddress, _ key: KeyID? = nil) -> HTTPAnswer {
        service.tell(problem, client: client, key: key)
        return HTTPAnswer(problem)
    }

    // MARK: Body

    private func answer(_ submission: any RequestWithBody, _ request: Request) async throws -> HTTPAnswer {
        let length = request.headers[.contentLength].flatMap { Int($0) }
        do {
            let answer = try await submission.bodies.with(request.body, expecting: length) { octets in
                await submission.answer(octets, request.headers)
            }
            return await submission.completed(answer)
        } catch let failure as RequestBodyStore.Failure {
            let caller = submission.api.caller
            let problem: Problem
            switch failure {
            case .tooLarge: problem = submission.tooLarge
            case .noSpace(let refusal): problem = Problem(refusal, scope: caller.grant.scope)
            case .storage(let code):
                let isFull = code == ENOSPC || code == EDQUOT
                service.admission.storageFailed(
                    isFull
                        ? StoreError.full
                        : StoreError.unavailable(
                            "no file could be created for the body of a request: \(String(cString: strerror(code)))"))
                problem = Problem(.storageUnavailable, scope: caller.grant.scope)
            }
            return await submission.completed(refuse(problem, caller.client, caller.grant.id))
        }
    }
}

/// An authenticated client with its grant.
struct Caller: Sendable {
    let grant: Grant
    let isSecure: Bool

    var client: IPAddress { grant.client }
}

extension Route.Finding {
    /// The name in metrics.
    fileprivate var name: HTTPRouteName {
        switch self {
        case .found(let route): route.name
        case .notFound, .otherMethod: .none
        }
    }
}

extension HTTPField.Name {
    fileprivate static let host = HTTPField.Name("Host")!
}

extension Problem {
    fileprivate static let host = Problem(
        .badRequest, .badRequest, "The request must have the header Host once; check the client's HTTP library.")

    fileprivate static let forwardedFor = Problem(
        .badRequest, .badRequest,
        "The proxy has sent an X-Forwarded-For that holds something other than addresses; correct the proxy's configuration."
    )
}

extension HTTPFields {
    fileprivate var expectsContinue: Bool { self[.expect]?.lowercased() == "100-continue" }
}
