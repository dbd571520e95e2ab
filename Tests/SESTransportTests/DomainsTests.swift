import AWSTestSupport
import Domains
import Foundation
import InternetMessage
import Logging
import RelayCore
import TestSupport
import Testing

@testable import AWSClient
@testable import SESTransport

@Suite("Domains at SES") struct SESDomainsTests {
    private let clock = ManualClock.forCalls()

    /// - Parameter react: what SES does with the n-th request, counted from 1.
    private func ask<Value>(
        _ question: (SESDomains) async throws(DomainFailure) -> Value,
        answered react: @escaping @Sendable (Received, Int) -> Reaction
    ) async throws -> (Result<Value, DomainFailure>, [Received]) {
        try await StandIn.with(whole: react) { server in
            let transport = SESTransport(
                configuration: try SESConfiguration(region: "eu-west-1", endpoint: server.url),
                credentials: StaticCredentials(try .example(token: "session")), clock: clock,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let result: Result<Value, DomainFailure>
            do throws(DomainFailure) { result = .success(try await question(SESDomains(transport))) } catch {
                result = .failure(error)
            }
            await transport.shutdown()
            return (result, server.requests)
        }
    }

    private let example = DomainName(ascii: "example.com".utf8)!

    private static let identity = """
        {"IdentityType":"DOMAIN","VerifiedForSendingStatus":false,"VerificationStatus":"TEMPORARY_FAILURE","DkimAttributes":
        {"SigningEnabled":true,"Status":"PENDING","Tokens":["one","two"],"SigningAttributesOrigin":"AWS_SES",
        "SigningHostedZone":"dkim.eu-west-1.amazonses.com."},
        "MailFromAttributes":{"MailFromDomain":"b.example.com","MailFromDomainStatus":"PENDING",
        "BehaviorOnMxFailure":"USE_DEFAULT_VALUE"}}
        """

    @Test func `An identity has its state, its tokens, the zone that SES names, and its MAIL FROM domain`() async throws
    {
        let (result, requests) = try await ask(
            { domains async throws(DomainFailure) in try await domains.domain(example) },
            answered: { _, _ in .answer(200, [:], Self.identity) })
        #expect(
            try result.get()
                == SendingDomain(
                    name: example, status: .temporaryFailure, isSendingEnabled: false,
                    dkim: .init(tokens: ["one", "two"], zone: "dkim.eu-west-1.amazonses.com"),
                    mailFrom: .init(domain: "b.example.com", host: "feedback-smtp.eu-west-1.amazonses.com")))
        #expect(requests.map { "\($0.method) \($0.path)" } == ["GET /v2/email/identities/example.com"])
        #expect(requests[0].header("Authorization")?.contains("/eu-west-1/ses/aws4_request") == true)
    }

    @Test(
        arguments: [
            (#""Tokens":["a"]"#, ["a"], "dkim.amazonses.com"),
            (#""Tokens":["a","a b","c.d;e"],"SigningHostedZone":"no zone""#, ["a"], "dkim.amazonses.com"),
            (#""Tokens":["selector"],"SigningAttributesOrigin":"EXTERNAL""#, nil, nil), (#""Tokens":[]"#, nil, nil),
            (#""Status":"NOT_STARTED""#, nil, nil),
        ] as [(String, [String]?, String?)])
    func `DKIM is told where SES gives tokens, and only what DNS can have`(
        _ attributes: String, _ tokens: [String]?, _ zone: String?
    ) async throws {
        let (result, _) = try await ask(
            { domains async throws(DomainFailure) in try await domains.domain(example) },
            answered: { _, _ in
                .answer(200, [:], #"{"VerifiedForSendingStatus":true,"DkimAttributes":{\#(attributes)}}"#)
            })
        let domain = try result.get()
        #expect(domain.dkim?.tokens == tokens && domain.dkim?.zone == zone && domain.isSendingEnabled)
    }

    @Test func `A new domain is made in one call`() async throws {
        let (result, requests) = try await ask(
            { domains async throws(DomainFailure) in try await domains.add(example, by: nil) },
            answered: { _, _ in
                .answer(
                    200, [:],
                    #"{"IdentityType":"DOMAIN","VerifiedForSendingStatus":false,"DkimAttributes":{"Status":"PENDING","Tokens":["a"],"SigningHostedZone":"z.example"}}"#
                )
            })
        let (domain, isNew) = try result.get()
        #expect(isNew && domain.status == .pending && domain.dkim == .init(tokens: ["a"], zone: "z.example"))
        #expect(requests.map { "\($0.method) \($0.path)" } == ["POST /v2/email/identities"])
        #expect(String(decoding: requests[0].body, as: UTF8.self) == #"{"EmailIdentity":"example.com"}"#)
        #expect(requests[0].header("Content-Type") == "application/json")
    }

    @Test func `A domain that is there is found`() async throws {
        let (result, requests) = try await ask(
            { domains async throws(DomainFailure) in try await domains.add(example, by: nil) },
            answered: { _, number in
                number == 1 ? .refusal(400, "AlreadyExistsException") : .answer(200, [:], Self.identity)
            })
        #expect(try result.get().isNew == false && result.get().domain.dkim?.tokens == ["one", "two"])
        #expect(requests.map(\.method) == ["POST", "GET"])
    }

    @Test func `All pages are read, and only domains are told, by name`() async throws {
        let pages = [
            #"{"EmailIdentities":[{"IdentityType":"DOMAIN","IdentityName":"b.example","SendingEnabled":true,"VerificationStatus":"SUCCESS"},{"IdentityType":"EMAIL_ADDRESS","IdentityName":"a@b.example","SendingEnabled":true}],"NextToken":"more"}"#,
            #"{"EmailIdentities":[{"IdentityType":"DOMAIN","IdentityName":"a.example","SendingEnabled":false,"VerificationStatus":"FAILED"},{"IdentityType":"DOMAIN","IdentityName":"c.example","SendingEnabled":false,"VerificationStatus":"PENDING"}]}"#,
        ]
        let (result, requests) = try await ask(
            { domains async throws(DomainFailure) in
                try await domains.domains(behind: nil, limit: 10) { $0 != "c.example" }
            },
            answered: { _, number in .answer(200, [:], pages[min(number, 2) - 1]) })
        #expect(try result.get().map { "\($0.name) \($0.status)" } == ["a.example failed", "b.example verified"])
        #expect(
            requests.map { "\($0.method) \($0.path)" } == Array(repeating: "POST /v2/email/list-identities", count: 2))
        #expect(String(decoding: requests[0].body, as: UTF8.self) == #"{"PageSize":1000}"#)
        #expect(requests[1].body.count > requests[0].body.count)
        let (behind, _) = try await ask(
            { domains async throws(DomainFailure) in
                try await domains.domains(behind: "a.example", limit: 1) { _ in true }
            },
            answered: { _, number in .answer(200, [:], pages[min(number, 2) - 1]) })
        #expect(try behind.get().map(\.name.text) == ["b.example"])
    }

    @Test func `A list without an end is left`() async throws {
        let (result, requests) = try await ask(
            { domains async throws(DomainFailure) in
                try await domains.domains(behind: nil, limit: 10) { _ in true }
            },
            answered: { _, _ in .answer(200, [:], #"{"EmailIdentities":[],"NextToken":"more"}"#) })
        #expect(try result.get().isEmpty && requests.count == SESDomains.mostPages)
    }

    @Test(
        arguments: [
            (.refusal(404, "NotFoundException"), ["notFound"]),
            (
                .refusal(403, "AccessDeniedException", "User arn:… is not authorized"),
                ["denied", "ses:GetEmailIdentity"]
            ),
            (.refusal(429, "TooManyRequestsException"), ["unavailable", "requests"]),
            (.refusal(400, "LimitExceededException"), ["tooMany"]),
            (.refusal(400, "BadRequestException", "Invalid"), ["refused", "Invalid"]),
            (.refusal(409, "ConcurrentModificationException"), ["unavailable", "domain"]),
            (.refusal(403, "UnrecognizedClientException"), ["unavailable", "credentials"]),
            (.refusal(403, "RequestTimeTooSkewed"), ["unavailable", "clock"]),
            (.answer(500, [:], "oops"), ["unavailable", "500"]),
            (.answer(200, [:], "<html>"), ["unavailable", "ses.endpoint"]),
            (.answer(200, [:], "{}"), ["unavailable", "ses.endpoint"]), (.cut, ["unavailable"]),
        ] as [(Reaction, [String])])
    func `What keeps SES from answering is told`(_ reaction: Reaction, _ facts: [String]) async throws {
        let (result, _) = try await ask(
            { domains async throws(DomainFailure) in try await domains.domain(example) }, answered: { _, _ in reaction }
        )
        guard case .failure(let failure) = result else {
            Issue.record("the request did not fail")
            return
        }
        let told: String
        switch failure {
        case .notFound: told = "notFound"
        case .tooMany: told = "tooMany"
        case .refused(let words): told = "refused \(words)"
        case .denied(let permission): told = "denied \(permission)"
        case .unavailable(let words): told = "unavailable \(words)"
        case .unconfigured: told = "unconfigured"
        case .busy: told = "busy"
        case .storage: told = "storage"
        }
        #expect(told.hasPrefix(facts[0]) && told.mentions(facts), "\(told)")
        #expect(told.contains("ses.endpoint") == facts.contains("ses.endpoint"), "\(told)")
        #expect(!told.contains("session"))
    }
}
