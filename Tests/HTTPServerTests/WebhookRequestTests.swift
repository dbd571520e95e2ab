import HTTPTypes
import RelayCore
import StrictJSON
import Testing

@testable import HTTPServer

@Suite("Requests about webhooks") struct WebhookRequestTests {
    private static let id = "wh_0123456789abcdefghjk"

    private func route(_ method: String, _ path: String) throws -> Route.Finding {
        Route.find(try #require(HTTPRequest.Method(method)), path)
    }

    @Test("Routes are found by path and method") func routes() throws {
        let id = try #require(WebhookID(Self.id))
        let base = "/v1/email/webhooks"
        let known: [(String, String, WebhookRoute)] = [
            ("GET", base, .act(.list)), ("HEAD", base, .act(.list)), ("POST", base, .write(.create)),
            ("GET", "\(base)/\(id)", .act(.show(id))), ("PATCH", "\(base)/\(id)", .write(.change(id))),
            ("DELETE", "\(base)/\(id)", .act(.delete(id))), ("POST", "\(base)/\(id)/test", .act(.test(id))),
            ("POST", "\(base)/\(id)/rotate-secret", .act(.rotate(id))),
            ("GET", "\(base)/\(id)/deliveries", .act(.deliveries(id))),
        ]
        for (method, path, found) in known { #expect(try route(method, path) == .found(.webhooks(found))) }
        #expect(try route("DELETE", base) == .otherMethod(allowed: "GET, HEAD, POST"))
        #expect(try route("PUT", "\(base)/\(id)") == .otherMethod(allowed: "GET, HEAD, PATCH, DELETE"))
        #expect(try route("GET", "\(base)/\(id)/test") == .otherMethod(allowed: "POST"))
        for path in ["/", "x", "/wh_x", "/\(id)/", "/\(id)/test/", "/\(id)/drop", "/\(id)//test", "//\(id)"] {
            #expect(try route("GET", base + path) == .notFound, "\(path)")
        }
    }

    private func fields(_ text: String, complete: Bool = true) throws -> WebhookFields {
        try WebhookFields(JSON(reading: Array(text.utf8)), isComplete: complete, policy: WebhookAddressPolicy())
    }

    @Test("Null counts as a missing field, and * as all events") func values() throws {
        let read = try fields(
            #"{"url":"https://a.example/","events":["bounce","*"],"tags":["b","a","b"],"enabled":null}"#)
        #expect(
            read.url == "https://a.example/" && read.events == [] && read.tags == ["b", "a"] && read.enabled == nil)
        #expect(try fields(#"{"url":null,"tags":[]}"#, complete: false).tags == [])
        #expect(try fields("{}", complete: false).events == nil)
    }

    @Test(
        "Invalid documents are refused",
        arguments: [
            "[]", "{}", #"{"url":"https://a.example/","events":[1]}"#, #"{"url":"https://a.example/","events":{}}"#,
            #"{"url":"https://a.example/","tags":"a"}"#, #"{"url":"https://127.0.0.1/"}"#,
            #"{"url":"http://a.example/"}"#,
        ]) func refused(text: String)
    {
        #expect(throws: EmailRequestFailure.self) { try fields(text) }
    }

    @Test("Enabling a webhook clears the reason why the relay disabled it") func enabling() throws {
        var generator = SystemRandomNumberGenerator()
        let now = Timestamp(milliseconds: 1)
        var webhook = Webhook(
            id: WebhookID(using: &generator), key: try #require(KeyID("AbCd0123")), url: "https://a.example/",
            isEnabled: false, disabledBecause: "it answered with 410", createdAt: now,
            secret: WebhookSecret(using: &generator), failingSince: now)
        try fields(#"{"enabled":true}"#, complete: false).apply(to: &webhook)
        #expect(webhook.isEnabled && webhook.disabledBecause == nil && webhook.failingSince == nil)
        #expect(webhook.url == "https://a.example/")
    }

    @Test("The query for a page of deliveries is checked") func query() {
        #expect(DeliveriesQuery.read("limit=3&cursor=17") == .success(DeliveriesQuery(limit: 3, cursor: 17)))
        #expect(DeliveriesQuery.read("") == .success(DeliveriesQuery()))
        for query in [
            "limit=0", "limit=x", "cursor=0", "cursor=01", "cursor=-1", "x=1", "limit=1&limit=1", "cursor=%g",
        ] {
            guard case .failure = DeliveriesQuery.read(query) else {
                Issue.record("\(query) was accepted")
                continue
            }
        }
    }
}
