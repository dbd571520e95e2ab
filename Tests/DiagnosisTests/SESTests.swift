import RelayCore
import SESTransport
import Testing

@testable import Diagnosis

/// What doctor finds about SES and the AWS account.
@Suite struct SESTests {
    private let origin = CredentialsOrigin(source: "environment", accessKeyID: "AKIDEXAMPLE")
    private let agreeing = ClockReading(askedAt: now, answeredAt: now + .milliseconds(50), server: now)

    private func state(
        production: Bool? = true, sending: Bool? = true, enforcement: String? = "HEALTHY",
        quota: SendQuota? = SendQuota(maximumRate: 14, maximum24Hours: 1000, sentLast24Hours: 10)
    ) -> SESAccountState {
        SESAccountState(
            hasProductionAccess: production, isSendingEnabled: sending, enforcement: enforcement, quota: quota)
    }

    private func judge(
        _ result: Result<SESAccountState, SESInquiryFailure>, clock: ClockReading? = nil
    ) -> [Finding] {
        Judge.ses(region: "eu-west-1", endpoint: nil, origin, SESInquiry(result, clock: clock ?? agreeing))
    }

    private func judge(_ state: SESAccountState, _ subject: Finding.Subject) -> [Finding] {
        judge(.success(state)).filter { $0.subject == subject }
    }

    @Test func `Each answer about the account comes to one finding a subject`() {
        typealias Row = (Result<SESAccountState, SESInquiryFailure>, [Finding.Outcome], asksOn: Bool)
        let rows: [Row] = [
            (.success(state()), [.ok, .ok, .ok, .ok, .ok], true),
            (.failure(.denied("no")), [.ok, .ok, .ok, .warning, .skipped], true),
            (.failure(.credentialsRefused("no")), [.ok, .problem, .ok, .skipped, .skipped], false),
            (.failure(.clockRefused("no")), [.ok, .skipped, .ok, .skipped, .skipped], false),
            (.failure(.throttled), [.ok, .ok, .ok, .skipped, .skipped], true),
            (.failure(.notFound("no")), [.ok, .ok, .ok, .warning, .skipped], true),
            (.failure(.unexpected("no")), [.ok, .ok, .ok, .warning, .skipped], true),
            (.failure(.unreachable("does not answer")), [.problem, .skipped, .skipped, .skipped, .skipped], false),
            (.failure(.noCredentials("none")), [.ok, .problem, .ok, .skipped, .skipped], false),
        ]
        for (result, outcomes, asksOn) in rows {
            let findings = judge(result)
            #expect(findings.map(\.subject) == [.ses, .credentials, .clock, .account, .quota], "\(result)")
            #expect(findings.map(\.outcome) == outcomes, "\(result)")
            #expect(findings.allSatisfy { ($0.remedy == nil) == ($0.outcome == .ok) })
            #expect(Judge.isWorthAsking(after: SESInquiry(result)) == asksOn, "\(result)")
        }
    }

    @Test func `What keeps SES from being asked`() {
        for findings in [
            Judge.noLiveKeys, Judge.regionNotSet, Judge.unusableSES("ses.region is wrong"),
            Judge.noCredentials(region: "eu-west-1", "none"), Judge.sesWithoutRecords,
        ] {
            #expect(findings.map(\.subject) == [.ses, .credentials, .clock, .account, .quota, .identity])
        }
        #expect(Judge.noLiveKeys.allSatisfy { $0.outcome == .skipped })
        expect([Judge.regionNotSet[0]], .problem, "live keys", "ses.region")
        expect(
            [Judge.noCredentials(region: "eu-west-1", "none anywhere")[1]], .problem, "none anywhere", "LoadCredential="
        )
    }

    @Test func places() {
        expect([judge(.success(state()))[0]], .ok, "eu-west-1")
        let other = Judge.ses(
            region: "eu-west-1", endpoint: "http://stand.in:1", origin,
            SESInquiry(.failure(.unreachable("does not answer"))))
        expect(
            [other[0]], .problem, "http://stand.in:1", "eu-west-1", "does not answer", "curl -I http://stand.in:1")
        expect(
            [judge(.failure(.unreachable("does not answer")))[0]], .problem,
            "curl -I https://email.eu-west-1.amazonaws.com")
    }

    @Test func `A clock that is wrong is the first thing to correct`() {
        let wrong = ClockReading(askedAt: now, answeredAt: now, server: now + days(1))
        expect(
            [judge(.failure(.credentialsRefused("SignatureDoesNotMatch")), clock: wrong)[1]], .problem,
            "SignatureDoesNotMatch", "clock")
        let refused = judge(.failure(.credentialsRefused("SignatureDoesNotMatch")))[1]
        expect([refused], .problem, "SignatureDoesNotMatch", "AKIDEXAMPLE", "IAM", "LoadCredential=")
        #expect(refused.remedy?.contains("clock") == false)
    }

    @Test(arguments: [
        (Duration.zero, Finding.Outcome.ok, "clock"), (.seconds(61), .ok, "60 seconds behind"),
        (.seconds(62), .warning, "61 seconds behind"), (.seconds(-63), .warning, "62 seconds ahead"),
        (.seconds(-300), .warning, "4 minutes ahead"), (.seconds(302), .problem, "5 minutes behind"),
        (.seconds(-303), .problem, "5 minutes ahead"),
    ])
    func clocks(server: Duration, outcome: Finding.Outcome, words: String) {
        // The answer took a second, and the server's time is in whole seconds. So one second of the difference is not
        // certain.
        let reading = ClockReading(askedAt: now, answeredAt: now + .seconds(1), server: now + server)
        let finding = Judge.clock(reading)
        expect([finding], outcome, words)
        // If the clocks agree, the finding names no difference.
        #expect(finding.found.contains { $0.isNumber } == (server != .zero))
    }

    @Test func `A server without a date`() { expect([Judge.clock(nil)], .skipped, "no date", "timedatectl") }

    @Test func accounts() {
        expect(judge(state(), .account), .ok, "eu-west-1", "any recipient")
        expect(judge(state(production: nil, sending: nil, enforcement: nil), .account), .ok)
        expect(
            judge(state(production: false), .account), .warning, "sandbox", "eu-west-1", "verified", "200",
            "production access")
        expect(judge(state(sending: false), .account), .problem, "paused", "--sending-enabled --region eu-west-1")
        expect(judge(state(enforcement: "SHUTDOWN"), .account), .problem, "paused")
        expect(judge(state(enforcement: "PROBATION"), .account), .warning, "under review")
        #expect(
            judge(state(production: false, sending: false, enforcement: "PROBATION"), .account).map(\.outcome)
                == [.problem, .warning, .warning])
    }

    @Test(
        arguments: [
            (1000, 0, .ok, ["0 of 1000", "24 hours", "(0 %)", "14"]), (1000, 800, .ok, ["(80 %)"]),
            (1000, 801, .warning, ["801 of 1000", "(80 %)"]), (1000, 999.6, .warning, ["(99 %)"]),
            (1000, 1000, .problem, ["1000 of 1000", "(100 %)"]), (200, 1e300, .problem, ["200", "(9999 %)"]),
            (nil, 1, .ok, ["1 email", "24 hours", "no limit", "14"]),
        ] as [(Double?, Double, Finding.Outcome, [String])])
    func quotas(limit: Double?, sent: Double, outcome: Finding.Outcome, words: [String]) {
        let quota = SendQuota(maximumRate: 14, maximum24Hours: limit, sentLast24Hours: sent)
        expect(judge(state(quota: quota), .quota), outcome, words: words)
    }

    @Test func `No quota`() { expect(judge(state(quota: nil), .quota), .skipped, "ses.max_send_rate") }

    // MARK: Identities

    @Test(arguments: [
        ("example.com", ["example.com"]), ("a.b.example.com", ["a.b.example.com", "b.example.com", "example.com"]),
        ("com", ["com"]),
        ("1.2.3.4.5.6", ["1.2.3.4.5.6", "2.3.4.5.6", "3.4.5.6", "4.5.6", "5.6"]),
        ("1.2.3.4.5.6.7.8", ["1.2.3.4.5.6.7.8", "4.5.6.7.8", "5.6.7.8", "6.7.8", "7.8"]),
    ])
    func `The domain and its parents may be verified`(domain: String, identities: [String]) {
        #expect(Judge.identities(for: domain) == identities)
    }

    private typealias Answer = Result<SESIdentityState, SESInquiryFailure>

    private func identity(_ own: Answer, _ above: Answer? = nil) -> [Finding] {
        var answers = [(name: "a.example.com", result: own)]
        if let above { answers.append((name: "example.com", result: above)) }
        return Judge.identity(of: "a.example.com", region: "eu-west-1", answers)
    }

    @Test func identities() {
        let verified = Answer.success(SESIdentityState(isVerifiedForSending: true, verification: "SUCCESS"))
        let pending = Answer.success(SESIdentityState(isVerifiedForSending: false, verification: "PENDING"))
        let missing = Answer.failure(.notFound("x"))
        // The finding names the parent domain only if the parent is the verified one.
        expect(identity(verified), .ok, "a.example.com", "eu-west-1")
        #expect(!identity(verified).contains { $0.found.contains(" example.com") })
        expect(identity(missing, verified), .ok, "a.example.com", " example.com", "eu-west-1")
        expect(identity(pending, verified), .ok, "a.example.com", " example.com", "eu-west-1")
        expect(identity(pending, missing), .problem, "PENDING", "get-email-identity --email-identity a.example.com")
        expect(identity(missing, pending), .problem, "PENDING", "get-email-identity --email-identity example.com")
        expect(
            identity(missing, missing), .problem, "a.example.com",
            "create-email-identity --email-identity a.example.com --region eu-west-1")
        expect(identity(.failure(.denied("no")), verified), .ok, "a.example.com", " example.com")
        expect(identity(.failure(.denied("no")), .failure(.denied("no"))), .skipped, "ses:GetEmailIdentity")
        expect(identity(missing, .failure(.throttled)), .skipped, "a.example.com", "throttle")
        expect(
            identity(missing, .failure(.unreachable("does not answer"))), .warning, "a.example.com", "does not answer")
        expect(identity(.failure(.unexpected("odd"))), .warning, "odd")
        expect([Judge.noDomains()], .skipped, "--allow-domain")
        expect(
            [Judge.notAsked(["a", "b", "c", "d", "e", "f", "g"], because: "the reason")], .skipped, "a, b, c, d, e",
            "2 more", "the reason")
    }

    @Test(arguments: [
        ("SUCCESS", true, nil as Finding.Outcome?), ("PENDING", false, .warning), ("FAILED", true, .problem),
        ("TEMPORARY_FAILURE", true, .problem),
    ])
    func mailFrom(status: String, isRequired: Bool, outcome: Finding.Outcome?) {
        let mailFrom = SESIdentityState.MailFrom(domain: "b.example.com", status: status, isRequired: isRequired)
        let findings = identity(
            .success(SESIdentityState(isVerifiedForSending: true, verification: "SUCCESS", mailFrom: mailFrom)))
        #expect(findings.map(\.outcome) == [outcome, .ok].compactMap(\.self))
        if outcome != nil { #expect(findings[0].remedy?.contains("feedback-smtp.eu-west-1.amazonses.com") == true) }
    }
}
