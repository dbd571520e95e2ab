import HTTPTypes
import Testing

@testable import OperatorPage

@Suite struct RequestCheckTests {
    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:2581", "127.0.0.2:8025", "localhost", "localhost:8025", "LocalHost:1", "[::1]",
        "[::1]:2581",
    ])
    func loopbackHostsAreTaken(_ host: String) {
        #expect(RequestCheck.refusal(authority: host, [:]) == nil)
    }

    @Test(
        arguments: [
            nil, "", "example.com", "example.com:2581", "127.0.0.1.example.com", "localhost.example.com", "localhost.",
            "192.0.2.1:2581",
            "0.0.0.0:2581", "2130706433", "0x7f000001", "127.1", "017700000001", "[::2]", "[::1", "::1", "[::1]x",
            "[::1]:x",
            "127.0.0.1:", "127.0.0.1:99999999", "127.0.0.1:80:80", "localhost:80@evil.example", "user@localhost",
            "[127.0.0.1]x",
            "127.0.0.1/", "xn--localhost",
        ] as [String?])
    func otherHostsAreRefused(_ host: String?) {
        // RFC 3986 allows a colon without a port. It means the same host.
        if host == "127.0.0.1:" { return #expect(RequestCheck.refusal(authority: host, [:]) == nil) }
        #expect(RequestCheck.refusal(authority: host, [:]) == .host)
    }

    @Test func aSecondHostIsRefused() {
        #expect(RequestCheck.refusal(authority: "localhost", [.secondHost: "localhost"]) == .host)
    }

    @Test(arguments: [
        ("http://localhost:8025", true), ("http://LOCALHOST:8025", true), ("null", false), ("http://localhost", false),
        ("http://localhost:80251", false), ("https://localhost:8025", false), ("http://127.0.0.1:8025", false),
        ("http://evil.example", false), ("", false),
    ])
    func theOriginMustBeThePages(_ origin: String, _ isTaken: Bool) {
        let refusal = RequestCheck.refusal(authority: "localhost:8025", [.origin: origin])
        #expect(refusal == (isTaken ? nil : .foreign))
    }

    @Test(arguments: [
        ("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("", false), ("x", false),
    ])
    func secFetchSiteMustBeSameOriginOrNone(_ site: String, _ isTaken: Bool) {
        let refusal = RequestCheck.refusal(authority: "localhost", [.secFetchSite: site])
        #expect(refusal == (isTaken ? nil : .foreign))
    }

    @Test func everyRepeatedOriginFieldMustMatchThePage() {
        var fields: HTTPFields = [.secFetchSite: "same-origin"]
        fields.append(HTTPField(name: .secFetchSite, value: "cross-site"))
        #expect(RequestCheck.refusal(authority: "localhost", fields) == .foreign)
        fields = [.origin: "http://localhost"]
        fields.append(HTTPField(name: .origin, value: "http://evil.example"))
        #expect(RequestCheck.refusal(authority: "localhost", fields) == .foreign)
    }

    @Test(arguments: [("Sec-Purpose", "prefetch"), ("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch")])
    func prefetchRequestsAreRefused(_ name: String, _ value: String) throws {
        let field = try #require(HTTPField.Name(name))
        #expect(RequestCheck.refusal(authority: "localhost", [field: value]) == .prefetch)
    }
}
