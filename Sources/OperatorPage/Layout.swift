import HTTPServer
import HTTPTypes
import RelayCore

/// The person who views a page, and the time of the view.
struct Visitor: Sendable {
    let session: OperatorSecret
    let sessionEnds: Timestamp
    let now: Timestamp
    let hostname: String
    let version: String

    func page(_ content: PageContent, _ status: HTTPResponse.Status = .ok) -> HTTPAnswer {
        .page(Layout.page(content, self), status)
    }

    /// A page that explains why the requested one can't be shown.
    func failure(_ content: PageContent, _ status: HTTPResponse.Status) -> HTTPAnswer {
        var content = content
        content.body = "<h1>\(content.title)</h1>\(content.body)"
        return page(content, status)
    }

    /// A form that changes something. Its token proves that the form comes from this page.
    func form(_ action: String, class name: String = "", _ fields: HTML) -> HTML {
        """
        <form method="post" action="\(action)" class="\(name)"><input type="hidden" name="token" value="\(session.formToken)">\(fields)</form>
        """
    }

    /// A time such as `3 min ago`, with the exact time as a tooltip.
    func ago(_ time: Timestamp?, never: String = "never") -> HTML {
        guard let time else { return "\(never)" }
        let isNow = time - now < .seconds(1) && now - time < .seconds(3)
        let text = isNow ? "just now" : time > now ? "in \(approximate(time - now))" : "\(approximate(now - time)) ago"
        return "<time datetime=\"\(time.rfc3339)\" title=\"\(brief(time)) UTC\">\(text)</time>"
    }

    /// `2026-11-29 02:10:33 (3 min ago)`.
    func moment(_ time: Timestamp) -> HTML {
        "<time datetime=\"\(time.rfc3339)\">\(brief(time))</time> <span class=\"muted\">\(ago(time))</span>"
    }
}

/// What a page has between its header and its footer.
struct PageContent: Sendable {
    enum Section: String, CaseIterable, Sendable {
        case keys = "Keys"
        case messages = "Messages"
        case queue = "Queue"
        case suppressions = "Suppressions"
        case domains = "Domains"
        case templates = "Templates"
        case webhooks = "Webhooks"

        var path: String {
            switch self {
            case .keys: Path.keys
            case .messages: Path.messages
            case .queue: Path.queue
            case .suppressions: Path.suppressions
            case .domains: Path.domains
            case .templates: Path.templates
            case .webhooks: Path.webhooks
            }
        }
    }

    var title: String
    var section: Section?
    /// The message about a completed action, which is shown above everything else.
    var done: HTML?
    var body: HTML
    /// Whether the content changes by itself, so that the script fetches it again.
    var isLive = false
}

enum Layout {
    static func page(_ content: PageContent, _ visitor: Visitor) -> HTML {
        let links = PageContent.Section.allCases.map { section -> HTML in
            let current: HTML = section == content.section ? " aria-current=\"page\"" : ""
            return "<li><a href=\"\(section.path)\"\(current)>\(section.rawValue)</a></li>"
        }
        let done = content.done.map { "<p class=\"done\" role=\"status\">\($0)</p>" as HTML }
        return document(
            "\(content.title) · \(visitor.hostname)",
            """
            <a class="skip" href="#main">Skip to the content</a>
            <header class="top"><div class="wrap">
            <a class="brand" href="\(Path.keys)">\(mark)<span>Hiveku Relay</span></a>
            <nav aria-label="Pages"><ul>\(links)</ul></nav>
            \(visitor.form("/sign-out", class: "out", "<button class=\"quiet\">Sign out</button>"))
            </div></header>
            <main id="main" class="wrap" tabindex="-1"\(when(content.isLive, " data-live=\"3\""))>\(done.orEmpty)\(content.body)</main>
            <footer class="wrap"><p>\(visitor.hostname) · Hiveku Relay \(visitor.version) · All times are UTC. · Signed in until \
            \(String(brief(visitor.sessionEnds).dropFirst(11).prefix(5)))</p></footer>
            """)
    }

    /// A page for a visitor who is not signed in.
    static func notice(_ content: PageContent, hostname: String) -> HTML {
        document(
            "\(content.title) · \(hostname)",
            "<main id=\"main\" class=\"wrap notice\">\(mark)<h1>\(content.title)</h1>\(content.body)</main>")
    }

    private static func document(_ title: String, _ body: HTML) -> HTML {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(title)</title><link rel="stylesheet" href="\(Asset.style.path)"><link rel="icon" href="\(Asset.icon.path)">
        <script src="\(Asset.script.path)" defer></script></head>
        <body>
        \(body)
        </body></html>

        """
    }

    private static let mark: HTML = """
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 1.5 21 6.75v10.5L12 22.5 3 17.25V6.75z"/><path \
        class="in" d="M6.5 9.5 12 13l5.5-3.5M6.5 9.5h11v6h-11z"/></svg>
        """
}

/// The pages that are sent if a page can't be shown.
enum Failures {
    /// A form whose action can't be done.
    struct Refused: Error {
        /// The reason, without a full stop.
        var sentence: String
        var back: String
    }

    static let signedOut = PageContent(
        title: "You are not signed in",
        body: """
            <p>On the gateway, run:</p><pre><code>sudo hiveku-relay admin login</code></pre><p>It prints a link that works once, within \
            five minutes. Open the link in this browser.</p>
            """)
    static let usedLink = PageContent(
        title: "This link can't be used any more",
        body: """
            <p>A link works once, within five minutes. Get a new one on the gateway:</p>\
            <pre><code>sudo hiveku-relay admin login</code></pre>
            """)
    static let host = PageContent(
        title: "The page is not available at this address",
        body: """
            <p>The page is available only at a loopback address: <code>http://127.0.0.1</code> or <code>http://localhost</code> with the port \
            that the relay or ssh listens on.</p>
            """)
    static let foreign = PageContent(
        title: "Another page sent this request",
        body: """
            <p>Requests that come from other pages are refused. To open a link to this page, copy it into the browser's address \
            bar.</p>
            """)
    static let method = PageContent(
        title: "That can't be done here", body: "<p>The address is known, but not for this kind of request.</p>")
    static let notFound = PageContent(
        title: "There is no such page", body: "<p><a href=\"\(Path.keys)\">Go to the keys</a></p>")
    static let token = PageContent(
        title: "This form is too old",
        body: "<p>It belongs to an earlier session. Go back, reload the page, and fill the form in again.</p>")
    static let form = PageContent(
        title: "This form can't be read",
        body: "<p>It is too long, or this page did not make it. Nothing was changed.</p>")

    static func gone(_ sentence: String) -> PageContent {
        PageContent(title: "Not found", body: "<p>\(sentence.capitalised).</p>")
    }

    static func store(_ sentence: String) -> PageContent {
        PageContent(title: "The database does not answer", body: "<p>\(sentence.capitalised).</p>")
    }

    static func refused(_ sentence: String, back: String) -> PageContent {
        PageContent(
            title: "That was not done",
            body: "<p>\(sentence.capitalised).</p><p><a class=\"button\" href=\"\(back)\">Back</a></p>")
    }
}

extension String {
    /// The text with a capital first letter.
    var capitalised: String { prefix(1).uppercased() + dropFirst() }
}

/// Parts that several pages use.
enum Part {
    enum Tone: String {
        case plain, good, bad, wait
    }

    /// A word with a coloured dot. The word alone is enough: colour is never the only sign.
    static func badge(_ word: String, _ tone: Tone) -> HTML { "<span class=\"badge \(tone.rawValue)\">\(word)</span>" }

    static func environment(_ environment: Environment) -> HTML {
        "<span class=\"env \(environment.rawValue)\">\(environment.rawValue)</span>"
    }

    /// `hk_live_AbCdEfGh…`.
    static func prefix(_ key: Key) -> HTML {
        "<code>hk_\(key.environment.rawValue)_\(key.id.text)…</code>"
    }

    /// A list of names and values.
    static func facts(_ rows: [(String, HTML)]) -> HTML {
        "<dl class=\"facts\">\(rows.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd></div>" as HTML })</dl>"
    }

    /// A table that becomes a list of cards on a narrow screen.
    static func table(_ caption: String, _ columns: [String], _ rows: [[HTML]]) -> HTML {
        let head = columns.map { "<th scope=\"col\" role=\"columnheader\">\($0)</th>" as HTML }
        let body = rows.map { row -> HTML in
            let cells = zip(columns, row).map { "<td role=\"cell\" data-label=\"\($0)\"><div>\($1)</div></td>" as HTML }
            return "<tr role=\"row\">\(cells)</tr>\n"
        }
        return """
            <table role="table"><caption class="unseen">\(caption)</caption><thead role="rowgroup"><tr role="row">\(head)</tr></thead>\
            <tbody role="rowgroup">\(body)</tbody></table>
            """
    }

    static func field(_ label: String, _ control: HTML, hint: HTML = "") -> HTML {
        "<label class=\"field\"><span>\(label)</span>\(control)\(when(!hint.isEmpty, "<small>\(hint)</small>"))</label>"
    }

    static func input(_ name: String, _ value: String, type: String = "text", _ more: HTML = "") -> HTML {
        "<input name=\"\(name)\" type=\"\(type)\" value=\"\(value)\" \(more)>"
    }

    static func select(_ name: String, _ chosen: String, _ options: [(value: String, text: String)]) -> HTML {
        let list = options.map { option -> HTML in
            let mark: HTML = option.value == chosen ? " selected" : ""
            return "<option value=\"\(option.value)\"\(mark)>\(option.text)</option>"
        }
        return "<select name=\"\(name)\">\(list)</select>"
    }

    static func check(_ name: String, _ value: String, _ isOn: Bool, _ label: HTML) -> HTML {
        """
        <label class="check"><input type="checkbox" name="\(name)" value="\(value)"\(when(isOn, " checked"))> <span>\(label)</span></label>
        """
    }

    /// The mistake in a form, shown above it.
    /// - Parameter form: the form's anchor, if the form is further down the page.
    static func mistake(_ mistake: FormMistake?, form: String? = nil) -> HTML {
        guard let mistake else { return .empty }
        let way: HTML = form.map { " <a href=\"\($0)\">Go to the form</a>" } ?? .empty
        return "<p class=\"mistake\" role=\"alert\">\(mistake.sentence.capitalised).\(way)</p>"
    }

    /// A text to copy, with a button if the browser runs the script.
    static func copyable(_ text: String, label: String) -> HTML {
        """
        <div class="copy"><pre tabindex="0"><code>\(text)</code></pre><button type="button" class="quiet" data-copy hidden \
        aria-label="Copy \(label)">Copy</button></div>
        """
    }

    static func more(_ path: String, _ text: String) -> HTML {
        "<p class=\"more\"><a class=\"button quiet\" href=\"\(path)\">\(text)</a></p>"
    }
}

/// A rate such as `2.1 %`, or `not known`.
func rate(_ rate: Double?) -> String { rate == nil ? "not known" : percent(rate) }

/// A path with query parameters. Empty values are left out.
func link(_ path: String, _ parameters: [(String, String)]) -> String {
    let parts = parameters.filter { !$0.1.isEmpty }.map { "\($0)=\(PercentEncoding.encoded($1.utf8))" }
    return parts.isEmpty ? path : path + "?" + parts.joined(separator: "&")
}
