import Admission
import Domains
import HTTPServer
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import RelayCore

/// The answer to a request.
enum PageAnswer: Sendable {
    case whole(HTTPAnswer)
    /// A body that is read while it is sent. The answer itself has no body.
    case stored(HTTPAnswer, any StoredBody)
}

/// Answers the requests for the operator's page. It checks where each request comes from and who sent it, and then
/// passes it to the page or the action.
struct OperatorPage: Sendable {
    let configuration: OperatorPageConfiguration
    let admission: Admission
    let store: any RelayStore
    let domains: SendingDomains
    let clock: any RelayClock
    let secrets: ShownOnce
    /// Limits how many pages that need much memory are made at a time.
    let turns = LargeBodyTurns(capacity: 8 << 20)
    let logger: Logger

    /// The operator's address: on this machine, or at the end of a tunnel to it.
    static let local = IPAddress(ipv4: 0x7F00_0001)

    /// - Throws: if the connection ends before the whole request has arrived.
    func answer(_ request: Request) async throws -> PageAnswer {
        // A target with a host is meant for proxies (RFC 9112, section 3.2.2), and its host could differ from Host.
        guard request.head.path?.hasPrefix("/") == true else { return .whole(notice(.host)) }
        if let refusal = RequestCheck.refusal(authority: request.head.authority, request.headers) {
            return .whole(notice(refusal))
        }
        let finding = PageRoute.find(request.method, request.uri.path)
        switch finding {
        case .found(.asset(let asset)): return .whole(asset.answer)
        case .found(.login): return .whole(await signIn(request))
        default: break
        }
        let visitor: Visitor
        do {
            guard let found = try await self.visitor(request) else { return .whole(signedOut()) }
            visitor = found
        } catch {
            logger.error("sessions of the operator's page can't be checked", metadata: ["error": "\(error)"])
            return .whole(notice(Failures.store("\(error)"), .serviceUnavailable))
        }
        do {
            if case .found(.show(.raw(let id))) = finding { return try await MessageContent.raw(self, id) }
            return .whole(try await answer(request, finding, visitor))
        } catch let error as StoreError {
            return .whole(failed(error, visitor))
        } catch let refusal as Failures.Refused {
            return .whole(
                visitor.failure(Failures.refused(refusal.sentence, back: refusal.back), .unprocessableContent))
        }
    }

    private func answer(
        _ request: Request, _ finding: PageRoute.Finding, _ visitor: Visitor
    ) async throws -> HTTPAnswer {
        switch finding {
        case .found(.home): return .redirect(to: Path.keys)
        case .found(.show(let page)): return try await show(page, request, visitor)
        case .found(.act(let action)):
            guard let form = try await form(request, upTo: action.longestForm) else {
                return visitor.failure(Failures.form, .contentTooLarge)
            }
            // The digests are compared, so that the time of the comparison reveals nothing to an attacker who guesses.
            guard let token = OperatorSecret(form.raw("token")),
                token.digest == OperatorSecret(visitor.session.formToken)?.digest
            else { return visitor.failure(Failures.token, .forbidden) }
            return try await act(action, form, visitor)
        case .otherMethod(let allowed):
            var answer = visitor.failure(Failures.method, .methodNotAllowed)
            answer.head.headerFields[.allow] = allowed
            return answer
        case .notFound, .found(.asset), .found(.login): return visitor.failure(Failures.notFound, .notFound)
        }
    }

    private func failed(_ error: StoreError, _ visitor: Visitor) -> HTTPAnswer {
        switch error {
        case .noSuchKey, .noSuchMessage, .bodyGone: return visitor.failure(Failures.gone("\(error)"), .notFound)
        case .full, .unavailable, .corrupt, .newerSchema, .olderSchemaInUse, .inDoubt, .instanceLost:
            logger.error("a page could not be shown to the operator", metadata: ["error": "\(error)"])
            return visitor.failure(Failures.store("\(error)"), .serviceUnavailable)
        }
    }

    private func show(_ page: PageRoute.Page, _ request: Request, _ visitor: Visitor) async throws -> HTTPAnswer {
        // An unreadable query counts as empty. A HEAD request shows nothing, so it must not use up a secret.
        let query = request.method == .head ? Form() : Form(request.uri.query ?? "") ?? Form()
        switch page {
        case .keys: return visitor.page(try await KeysPage.make(self, query, visitor))
        case .newKey: return visitor.page(NewKeyPage.make(self, visitor, Form(), mistake: nil))
        case .key(let id): return visitor.page(try await KeyPage.make(self, id, query, visitor))
        case .secret(let id): return try await SecretPage.answer(self, id, query, visitor)
        case .messages: return try await MessagesPage.answer(self, query, visitor)
        case .message(let id): return visitor.page(try await MessageDetailPage.make(self, id, query, visitor))
        case .html(let id): return try await MessageContent.html(self, id)
        case .raw: return visitor.failure(Failures.notFound, .notFound)
        case .queue: return visitor.page(try await QueuePage.make(self, visitor))
        case .suppressions: return visitor.page(try await SuppressionsPage.make(self, query, visitor, mistake: nil))
        case .webhooks: return visitor.page(try await WebhooksPage.make(self, query, visitor, mistake: nil))
        case .webhook(let id): return visitor.page(try await WebhookPage.make(self, id, query, visitor))
        case .domains: return visitor.page(try await DomainsPage.make(self, query, visitor, mistake: nil))
        case .domain(let name, let environment):
            return visitor.page(try await DomainPage.make(self, name, environment, query, visitor))
        case .templates: return visitor.page(try await TemplatesPage.make(self, query, visitor))
        case .newTemplate: return visitor.page(TemplateEditor.new(visitor))
        case .template(let id): return visitor.page(try await TemplatePage.make(self, id, query, visitor))
        case .editTemplate(let id): return visitor.page(try await TemplateEditor.edit(self, id, visitor))
        case .templateDiff(let id): return visitor.page(try await TemplatePage.difference(self, id, query, visitor))
        case .templatePreview(let id): return try await TemplatePreview.stored(self, id, query)
        }
    }

    private func act(_ action: PageRoute.Action, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let answer = try await self.answer(action, form, visitor)
        if answer.head.status == .seeOther {
            logger.info("the operator has changed something on the page", metadata: ["action": "\(action.name)"])
        }
        return answer
    }

    private func answer(
        _ action: PageRoute.Action, _ form: Form, _ visitor: Visitor
    ) async throws -> HTTPAnswer {
        switch action {
        case .signOut:
            try await store.endSession(visitor.session.digest)
            var answer = HTTPAnswer.redirect(to: Path.keys)
            answer.head.headerFields[.setCookie] = SessionCookie.gone
            return answer
        case .createKey: return try await NewKeyPage.create(self, form, visitor)
        case .changeKey(let id): return try await KeyActions.change(self, id, form, visitor)
        case .rotateKey(let id): return try await KeyActions.rotate(self, id, form, visitor)
        case .revokeKey(let id): return try await KeyActions.revoke(self, id, form, visitor)
        case .sendTest(let id): return try await KeyActions.sendTest(self, id, form, visitor)
        case .perform(let id, let operatorAction): return try await MessageDetailPage.perform(self, id, operatorAction)
        case .suppress: return try await SuppressionsPage.add(self, form, visitor)
        case .unsuppress: return try await SuppressionsPage.remove(self, form, visitor)
        case .createWebhook: return try await WebhooksPage.create(self, form, visitor)
        case .changeWebhook(let id, let change): return try await WebhookPage.change(self, id, change)
        case .addDomain: return try await DomainsPage.add(self, form, visitor)
        case .verifyDomain(let name, let environment): return try await DomainPage.verify(self, name, environment)
        case .createTemplate: return try await TemplateEditor.create(self, form, visitor)
        case .changeTemplate(let id, let change):
            return try await TemplatePage.change(self, id, change, form, visitor)
        case .previewTemplate: return try await TemplateEditor.preview(self, form)
        }
    }

    /// Logs the ends of messages that were dropped on the page.
    func tellDropped(_ messages: [MessageID]) async {
        do {
            try await DropLog(to: logger).write(messages, of: store, now: clock.now())
        } catch {
            // The messages are dropped anyway, and the database records that.
            logger.error("the dropped messages could not be logged", metadata: ["error": "\(error)"])
        }
    }

    /// The fields that a form has sent; nil if the body is longer than `longest` octets, or not a browser's form.
    private func form(_ request: Request, upTo longest: Int) async throws -> Form? {
        let type = request.headers[.contentType] ?? ""
        guard type.prefix(while: { $0 != ";" }).trimmed.lowercased() == "application/x-www-form-urlencoded" else {
            return nil
        }
        var octets: [UInt8] = []
        for try await piece in request.body {
            guard octets.count + piece.readableBytes <= longest else { return nil }
            octets.append(contentsOf: piece.readableBytesView)
        }
        return String(validating: octets, as: UTF8.self).flatMap { Form($0) }
    }

    // MARK: Signing in

    /// Answers a request with the operator's link. The link works once: the relay exchanges it for a session.
    private func signIn(_ request: Request) async -> HTTPAnswer {
        // A browser or a mail scanner that only previews a link must not use it up.
        guard request.method == .get else {
            guard request.method == .head else { return notice(Failures.method, .methodNotAllowed) }
            return signedOut(.ok)
        }
        guard let secret = Form(request.uri.query ?? "").flatMap({ OperatorSecret($0.raw("token")) }) else {
            return signedOut(.forbidden)
        }
        let now = clock.now()
        var generator = SystemRandomNumberGenerator()
        let session = OperatorSecret(using: &generator)
        do {
            guard
                try await store.beginSession(
                    session.digest, until: now + OperatorSecret.sessionLife, redeeming: secret.digest, now: now)
            else {
                // Any client that reaches the page can cause such lines, so their number must be limited.
                admission.clientLog.write(
                    .notice, "a link to the operator's page was refused", client: OperatorPage.local,
                    metadata: ["reason": "used or too old"])
                return notice(Failures.usedLink, .forbidden)
            }
        } catch {
            logger.error("signing in to the operator's page failed", metadata: ["error": "\(error)"])
            return notice(Failures.store("\(error)"), .serviceUnavailable)
        }
        logger.notice("the operator has signed in to the page")
        var answer = HTTPAnswer.redirect(to: Path.keys)
        answer.head.headerFields[.setCookie] = SessionCookie.value(session)
        return answer
    }

    /// The visitor who sent the request; nil without a session.
    private func visitor(_ request: Request) async throws -> Visitor? {
        let now = clock.now()
        for secret in SessionCookie.secrets(in: request.headers) {
            if let end = try await store.session(secret.digest, now: now) {
                return Visitor(
                    session: secret, sessionEnds: end, now: now, hostname: configuration.hostname,
                    version: configuration.version)
            }
        }
        return nil
    }

    // MARK: Answers without a session

    private func signedOut(_ status: HTTPResponse.Status = .unauthorized) -> HTTPAnswer {
        notice(Failures.signedOut, status)
    }

    private func notice(_ refusal: RequestCheck.Refusal) -> HTTPAnswer {
        switch refusal {
        case .host: notice(Failures.host, .misdirectedRequest)
        case .foreign: notice(Failures.foreign, .forbidden)
        case .prefetch: notice(Failures.foreign, .serviceUnavailable)
        }
    }

    private func notice(_ content: PageContent, _ status: HTTPResponse.Status) -> HTTPAnswer {
        .page(Layout.notice(content, hostname: configuration.hostname), status)
    }
}

extension PageRoute.Action {
    /// The largest number of octets of the action's form.
    fileprivate var longestForm: Int {
        switch self {
        case .createTemplate, .changeTemplate(_, .save), .previewTemplate: Form.longestTemplate
        default: Form.longestBody
        }
    }

    /// The action's name in the log.
    var name: String {
        switch self {
        case .signOut: "sign out"
        case .createKey: "create a key"
        case .changeKey(let id): "change the rules of key \(id)"
        case .rotateKey(let id): "rotate key \(id)"
        case .revokeKey(let id): "revoke key \(id)"
        case .sendTest(let id): "send a test message with key \(id)"
        case .perform(let id, let operatorAction): "\(operatorAction.rawValue) message \(id)"
        case .suppress: "add to the suppressions"
        case .unsuppress: "remove from the suppressions"
        case .createWebhook: "create a webhook"
        case .changeWebhook(let id, let change): "\(change.rawValue) webhook \(id)"
        case .addDomain: "add a domain"
        case .createTemplate: "create a template"
        case .changeTemplate(let id, let change): "\(change.rawValue) template \(id)"
        case .previewTemplate: "preview a template"
        case .verifyDomain(let name, let environment): "check the \(environment.rawValue) domain \(name)"
        }
    }
}

/// The cookie of a session.
enum SessionCookie {
    private static let name = "hiveku_relay_session"
    /// Another program on this machine can have set more cookies with this name. Each one is looked up.
    private static let most = 4

    /// The cookie is not `Secure`: the page uses plain HTTP on a loopback address.
    static func value(_ session: OperatorSecret) -> String {
        let seconds = Int(OperatorSecret.sessionLife.inSeconds)
        return "\(name)=\(session.revealed); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Strict"
    }

    static let gone = "\(name)=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"

    static func secrets(in fields: HTTPFields) -> [OperatorSecret] {
        fields[values: .cookie].flatMap { $0.split(separator: ";") }
            .compactMap { pair -> OperatorSecret? in
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].trimmed == name else { return nil }
                return OperatorSecret(parts[1].trimmed)
            }.prefix(most).map { $0 }
    }
}

extension HTTPAnswer {
    /// What a browser may do with a page: show its content and its own files, and send its forms back.
    static let policy =
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
        + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    static func page(_ html: HTML, _ status: HTTPResponse.Status = .ok) -> HTTPAnswer {
        HTTPAnswer(
            status, guards(policy: policy, frames: "DENY"), contentType: "text/html; charset=utf-8",
            body: ByteBuffer(string: html.text))
    }

    /// The header fields of every answer that a browser shows.
    static func guards(policy: String, frames: String) -> HTTPFields {
        [
            .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff", .xFrameOptions: frames,
            // Not `no-referrer`: with that, browsers send the origin null with forms.
            .referrerPolicy: "same-origin", .crossOriginOpenerPolicy: "same-origin",
            .crossOriginResourcePolicy: "same-origin",
        ]
    }

    /// Redirects to a page after a form was processed, so that reloading does not send the form again.
    static func redirect(to path: String) -> HTTPAnswer {
        var answer = HTTPAnswer(
            .seeOther, guards(policy: policy, frames: "DENY"), contentType: "text/plain; charset=utf-8",
            body: ByteBuffer())
        answer.head.headerFields[.location] = path
        return answer
    }
}

extension HTTPField.Name {
    static let xFrameOptions = HTTPField.Name("X-Frame-Options")!
    static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
    static let crossOriginOpenerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy")!
    static let crossOriginResourcePolicy = HTTPField.Name("Cross-Origin-Resource-Policy")!
}
