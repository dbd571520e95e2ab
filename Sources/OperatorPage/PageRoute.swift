import HTTPServer
import HTTPTypes
import InternetMessage
import RelayCore

/// What a path and a method of the operator's page request.
enum PageRoute: Hashable, Sendable {
    /// Redirects to the first page.
    case home
    case login
    case asset(Asset)
    case show(Page)
    case act(Action)

    /// The pages.
    enum Page: Hashable, Sendable {
        case keys
        case newKey
        case key(KeyID)
        /// The secret of a key that was just created or rotated.
        case secret(KeyID)
        case messages
        case message(MessageID)
        /// The HTML of a message, for the frame.
        case html(MessageID)
        /// The octets of a message.
        case raw(MessageID)
        case queue
        case suppressions
        case webhooks
        case webhook(WebhookID)
        case domains
        case domain(DomainName, Environment)
        case templates
        case newTemplate
        case template(TemplateID)
        case editTemplate(TemplateID)
        case templateDiff(TemplateID)
        /// A template with values, for the frame.
        case templatePreview(TemplateID)
    }

    /// The actions of forms.
    enum Action: Hashable, Sendable {
        case signOut
        case createKey
        case changeKey(KeyID)
        case rotateKey(KeyID)
        case revokeKey(KeyID)
        case sendTest(KeyID)
        case perform(MessageID, MessageAction)
        case suppress
        case unsuppress
        case createWebhook
        case changeWebhook(WebhookID, WebhookChange)
        case addDomain
        case verifyDomain(DomainName, Environment)
        case createTemplate
        case changeTemplate(TemplateID, TemplateChange)
        /// Shows the content of the form, and changes nothing.
        case previewTemplate
    }

    enum MessageAction: String, Sendable, CaseIterable {
        case retry, hold, release, drop
    }

    enum WebhookChange: String, Sendable, CaseIterable {
        case test, enable, disable, delete
    }

    enum TemplateChange: String, Sendable, CaseIterable {
        case save, delete
        case rollBack = "roll-back"
    }

    enum Finding: Hashable, Sendable {
        case found(PageRoute)
        case notFound
        /// The path exists, but only for these methods.
        case otherMethod(allowed: String)
    }

    /// - Parameter path: the path of the request's target, without its query.
    static func find(_ method: HTTPRequest.Method, _ path: some StringProtocol) -> Finding {
        let read = reading(path)
        let write = writing(path)
        switch method {
        case .get, .head:
            if let read { return .found(read) }
        case .post:
            if let write { return .found(.act(write)) }
        default: break
        }
        let allowed = (read == nil ? [] : ["GET", "HEAD"]) + (write == nil ? [] : ["POST"])
        return allowed.isEmpty ? .notFound : .otherMethod(allowed: allowed.joined(separator: ", "))
    }

    private static func parts(_ path: some StringProtocol) -> [String] {
        guard path.hasPrefix("/") else { return ["", ""] }
        return String(path).dropFirst().split(separator: "/", maxSplits: 4, omittingEmptySubsequences: false).map {
            String($0)
        }
    }

    private static func reading(_ path: some StringProtocol) -> PageRoute? {
        let parts = parts(path)
        switch (parts.count, parts.first) {
        case (1, ""): return .home
        case (1, "login"): return .login
        case (1, "keys"): return .show(.keys)
        case (1, "messages"): return .show(.messages)
        case (1, "queue"): return .show(.queue)
        case (1, "suppressions"): return .show(.suppressions)
        case (1, "webhooks"): return .show(.webhooks)
        case (1, "domains"): return .show(.domains)
        case (1, "templates"): return .show(.templates)
        case (1, let name?): return Asset.allCases.first { $0.name == name }.map { .asset($0) }
        case (2, "keys"): return parts[1] == "new" ? .show(.newKey) : KeyID(parts[1]).map { .show(.key($0)) }
        case (3, "keys"): return parts[2] == "secret" ? KeyID(parts[1]).map { .show(.secret($0)) } : nil
        case (2, "messages"): return MessageID(parts[1]).map { .show(.message($0)) }
        case (3, "messages"):
            guard let id = MessageID(parts[1]) else { return nil }
            return parts[2] == "html" ? .show(.html(id)) : parts[2] == "raw" ? .show(.raw(id)) : nil
        case (2, "webhooks"): return WebhookID(parts[1]).map { .show(.webhook($0)) }
        case (2, "templates"):
            return parts[1] == "new" ? .show(.newTemplate) : TemplateID(parts[1]).map { .show(.template($0)) }
        case (3, "templates"):
            guard let id = TemplateID(parts[1]) else { return nil }
            switch parts[2] {
            case "edit": return .show(.editTemplate(id))
            case "changes": return .show(.templateDiff(id))
            case "preview": return .show(.templatePreview(id))
            default: return nil
            }
        case (3, "domains"): return domain(parts).map { .show(.domain($0, $1)) }
        default: return nil
        }
    }

    /// The part after `/domains`: the environment and the name in A-labels.
    private static func domain(_ parts: [String]) -> (DomainName, Environment)? {
        guard let environment = Environment(rawValue: parts[1]), let name = DomainName(ascii: parts[2].utf8),
            name.text == parts[2]
        else { return nil }
        return (name, environment)
    }

    private static func writing(_ path: some StringProtocol) -> Action? {
        let parts = parts(path)
        switch (parts.count, parts.first) {
        case (1, "sign-out"): return .signOut
        case (1, "keys"): return .createKey
        case (1, "suppressions"): return .suppress
        case (2, "suppressions"): return parts[1] == "remove" ? .unsuppress : nil
        case (1, "webhooks"): return .createWebhook
        case (1, "domains"): return .addDomain
        case (1, "templates"): return .createTemplate
        case (2, "templates"): return parts[1] == "preview" ? .previewTemplate : nil
        case (3, "templates"):
            guard let id = TemplateID(parts[1]), let change = TemplateChange(rawValue: parts[2]) else { return nil }
            return .changeTemplate(id, change)
        case (4, "domains"): return parts[3] == "verify" ? domain(parts).map { .verifyDomain($0, $1) } : nil
        case (3, "keys"):
            guard let id = KeyID(parts[1]) else { return nil }
            switch parts[2] {
            case "rules": return .changeKey(id)
            case "rotate": return .rotateKey(id)
            case "revoke": return .revokeKey(id)
            case "test": return .sendTest(id)
            default: return nil
            }
        case (3, "messages"):
            guard let id = MessageID(parts[1]), let operatorAction = MessageAction(rawValue: parts[2]) else {
                return nil
            }
            return .perform(id, operatorAction)
        case (3, "webhooks"):
            guard let id = WebhookID(parts[1]), let change = WebhookChange(rawValue: parts[2]) else { return nil }
            return .changeWebhook(id, change)
        default: return nil
        }
    }
}

/// The paths of pages and actions, for links and forms. They are made only here, so that each leads to an existing
/// route.
enum Path {
    static let keys = "/keys"
    static let newKey = "/keys/new"
    static func key(_ id: KeyID) -> String { "/keys/\(id)" }
    static func keyAction(_ id: KeyID, _ action: String) -> String { "/keys/\(id)/\(action)" }
    static let messages = "/messages"
    static func messages(of key: KeyID) -> String { "/messages?key=\(key)" }
    static func messages(to text: String) -> String { "/messages?q=" + PercentEncoding.encoded(text.utf8) }
    static func messages(in state: String) -> String { "/messages?state=" + state }
    static func message(_ id: MessageID) -> String { "/messages/\(id)" }
    static func message(_ id: MessageID, _ part: String) -> String { "/messages/\(id)/\(part)" }
    static let queue = "/queue"
    static let suppressions = "/suppressions"
    static let webhooks = "/webhooks"
    static func webhook(_ id: WebhookID) -> String { "/webhooks/\(id)" }
    static func webhook(_ id: WebhookID, _ change: PageRoute.WebhookChange) -> String {
        "/webhooks/\(id)/\(change.rawValue)"
    }
    static let templates = "/templates"
    static let newTemplate = "/templates/new"
    static let previewTemplate = "/templates/preview"
    static func template(_ id: TemplateID) -> String { "/templates/\(id)" }
    static func template(_ id: TemplateID, version: Int) -> String { "/templates/\(id)?version=\(version)" }
    static func editTemplate(_ id: TemplateID) -> String { "/templates/\(id)/edit" }
    static func templatePreview(_ id: TemplateID, _ version: Int) -> String {
        "/templates/\(id)/preview?version=\(version)"
    }
    static func templateDiff(_ id: TemplateID) -> String { "/templates/\(id)/changes" }
    static func templateDiff(_ id: TemplateID, from: Int, to: Int) -> String {
        "/templates/\(id)/changes?from=\(from)&to=\(to)"
    }
    static func templateAction(_ id: TemplateID, _ change: PageRoute.TemplateChange) -> String {
        "/templates/\(id)/\(change.rawValue)"
    }
    static let domains = "/domains"
    static func domain(_ name: DomainName, _ environment: Environment) -> String {
        "/domains/\(environment.rawValue)/\(name)"
    }
    static func domainCheck(_ name: DomainName, _ environment: Environment) -> String {
        domain(name, environment) + "/verify"
    }
}
