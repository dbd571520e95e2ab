import AWSTestSupport
import RelayCore
import Testing

@testable import AWSClient
@testable import SESTransport

/// Every row of the table: SES's answer, and the outcome that the worker gets.
@Suite struct AnswerTests {
    enum Verdict: Equatable, Sendable {
        case retry(DeliveryOutcome.Pace, mayHaveBeenTaken: Bool)
        case failed
        case held(alert: Bool)

        static let again = Verdict.retry(.normal, mayHaveBeenTaken: false)
        static let throttled = Verdict.retry(.throttled, mayHaveBeenTaken: false)

        init?(_ outcome: DeliveryOutcome) {
            switch outcome {
            case .retry(let cause, let pace): self = .retry(pace, mayHaveBeenTaken: cause.mayHaveBeenTaken)
            case .failed: self = .failed
            case .laneHeld(_, let alert): self = .held(alert: alert)
            case .sent, .simulated: return nil
            }
        }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var status: Int
        var name: String?
        var message: String
        var verdict: Verdict
        /// Words that the explanation contains.
        var facts: [String]

        init(_ status: Int, _ name: String?, _ message: String, _ verdict: Verdict, _ facts: String...) {
            (self.status, self.name, self.message) = (status, name, message)
            (self.verdict, self.facts) = (verdict, facts)
        }

        var testDescription: String { "\(status) \(name ?? "-") \(message)" }
    }

    static let rows = [
        Row(429, "TooManyRequestsException", "Too many requests", .throttled),
        Row(400, "ThrottlingException", "Rate exceeded", .throttled),
        Row(400, "Throttling", "Maximum sending rate exceeded.", .throttled),
        Row(503, "SlowDown", "", .throttled),
        Row(429, nil, "", .throttled),
        Row(429, "SomethingNew", "", .throttled),
        Row(454, nil, "Maximum sending rate exceeded.", .throttled),
        Row(400, "LimitExceededException", "Maximum sending rate exceeded.", .throttled),
        Row(400, "LimitExceededException", "Too many", .retry(.slow, mayHaveBeenTaken: false)),

        Row(429, "TooManyRequestsException", "Daily message quota exceeded.", .held(alert: false), "24 hours"),
        Row(400, "Throttling", "Daily message quota exceeded", .held(alert: false)),
        Row(400, "LimitExceededException", "Daily message quota exceeded.", .held(alert: false)),
        Row(400, "MessageRejected", "Daily message quota exceeded.", .held(alert: false)),

        Row(400, "SendingPausedException", "Sending is paused", .held(alert: true), "paused"),
        Row(400, "AccountSuspendedException", "", .held(alert: true), "paused"),
        Row(400, "MessageRejected", "Sending suspended for this account. See…", .held(alert: true), "paused"),
        Row(400, "MessageRejected", "Sending paused for this account. See…", .held(alert: true), "paused"),

        Row(
            403, "UnrecognizedClientException", "The security token is invalid.", .held(alert: true),
            "hiveku-relay doctor"),
        Row(403, "InvalidClientTokenId", "", .held(alert: true), "hiveku-relay doctor"),
        Row(403, "ExpiredToken", "", .held(alert: true), "hiveku-relay doctor"),
        Row(403, "ExpiredTokenException", "", .held(alert: true), "hiveku-relay doctor"),
        Row(403, "MissingAuthenticationToken", "", .held(alert: true), "hiveku-relay doctor"),
        Row(403, "MissingAuthenticationTokenException", "", .held(alert: true), "hiveku-relay doctor"),
        Row(403, "SignatureDoesNotMatch", "The request signature…", .held(alert: true), "access key id", "clock"),
        Row(403, "InvalidSignatureException", "", .held(alert: true), "access key id"),
        Row(403, "IncompleteSignatureException", "", .held(alert: true), "access key id"),
        Row(403, "InvalidSignatureException", "Signature expired: 20260101T…", .held(alert: true), "clock"),
        Row(403, "SignatureDoesNotMatch", "Signature not yet current: …", .held(alert: true), "clock"),
        Row(403, "RequestTimeTooSkewed", "", .held(alert: true), "clock"),
        Row(403, "AccessDenied", "", .held(alert: true), "ses:SendEmail"),
        Row(403, "AccessDeniedException", "User is not authorized", .held(alert: true), "ses:SendEmail"),
        // The answer names one sender's identity. Only the messages of this sender wait.
        Row(
            403, "AccessDeniedException",
            "User: arn:aws:iam::1:user/r is not authorized to perform: ses:SendEmail on resource: arn:aws:ses:eu-west-1:1:identity/example.com",
            .retry(.patient, mayHaveBeenTaken: false), "ses:SendEmail", "sender", "identity"),
        Row(403, nil, "", .held(alert: true)),
        Row(401, nil, "", .held(alert: true)),
        Row(403, "SomethingNew", "", .held(alert: true)),

        Row(404, "NotFoundException", "Configuration set <x> does not exist.", .failed, "ses.configuration_set"),
        Row(404, nil, "", .again, "ses.endpoint"),
        Row(404, "UnknownOperationException", "", .again, "ses.endpoint"),
        Row(405, nil, "", .again, "ses.endpoint"),
        Row(410, nil, "", .again, "ses.endpoint"),
        Row(400, "MailFromDomainNotVerifiedException", "", .failed, "MX"),
        Row(
            400, "MessageRejected", "Email address is not verified. The following…", .failed, "sender", "ses.region",
            "recipient", "sandbox",
            "hiveku-relay messages retry"),
        Row(400, "MessageRejected", "Transaction failed: local address contains", .failed),
        Row(400, "MessageRejected", "\"Daily message quota exceeded\"@example.com is bad", .failed, "Daily"),
        Row(400, "MessageRejected", "No: \"sending paused for this account\"@example.com", .failed),
        Row(400, "BadRequestException", "Missing final '@domain'", .failed, "Missing final"),
        Row(400, "BadRequestException", "Daily message quota exceeded@example.com", .failed),
        Row(400, "SomethingNew", "\"maximum sending rate exceeded\"@example.com", .failed),
        // An answer without an error name is not from SES but, for example, from a proxy.
        Row(400, nil, "", .again, "proxies"),
        Row(400, nil, "Maximum sending rate exceeded.", .retry(.throttled, mayHaveBeenTaken: false)),
        Row(413, nil, "", .failed),
        Row(413, "RequestEntityTooLarge", "", .failed),

        Row(408, nil, "", .again),
        Row(400, "RequestTimeoutException", "", .again),
        Row(400, "RequestAbortedException", "", .again),
        Row(301, nil, "", .again, "ses.endpoint"),
        Row(307, nil, "", .again, "ses.endpoint"),
        Row(500, "InternalServiceErrorException", "", .retry(.normal, mayHaveBeenTaken: true)),
        Row(500, "InternalFailure", "", .retry(.normal, mayHaveBeenTaken: true)),
        Row(502, nil, "", .retry(.normal, mayHaveBeenTaken: true)),
        Row(503, "ServiceUnavailable", "", .retry(.normal, mayHaveBeenTaken: true)),
        Row(504, nil, "", .retry(.normal, mayHaveBeenTaken: true)),
        Row(200, nil, "", .retry(.normal, mayHaveBeenTaken: true), "message id"),
    ]

    @Test(arguments: rows)
    func decides(_ row: Row) throws {
        let outcome = SESAnswer(status: row.status, errorName: row.name, message: row.message).outcome
        #expect(Verdict(outcome) == row.verdict)
        let cause = try #require(outcome.cause)
        for fact in row.facts { #expect(cause.explanation.contains(fact), "\(cause.explanation)") }
        #expect(!cause.explanation.isEmpty)
        if let name = row.name { #expect(cause.word == name) }
    }

    @Test func readsTheMessageID() {
        #expect(SESAnswer(status: 200, messageID: "0100-x").outcome == .sent(sesMessageID: "0100-x"))
        // An error name in the header of a successful answer is ignored.
        #expect(SESAnswer(status: 200, errorName: "X", messageID: "0100-x").outcome == .sent(sesMessageID: "0100-x"))
    }

    @Test(
        arguments: [
            ("MessageRejected", "MessageRejected"),
            (
                "TooManyRequestsException:http://internal.amazon.com/coral/com.amazon.coral.availability/",
                "TooManyRequestsException"
            ),
            ("com.amazonaws.sesv2#NotFoundException", "NotFoundException"),
            ("com.amazon.coral.service#AccessDeniedException:http://x#y", "AccessDeniedException"),
            (" Blanks ", "Blanks"), ("", nil), (":", nil), ("#", nil),
        ] as [(String, String?)])
    func takesTheNameOutOfItsWrappings(text: String, name: String?) {
        #expect(AWSFault.plainName(text) == name)
    }

    @Test(
        arguments: [
            (#"{"__type":"a#NotFoundException","message":"m"}"#, "NotFoundException", "m"),
            (#"{"code":"Throttling","Message":"M"}"#, "Throttling", "M"),
            (#"{"__type":5,"message":null}"#, nil, ""),
            ("[]", nil, ""), ("<html>", nil, ""), ("", nil, ""),
            (#"{"message":"a\nb\u001b[1m\u2028"}"#, nil, "a b [1m "),
        ] as [(String, String?, String)])
    func readsBodies(body: String, name: String?, message: String) {
        let answer = SESAnswer(HTTPAnswer(status: 400, body: Array(body.utf8)), withholding: [])
        #expect(answer.errorName == name)
        #expect(answer.message == message)
    }

    @Test func errorNameInTheHeaderTakesPrecedence() {
        let answer = SESAnswer(
            HTTPAnswer(
                status: 400, headers: [(name: "x-amzn-ErrorType", value: "One:http://x")],
                body: Array(#"{"__type":"Two"}"#.utf8)), withholding: [])
        #expect(answer.errorName == "One")
    }

    @Test(arguments: [#"{"MessageId":""}"#, #"{"MessageId":"a b"}"#, #"{"MessageId":7}"#, "{", "null"])
    func invalidMessageIDMeansUnknownOutcome(_ body: String) {
        let answer = SESAnswer(HTTPAnswer(status: 200, body: Array(body.utf8)), withholding: [])
        #expect(Verdict(answer.outcome) == .retry(.normal, mayHaveBeenTaken: true))
    }

    @Test func answerMessageIsBoundedAndHidesSecrets() throws {
        let secret = "FwoGZXIvYXdzEXAMPLETOKEN"
        let text = "token \(secret), again \(secret) " + String(repeating: "x", count: 2000)
        let answer = SESAnswer(
            HTTPAnswer(status: 400, body: Array(#"{"message":"\#(text)"}"#.utf8)), withholding: [secret])
        #expect(answer.message.hasPrefix("token [withheld], again [withheld] xxx"))
        #expect(answer.message.unicodeScalars.count == SESAnswer.messageLimit)
    }

    @Test(arguments: ["FwoGZXIvYXdzEXAMPLETOKEN", "FwoGZXIvYX dzEXAMPLETOKEN"])
    func secretIsWithheldInTheErrorNameToo(name: String) {
        let answer = SESAnswer(
            HTTPAnswer(status: 403, headers: [(name: "x-amzn-errortype", value: "Bad\(name)")]),
            withholding: ["FwoGZXIvYXdzEXAMPLETOKEN"])
        #expect(answer.errorName == "Bad[withheld]")
    }

    @Test func doesNotQuoteTheSignedRequest() throws {
        let answer = SESAnswer(
            status: 403, errorName: "SignatureDoesNotMatch",
            message: "The Canonical String should have been 'POST x-amz-security-token:abc'")
        let cause = try #require(answer.outcome.cause)
        #expect(!cause.explanation.contains("abc"))
    }

    @Test func recognisesAnswersThatRefuseTheCredentials() {
        let names = ["SignatureDoesNotMatch", "ExpiredTokenException", "UnrecognizedClientException", "AccessDenied"]
        for name in names { #expect(SESAnswer(status: 403, errorName: name).refusesCredentials) }
        #expect(!SESAnswer(status: 403, errorName: "RequestTimeTooSkewed").refusesCredentials)
        #expect(!SESAnswer(status: 400, errorName: "MessageRejected").refusesCredentials)
        #expect(!SESAnswer(status: 200, errorName: "AccessDenied").refusesCredentials)
    }

    @Test(
        arguments: [
            (.timedOut, .notBegun, "timeout", false), (.timedOut, .begun, "timeout", false),
            (.timedOut, .handedOver, "timeout", true),
            (.broken("x"), .notBegun, "connection-failed", false), (.broken("x"), .begun, "connection-lost", false),
            (.broken("x"), .handedOver, "connection-lost", true),
            (.cancelled, .notBegun, "interrupted", false), (.cancelled, .begun, "interrupted", false),
            (.cancelled, .handedOver, "interrupted", true),
            (.body(.unreadable("x")), .begun, "body-unreadable", false),
            (.body(.wrongSize), .begun, "body-unreadable", false),
        ] as [(ExchangeFailure, UploadProgress.Stage, String, Bool)])
    func decidesWithoutAnAnswer(
        failure: ExchangeFailure, stage: UploadProgress.Stage, word: String, mayHaveBeenTaken: Bool
    ) throws {
        let outcome = DeliveryOutcome(failure, stage: stage)
        #expect(Verdict(outcome) == .retry(.normal, mayHaveBeenTaken: mayHaveBeenTaken))
        #expect(outcome.cause?.word == word)
    }
}

extension DeliveryOutcome {
    var cause: Cause? {
        switch self {
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _): cause
        case .sent, .simulated: nil
        }
    }
}
