import HTTPServer
import HTTPTypes
import RelayCore

/// The page that creates a key.
enum NewKeyPage {
    static func make(_ page: OperatorPage, _ visitor: Visitor, _ form: Form, mistake: FormMistake?) -> PageContent {
        let fields = mistake == nil ? KeyForm.beginning : form
        return PageContent(
            title: "Create a key", section: .keys,
            body: """
                <h1>Create a key</h1>
                <p>An application sends with the key: it is the password of its SMTP settings, or the bearer token of its HTTP \
                requests.</p>\(Part.mistake(mistake))
                \(visitor.form(Path.keys, class: "panel", "\(FormID.field)\(KeyForm.html(fields, isNew: true))<p class=\"actions\"><button>Create the key</button> <a class=\"button quiet\" href=\"\(Path.keys)\">Cancel</a></p>"))
                """)
    }

    static func create(_ page: OperatorPage, _ form: Form, _ visitor: Visitor) async throws -> HTTPAnswer {
        let change: @Sendable (inout Key) -> Void
        do throws(FormMistake) {
            change = try KeyForm.change(form, of: nil, now: visitor.now)
        } catch {
            return visitor.page(make(page, visitor, form, mistake: error), .unprocessableContent)
        }
        let environment = Environment(rawValue: form["environment"]) ?? .test
        var generator = SystemRandomNumberGenerator()
        let secret = APIKey(generating: environment, using: &generator)
        let formID = form.raw("form")
        let path = SecretPage.path(secret.id, formID)
        if let earlier = await page.secrets.begin(formID, path) { return .redirect(to: earlier) }
        var key = Key(id: secret.id, name: "", environment: environment, scopes: [], createdAt: visitor.now)
        change(&key)
        do {
            try await page.store.insertKey(StoredKey(key: key, digest: secret.digest))
        } catch {
            await page.secrets.forget(formID)
            throw error
        }
        await page.secrets.finish(formID, at: path, .key(secret, previousUntil: nil))
        return .redirect(to: path)
    }
}

/// The id of a form, which distinguishes one form sent twice from two forms.
enum FormID {
    static var field: HTML { "<input type=\"hidden\" name=\"form\" value=\"\(make())\">" }

    private static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in String(UInt8.random(in: 16 ... .max, using: &generator), radix: 16) }.joined()
    }
}

/// The page that shows a key's secret once, with the settings for an application.
enum SecretPage {
    static func path(_ id: KeyID, _ form: String) -> String { link(Path.keyAction(id, "secret"), [("of", form)]) }

    static func answer(
        _ page: OperatorPage, _ id: KeyID, _ query: Form, _ visitor: Visitor
    ) async throws -> HTTPAnswer {
        guard let record = try await page.store.keyRecord(id, now: visitor.now) else { throw StoreError.noSuchKey(id) }
        guard case .key(let secret, let previousUntil) = await page.secrets.take(path(id, query.raw("of"))) else {
            return visitor.page(gone(record.key))
        }
        return visitor.page(shown(page.configuration, record.key, secret.revealed, previousUntil, visitor))
    }

    private static func gone(_ key: Key) -> PageContent {
        PageContent(
            title: "The key was shown once", section: .keys,
            body: """
                <h1>The key was shown once</h1><p>Only its hash is stored, so it can't be shown again. If you did not copy it, \
                <a href="\(Path.key(key.id))">give the key a new secret</a>.</p>
                """)
    }

    private static func shown(
        _ configuration: OperatorPageConfiguration, _ key: Key, _ secret: String, _ previousUntil: Timestamp?,
        _ visitor: Visitor
    ) -> PageContent {
        let sender = key.domains.first.map { "you@\($0.domain)" } ?? "shop@example.com"
        let recipient = key.environment == .test ? "success@simulator.amazonses.com" : "you@example.net"
        let old: HTML = previousUntil.map { "<p>The old secret works until \(brief($0)) UTC.</p>" } ?? ""
        var ways: [HTML] = []
        if let smtp = configuration.smtp {
            ways.append(
                """
                <h2>In the application</h2>\(Part.facts([
                    ("Server", "<code>\(smtp.host)</code>"), ("Port", "<code>\(smtp.port)</code>"), ("Encryption", "STARTTLS"),
                    ("User name", "<code>apikey</code>"), ("Password", "the key"),
                ]))
                <h2>Try it with swaks</h2>\(Part.copyable(swaks(smtp, secret, sender, recipient), label: "the swaks command"))
                """)
        }
        if let api = configuration.api {
            ways.append(
                "<h2>Try it with curl</h2>\(Part.copyable(curl(api, secret, sender, recipient), label: "the curl command"))"
            )
        }
        return PageContent(
            title: "The key \(key.name)", section: .keys,
            body: """
                <h1>The key for <em>\(key.name)</em></h1>
                <p class="important"><strong>Copy it now: it is shown only once.</strong> Only its hash is stored.</p>
                \(Part.copyable(secret, label: "the key"))\(old)\(ways)
                <p class="actions"><a class="button" href="\(Path.key(key.id))">Open the key's page</a></p>
                """)
    }

    private static func swaks(
        _ smtp: (host: String, port: Int), _ secret: String, _ sender: String, _ recipient: String
    ) -> String {
        """
        swaks --server \(smtp.host.contains(":") ? "[\(smtp.host)]" : smtp.host):\(smtp.port) --tls --auth PLAIN --auth-user apikey --auth-password \(secret) \
        --from \(sender) --to \(recipient) --header 'Subject: It works'
        """
    }

    private static func curl(_ api: String, _ secret: String, _ sender: String, _ recipient: String) -> String {
        """
        curl \(api)/v1/email/send -H 'Authorization: Bearer \(secret)' -H 'Content-Type: application/json' \
        -d '{"from": "\(sender)", "to": "\(recipient)", "subject": "It works", "text": "It works."}'
        """
    }
}
