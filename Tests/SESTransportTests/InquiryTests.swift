import AWSTestSupport
import Logging
import RelayCore
import TestSupport
import Testing

@testable import AWSClient
@testable import SESTransport

@Suite struct InquiryTests {
    private let clock = ManualClock.forCalls()

    private func ask<Value>(
        _ question: (SESTransport) async -> SESInquiry<Value>, answered reaction: Reaction
    ) async throws -> (SESInquiry<Value>, [Received]) {
        try await StandIn.with(whole: { _, _ in reaction }) { server in
            let transport = SESTransport(
                configuration: try SESConfiguration(region: "eu-west-1", endpoint: server.url),
                credentials: StaticCredentials(try .example(token: "session")), clock: clock,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let inquiry = await question(transport)
            await transport.shutdown()
            return (inquiry, server.requests)
        }
    }

    @Test func `The account tells its state`() async throws {
        // The document has the form of botocore's model of GetAccount.
        let document = """
            {"DedicatedIpAutoWarmupEnabled":false,"EnforcementStatus":"PROBATION","ProductionAccessEnabled":false,
            "SendQuota":{"Max24HourSend":200.0,"MaxSendRate":1.0,"SentLast24Hours":3.0},"SendingEnabled":true}
            """
        let (inquiry, requests) = try await ask(
            { await $0.account() }, answered: .answer(200, ["Date": "Tue, 24 Nov 2026 14:33:19 GMT"], document))
        #expect(
            try inquiry.result.get()
                == SESAccountState(
                    hasProductionAccess: false, isSendingEnabled: true, enforcement: "PROBATION",
                    quota: SendQuota(maximumRate: 1, maximum24Hours: 200, sentLast24Hours: 3)))
        let reading = try #require(inquiry.clock)
        #expect(reading.askedAt == clock.now() && reading.answeredAt == clock.now())
        #expect(reading.ahead == .milliseconds(-1958))
        #expect(requests.map(\.path) == ["/v2/email/account"])
        #expect(requests[0].method == "GET" && requests[0].header("X-Amz-Security-Token") == "session")
    }

    @Test func `An identity tells whether it may send`() async throws {
        let document = """
            {"IdentityType":"DOMAIN","VerifiedForSendingStatus":true,"VerificationStatus":"SUCCESS",
            "MailFromAttributes":{"MailFromDomain":"b.example.com","MailFromDomainStatus":"PENDING",
            "BehaviorOnMxFailure":"REJECT_MESSAGE"}}
            """
        let (inquiry, requests) = try await ask(
            { await $0.identity("a b@example.com") }, answered: .answer(200, [:], document))
        #expect(
            try inquiry.result.get()
                == SESIdentityState(
                    isVerifiedForSending: true, verification: "SUCCESS",
                    mailFrom: .init(domain: "b.example.com", status: "PENDING", isRequired: true)))
        #expect(inquiry.clock == nil)
        #expect(requests.map(\.path) == ["/v2/email/identities/a%20b%40example.com"])
        let (plain, _) = try await ask(
            { await $0.identity("example.com") },
            answered: .answer(
                200, [:],
                #"{"VerifiedForSendingStatus":false,"MailFromAttributes":{"BehaviorOnMxFailure":"USE_DEFAULT_VALUE"}}"#)
        )
        #expect(try plain.result.get() == SESIdentityState(isVerifiedForSending: false, verification: nil))
    }

    @Test(arguments: [
        (
            403, "UnrecognizedClientException", "The token is invalid",
            SESInquiryFailure.credentialsRefused("UnrecognizedClientException: The token is invalid")
        ),
        (403, "SignatureDoesNotMatch", "The canonical request was …", .credentialsRefused("SignatureDoesNotMatch")),
        (403, "AccessDeniedException", "not authorized", .denied("AccessDeniedException: not authorized")),
        (403, "RequestTimeTooSkewed", "too large", .clockRefused("RequestTimeTooSkewed: too large")),
        (
            403, "InvalidSignatureException", "Signature expired: 2026",
            .clockRefused("InvalidSignatureException: Signature expired: 2026")
        ),
        (404, "NotFoundException", "no", .notFound("NotFoundException: no")),
        (429, "TooManyRequestsException", "Rate exceeded", .throttled),
        (500, "InternalFailure", "oops", .unexpected("InternalFailure: oops")),
        (301, "Moved", "", .unexpected("Moved")),
    ])
    func `Why a question is not answered`(status: Int, name: String, message: String, failure: SESInquiryFailure)
        async throws
    {
        let (inquiry, _) = try await ask(
            { await $0.identity("example.com") },
            answered: .answer(
                status, ["x-amzn-ErrorType": name, "date": "Tue, 24 Nov 2026 14:33:17 GMT"],
                #"{"message":"\#(message)"}"#))
        #expect(inquiry.result == .failure(failure))
        // A refusal has a date too.
        #expect(inquiry.clock?.ahead == .zero)
    }

    @Test func `What is no answer of SES's`() async throws {
        for document in ["{}", "[]", "<html>", #"{"SendQuota":{"MaxSendRate":"fast"}}"#] {
            let (inquiry, _) = try await ask({ await $0.account() }, answered: .answer(200, [:], document))
            guard case .failure(.unexpected(let why)) = inquiry.result else {
                Issue.record("\(document): \(inquiry)")
                continue
            }
            #expect(why.contains("ses.endpoint"))
        }
        let (missing, _) = try await ask({ await $0.identity("a.example") }, answered: .answer(404))
        guard case .failure(.unexpected(let status)) = missing.result else {
            Issue.record("\(missing)")
            return
        }
        #expect(status.contains("404"))
        let (cut, _) = try await ask({ await $0.account() }, answered: .cut)
        guard case .failure(.unreachable) = cut.result else {
            Issue.record("\(cut)")
            return
        }
    }

    @Test func `Without credentials nothing is asked`() async throws {
        struct None: CredentialsProvider {
            func credentials() throws(CredentialsError) -> AWSCredentials { throw CredentialsError("none anywhere") }
            func refused(_ credentials: AWSCredentials) {}
        }
        let transport = SESTransport(
            configuration: try SESConfiguration(region: "eu-west-1"), credentials: None(), clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        #expect(await transport.account().result == .failure(.noCredentials("none anywhere")))
        await transport.shutdown()
    }

    @Test func `A chain tells where the credentials came from`() async throws {
        let chain = CredentialsChain(
            environment: ["AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"], clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        #expect(await chain.source == nil)
        _ = try await chain.credentials()
        #expect(await chain.source == "environment")
    }

    @Test(arguments: [
        ("Tue, 24 Nov 2026 14:33:17 GMT", 1_795_530_797 as Int64?), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_200), ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799), ("Tue, 24 Nov 2026 14:33:17", nil), ("", nil),
        ("Tue, 24 Nov 2026 14:33:17 UTC", nil), ("Tue, 24 Nov 2026 24:33:17 GMT", nil),
        ("Tue, 00 Nov 2026 14:33:17 GMT", nil),
        ("Tuesday, 24-Nov-26 14:33:17 GMT", nil), ("Tue, 24 nov 2026 14:33:17 GMT", nil),
        ("Tue, 24 Nov 99999999999 14:33:17 GMT", nil),
        ("Tue, 24 Nov 2026 14:33 GMT", nil), ("Tue, +4 Nov 2026 14:33:17 GMT", nil),
        ("Tue,  4 Nov 2026 14:33:17 GMT", nil),
    ])
    func `Dates of servers`(text: String, seconds: Int64?) {
        #expect(HTTPDate.parse(text) == seconds.map { Timestamp(milliseconds: $0 * 1000) })
    }

    @Test func `Only what is proved counts as difference`() {
        func ahead(_ asked: Int64, _ answered: Int64, _ server: Int64) -> Int64 {
            ClockReading(
                askedAt: Timestamp(milliseconds: asked), answeredAt: Timestamp(milliseconds: answered),
                server: Timestamp(milliseconds: server)
            ).ahead.wholeMilliseconds
        }
        #expect(ahead(5_000, 5_100, 5_000) == 0)
        // The server's second may have been nearly over.
        #expect(ahead(5_999, 6_100, 5_000) == 0)
        #expect(ahead(6_500, 6_600, 5_000) == 500)
        #expect(ahead(1_000, 4_000, 5_000) == -1_000)
        // The answer is slow. The server's time may be any moment between the request and the answer.
        #expect(ahead(1_000, 9_000, 5_000) == 0)
    }
}
