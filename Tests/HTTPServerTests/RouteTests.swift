import HTTPTypes
import RelayCore
import Testing

@testable import HTTPServer

@Suite struct RouteTests {
    private static let id = MessageID(rawValue: 1 << 40)!

    @Test(arguments: [
        ("POST", "/v1/email/send", Route.send), ("POST", "/v1/email/batch", .batch),
        ("GET", "/v1/email/messages", .messages), ("HEAD", "/v1/email/messages", .messages),
        ("GET", "/v1/email/messages/\(id)", .message(id)), ("GET", "/v1/email/messages/msg_\(id)", .message(id)),
        ("POST", "/v1/email/messages/msg_\(id)/cancel", .cancel(id)), ("GET", "/v1/openapi.json", .openAPI),
    ])
    func finds(_ method: String, _ path: String, _ route: Route) throws {
        #expect(Route.find(try #require(HTTPRequest.Method(method)), path) == .found(route))
    }

    @Test(arguments: [
        ("GET", "/v1/email/send", "POST"), ("DELETE", "/v1/email/messages", "GET, HEAD"),
        ("OPTIONS", "/v1/email/batch", "POST"), ("GET", "/v1/email/messages/\(id)/cancel", "POST"),
        ("POST", "/v1/openapi.json", "GET, HEAD"),
    ])
    func tellsOfOtherMethods(_ method: String, _ path: String, _ allowed: String) throws {
        #expect(Route.find(try #require(HTTPRequest.Method(method)), path) == .otherMethod(allowed: allowed))
    }

    @Test(arguments: [
        "/", "", "/v1", "/v1/email", "/v1/email/send/", "/V1/email/send", "/v1/email/messages/", "/v1/email/messages/x",
        "/v1/email/messages/\(id)/", "/v1/email/messages/\(id)/cancel/now", "/v1/email/messages/\(id)/drop",
        "//v1/email/send", "/v2/email/send", "/v1/email/messages/../send",
    ])
    func knowsNoOther(_ path: String) { #expect(Route.find(.get, path) == .notFound) }
}
