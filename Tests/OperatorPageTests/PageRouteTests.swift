import HTTPTypes
import InternetMessage
import RelayCore
import Testing

@testable import OperatorPage

@Suite struct PageRouteTests {
    static let key = KeyID("AbCdEfGh")
    static let message = MessageID("0scdbbvv80000")

    @Test(arguments: [
        ("/", PageRoute.home), ("/login", .login), ("/keys", .show(.keys)), ("/keys/new", .show(.newKey)),
        ("/messages", .show(.messages)), ("/queue", .show(.queue)), ("/suppressions", .show(.suppressions)),
        ("/webhooks", .show(.webhooks)), ("/domains", .show(.domains)),
        ("/templates", .show(.templates)), ("/style.css", .asset(.style)), ("/page.js", .asset(.script)),
        ("/icon.svg", .asset(.icon)),
    ])
    func pagesAreFound(_ path: String, _ route: PageRoute) {
        #expect(PageRoute.find(.get, path) == .found(route))
        #expect(PageRoute.find(.head, path) == .found(route))
    }

    @Test func pagesOfSingleObjectsHaveRoutes() throws {
        let key = try #require(Self.key)
        let message = try #require(Self.message)
        #expect(PageRoute.find(.get, "/keys/AbCdEfGh") == .found(.show(.key(key))))
        #expect(PageRoute.find(.get, "/keys/AbCdEfGh/secret") == .found(.show(.secret(key))))
        #expect(PageRoute.find(.get, "/messages/0scdbbvv80000") == .found(.show(.message(message))))
        #expect(PageRoute.find(.get, "/messages/0scdbbvv80000/html") == .found(.show(.html(message))))
        #expect(PageRoute.find(.get, "/messages/0scdbbvv80000/raw") == .found(.show(.raw(message))))
        let domain = try #require(DomainName(ascii: "example.com".utf8))
        #expect(PageRoute.find(.get, "/domains/live/example.com") == .found(.show(.domain(domain, .live))))
        #expect(
            PageRoute.find(.post, "/domains/test/example.com/verify") == .found(.act(.verifyDomain(domain, .test))))
        #expect(PageRoute.find(.post, "/domains") == .found(.act(.addDomain)))
        #expect(PageRoute.find(.get, Path.domain(domain, .test)) == .found(.show(.domain(domain, .test))))
        #expect(
            PageRoute.find(.post, Path.domainCheck(domain, .live)) == .found(.act(.verifyDomain(domain, .live))))
        let template = try #require(TemplateID("tpl_" + String(repeating: "7", count: 20)))
        #expect(PageRoute.find(.get, "/templates/new") == .found(.show(.newTemplate)))
        #expect(PageRoute.find(.get, Path.template(template)) == .found(.show(.template(template))))
        #expect(PageRoute.find(.get, Path.editTemplate(template)) == .found(.show(.editTemplate(template))))
        #expect(PageRoute.find(.get, Path.templateDiff(template)) == .found(.show(.templateDiff(template))))
        #expect(
            PageRoute.find(.get, "/templates/\(template)/preview") == .found(.show(.templatePreview(template))))
        #expect(PageRoute.find(.post, Path.previewTemplate) == .found(.act(.previewTemplate)))
        #expect(
            PageRoute.find(.post, Path.templateAction(template, .rollBack))
                == .found(.act(.changeTemplate(template, .rollBack))))
        #expect(PageRoute.find(.post, "/keys/AbCdEfGh/revoke") == .found(.act(.revokeKey(key))))
        #expect(PageRoute.find(.post, "/messages/0scdbbvv80000/drop") == .found(.act(.perform(message, .drop))))
    }

    /// A path that changes something accepts only POST, and a page accepts only GET and HEAD.
    @Test(arguments: [
        ("/keys/AbCdEfGh/revoke", "POST"), ("/keys/AbCdEfGh/rotate", "POST"), ("/sign-out", "POST"),
        ("/suppressions/remove", "POST"),
        ("/messages/0scdbbvv80000/retry", "POST"), ("/queue", "GET, HEAD"), ("/keys/new", "GET, HEAD"),
    ])
    func eachPathHasItsMethods(_ path: String, _ allowed: String) {
        #expect(PageRoute.find(allowed == "POST" ? .get : .post, path) == .otherMethod(allowed: allowed))
        #expect(PageRoute.find(.delete, path) == .otherMethod(allowed: allowed))
    }

    @Test(arguments: [
        "", "keys", "//keys", "/keys/", "/Keys", "/keys/short", "/keys/AbCdEfGh/", "/keys/AbCdEfGh/x",
        "/keys/AbCdEfGh/secret/x",
        "/keys/../queue", "/keys/%41bCdEfGh", "/messages/x", "/messages/0scdbbvv80000/attachment", "/webhooks/x",
        "/domains/live", "/domains/prod/example.com", "/domains/live/Example.com", "/domains/live/a..b",
        "/domains/live/example.com/records",
        "/style.css/x",
        "/.env", "/a/b/c/d/e/f/g",
    ])
    func otherPathsAreNotFound(_ path: String) {
        #expect(PageRoute.find(.get, path) == .notFound)
        #expect(PageRoute.find(.post, path) == .notFound)
    }

    /// Only `Path` makes the paths of links and forms. Each of these paths must have a route.
    @Test func thePathsOfLinksHaveRoutes() throws {
        let key = try #require(Self.key)
        let message = try #require(Self.message)
        for path in [
            Path.keys, Path.newKey, Path.key(key), Path.messages, Path.message(message), Path.queue, Path.suppressions,
            Path.webhooks, Path.domains,
        ] {
            guard case .found = PageRoute.find(.get, path) else {
                Issue.record("no page at \(path)")
                continue
            }
        }
        for action in ["rules", "rotate", "revoke", "test"] {
            guard case .found = PageRoute.find(.post, Path.keyAction(key, action)) else {
                Issue.record("no action \(action)")
                continue
            }
        }
        for operatorAction in PageRoute.MessageAction.allCases {
            #expect(
                PageRoute.find(.post, Path.message(message, operatorAction.rawValue))
                    == .found(.act(.perform(message, operatorAction))))
        }
    }
}
