import Domains
import HTTPTypes
import InternetMessage
import RelayCore
import StrictJSON
import Testing

@testable import HTTPServer

@Suite("Domains over HTTP") struct DomainTests {
    private static let example = DomainName(ascii: "example.com".utf8)!
    private static let book = DomainName(text: "bücher.example")!

    @Test(arguments: [
        ("GET", "", DomainRoute.act(.list)), ("HEAD", "", .act(.list)), ("POST", "", .create),
        ("GET", "/example.com", .act(.show(example))), ("HEAD", "/EXAMPLE.com", .act(.show(example))),
        ("GET", "/xn--bcher-kva.example", .act(.show(book))), ("GET", "/b%C3%BCcher.example", .act(.show(book))),
        ("POST", "/example.com/verify", .act(.verify(example))),
    ])
    func finds(_ method: String, _ rest: String, _ route: DomainRoute) throws {
        let method = try #require(HTTPRequest.Method(method))
        #expect(Route.find(method, DomainRoute.path + rest) == .found(.domains(route)))
    }

    @Test(arguments: [
        "/", "/%", "/%FF", "x", "/a@example.com", "/example.com/", "/example.com/verify/", "/example.com/records",
        "/example.com.", "//verify",
    ])
    func knowsNoOther(_ rest: String) { #expect(Route.find(.get, DomainRoute.path + rest) == .notFound) }

    @Test(arguments: [
        ("DELETE", "", "GET, HEAD, POST"), ("POST", "/example.com", "GET, HEAD"),
        ("DELETE", "/example.com", "GET, HEAD"), ("GET", "/example.com/verify", "POST"),
    ])
    func tellsOfOtherMethods(_ method: String, _ rest: String, _ allowed: String) throws {
        let method = try #require(HTTPRequest.Method(method))
        #expect(Route.find(method, DomainRoute.path + rest) == .otherMethod(allowed: allowed))
    }

    private func mistakes(_ document: String) throws -> [ValidationError] {
        let document = try JSON(reading: Array(document.utf8))
        do throws(EmailRequestFailure) {
            _ = try DomainRequest.name(document)
            return []
        } catch {
            guard case .invalid(let errors) = error else { return [] }
            return errors
        }
    }

    @Test func aNameIsRead() throws {
        let document = try JSON(reading: Array(#"{"name": "Bücher.example"}"#.utf8))
        #expect(try DomainRequest.name(document) == Self.book)
    }

    @Test(arguments: [
        ("{}", "#/name"), (#"{"name": null}"#, "#/name"), (#"{"name": 1}"#, "#/name"), ("[]", "#"),
        (#"{"name": "a@example.com"}"#, "#/name"), (#"{"name": "example"}"#, "#/name"), (#"{"name": ""}"#, "#/name"),
        (#"{"name": "example.com", "domain": "x"}"#, "#/domain"),
    ])
    func aMistakeIsToldWithItsPlace(_ document: String, _ place: String) throws {
        let found = try mistakes(document)
        #expect(found.map(\.pointer.fragment) == [place])
    }

    @Test func allDomainMistakesAreReportedTogether() throws {
        #expect(try mistakes(#"{"name": "x", "region": "eu-west-1", "dkim": true}"#).count == 3)
    }

    @Test(
        arguments: [
            (DomainFailure.notFound, 404, "not-found"), (.tooMany("no"), 409, "domain-limit"),
            (.refused("no"), 422, "invalid"), (.denied(permission: "ses:GetEmailIdentity"), 502, "ses"),
            (.unavailable("it is down"), 502, "ses"), (.unconfigured, 502, "ses"), (.busy, 503, "busy"),
        ] as [(DomainFailure, Int, String)])
    func aFailureHasItsStatusAndItsWord(_ failure: DomainFailure, _ status: Int, _ word: String) {
        let problem = Problem(failure)
        #expect(problem.status.code == status && problem.code.word == word)
        #expect((problem.retryAfter != nil) == (status == 503))
        if case .denied(let permission) = failure { #expect(problem.detail.contains(permission)) }
    }
}
