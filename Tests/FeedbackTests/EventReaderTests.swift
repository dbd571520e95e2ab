import RelayCore
import StrictJSON
import Testing

@testable import Feedback

/// The forms of events that the SES Developer Guide documents, and what the relay reads from each.
@Suite struct EventReaderTests {
    static let mail = """
        "mail": {
            "timestamp": "2026-08-05T00:40:02.012Z", "source": "Sender Name <sender@example.com>",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/sender@example.com",
            "sendingAccountId": "123456789012",
            "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
            "destination": ["ann@example.com", "bob@example.net"], "headersTruncated": false,
            "headers": [{"name": "From", "value": "Sender Name <sender@example.com>"}],
            "commonHeaders": {"from": ["Sender Name <sender@example.com>"], "subject": "Gr\\u00fc\\u00dfe"},
            "tags": {"ses:configuration-set": ["ConfigSet"], "ses:from-domain": ["example.com"]}
        }
        """

    static func event(_ kind: String, _ member: String, name: String = "eventType") -> String {
        "{\"\(name)\": \"\(kind)\", \(member), \(mail)}"
    }

    static let bounce = """
        "bounce": {
            "bounceType": "Permanent", "bounceSubType": "General",
            "bouncedRecipients": [{
                "emailAddress": "ann@example.com", "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown"
            }],
            "timestamp": "2026-08-05T00:41:02.669Z",
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
            "reportingMTA": "dsn; mta.example.com"
        }
        """
    static let complaint = """
        "complaint": {
            "complainedRecipients": [{"emailAddress": "Ann@Example.com"}], "timestamp": "2026-08-05T00:41:02.669Z",
            "feedbackId": "feedback-1", "complaintSubType": null, "userAgent": "Mail", "complaintFeedbackType": "abuse",
            "arrivalDate": "2026-08-05T00:41:02.669Z"
        }
        """
    static let delivery = """
        "delivery": {
            "timestamp": "2026-08-05T00:41:02.669Z", "processingTimeMillis": 11893,
            "recipients": ["ann@example.com", "bob@example.net"], "smtpResponse": "250 2.6.0 Message received",
            "remoteMtaIp": "192.0.2.7", "reportingMTA": "a1.smtp-out.amazonses.com"
        }
        """
    static let delay = """
        "deliveryDelay": {
            "timestamp": "2026-08-05T00:41:02.669Z", "delayType": "TransientCommunicationFailure",
            "expirationTime": "2026-08-05T12:41:02.669Z", "reportingMTA": "dns; a1.smtp-out.amazonses.com",
            "delayedRecipients": [{
                "emailAddress": "ann@example.com", "status": "4.4.1",
                "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host"
            }]
        }
        """

    static let id = "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000"
    static let at = Timestamp(rfc3339: "2026-08-05T00:41:02.669Z".utf8) ?? Timestamp(milliseconds: 0)
    static let sentAt = Timestamp(rfc3339: "2026-08-05T00:40:02.012Z".utf8) ?? Timestamp(milliseconds: 0)

    static func reports(
        _ kind: EventKind, of recipients: [String] = ["ann@example.com"], at: Timestamp = Self.at,
        detail: RecipientEvent.Detail
    ) -> QueueReading {
        .reports(
            recipients.map {
                FeedbackReport(sesMessageID: id, recipient: $0, event: RecipientEvent(kind, at: at, detail))
            })
    }

    static let hard = reports(
        .bounced,
        detail: .init(
            bounceType: .hard, subtype: "General", diagnostic: "550 5.1.1 user unknown", server: "mta.example.com",
            feedbackID: "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000"))

    static let documents: [(name: String, document: String, reading: QueueReading)] = [
        ("Bounce", event("Bounce", bounce), hard),
        ("Bounce, in the notification of an identity", event("Bounce", bounce, name: "notificationType"), hard),
        (
            "Bounce, transient, with the server's address and without a diagnostic",
            event(
                "Bounce",
                """
                "bounce": {"bounceType": "Transient", "bounceSubType": "MailboxFull", "remoteMtaIp": "192.0.2.7",
                    "bouncedRecipients": [{"emailAddress": "Ann <ann@example.com>", "status": "5.2.2"}, {"emailAddress": "bob@example.net"}],
                    "timestamp": "2026-08-05T00:41:02.669Z"}
                """),
            .reports([
                FeedbackReport(
                    sesMessageID: id, recipient: "ann@example.com",
                    event: RecipientEvent(
                        .bounced, at: at,
                        .init(bounceType: .soft, subtype: "MailboxFull", diagnostic: "5.2.2", server: "192.0.2.7"))),
                FeedbackReport(
                    sesMessageID: id, recipient: "bob@example.net",
                    event: RecipientEvent(
                        .bounced, at: at, .init(bounceType: .soft, subtype: "MailboxFull", server: "192.0.2.7"))),
            ])
        ),
        (
            "Bounce, undetermined",
            event(
                "Bounce",
                """
                "bounce": {"bounceType": "Undetermined", "bounceSubType": "Undetermined",
                    "bouncedRecipients": [{"emailAddress": "ann@example.com"}], "timestamp": "2026-08-05T00:41:02.669Z"}
                """), reports(.bounced, detail: .init(bounceType: .soft, subtype: "Undetermined"))
        ),
        (
            "Bounce of an unknown type",
            event(
                "Bounce",
                """
                "bounce": {"bounceType": "Novel", "bouncedRecipients": [{"emailAddress": "ann@example.com"}]}
                """), reports(.bounced, at: sentAt, detail: .init(bounceType: .soft))
        ),
        (
            "Complaint", event("Complaint", complaint),
            reports(.complained, of: ["Ann@Example.com"], detail: .init(subtype: "abuse", feedbackID: "feedback-1"))
        ),
        (
            "Complaint that SES generates itself",
            event(
                "Complaint",
                complaint.replacing(
                    #""complaintSubType": null"#, with: #""complaintSubType": "OnAccountSuppressionList""#)
            ),
            reports(
                .complained, of: ["Ann@Example.com"],
                detail: .init(subtype: "OnAccountSuppressionList", feedbackID: "feedback-1"))
        ),
        (
            "Delivery", event("Delivery", delivery),
            reports(
                .delivered, of: ["ann@example.com", "bob@example.net"],
                detail: .init(diagnostic: "250 2.6.0 Message received", server: "192.0.2.7"))
        ),
        (
            "DeliveryDelay", event("DeliveryDelay", delay),
            reports(
                .delayed,
                detail: .init(
                    subtype: "TransientCommunicationFailure",
                    diagnostic: "421 4.4.1 Unable to connect to remote host", server: "a1.smtp-out.amazonses.com"))
        ),
        (
            "Reject", event("Reject", #""reject": {"reason": "Bad content"}"#),
            reports(
                .rejected, of: ["ann@example.com", "bob@example.net"], at: sentAt,
                detail: .init(diagnostic: "Bad content"))
        ),
        (
            "Rendering Failure",
            event(
                "Rendering Failure",
                #""failure": {"templateName": "T", "errorMessage": "Attribute 'name' is not present"}"#),
            reports(
                .failed, of: ["ann@example.com", "bob@example.net"], at: sentAt,
                detail: .init(diagnostic: "Attribute 'name' is not present"))
        ),
        ("Send", event("Send", #""send": {}"#), .passedOver(.send)),
        ("Open", event("Open", #""open": {"ipAddress": "192.0.2.1"}"#), .passedOver(.open)),
        ("Click", event("Click", #""click": {"link": "https://example.com/"}"#), .passedOver(.click)),
        ("Subscription", event("Subscription", #""subscription": {"contactList": "C"}"#), .passedOver(.subscription)),
        ("an event of an unknown kind", event("Postponed", #""postponed": {}"#), .unknownKind("Postponed")),
        (
            "an identity's first notification",
            #"{"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed"}"#,
            .passedOver(.test)
        ),
        ("received mail", #"{"notificationType": "Received", "mail": {}, "receipt": {}}"#, .unknownKind("Received")),
    ]

    /// Malformed events. The reason for refusing each of them names these facts.
    static let malformed: [(name: String, document: String, facts: [String])] = [
        ("no kind", "{\(mail)}", ["eventType", "notificationType"]),
        ("no mail", #"{"eventType": "Bounce", "bounce": {}}"#, ["Bounce", "mail"]),
        ("no details", "{\"eventType\": \"Bounce\", \(mail)}", ["Bounce", "bounce"]),
        ("no id", #"{"eventType": "Bounce", "bounce": {}, "mail": {"messageId": "a b"}}"#, ["Bounce", "messageId"]),
        (
            "no recipients", event("Complaint", #""complaint": {"complainedRecipients": []}"#),
            ["Complaint", "recipient"]
        ),
        (
            "too many recipients",
            event(
                "Delivery",
                #""delivery": {"recipients": ["#
                    + repeatElement(#""a@example.com""#, count: 501).joined(separator: ",") + "]}"),
            ["Delivery", "500", "recipient"]
        ),
        (
            "a recipient that is not an address", event("Delivery", #""delivery": {"recipients": ["nobody"]}"#),
            ["Delivery", "recipient", "address"]
        ),
        (
            "no time",
            #"{"eventType": "Delivery", "delivery": {"recipients": ["a@example.com"]}, "mail": {"messageId": "1"}}"#,
            ["Delivery", "timestamp"]
        ),
        ("an array", "[]", ["array", "object"]),
    ]

    /// Nouns that distinguish the reasons. A reason contains one of them only if the noun is among the facts.
    static let nouns = ["SNS", "JSON", "address"]

    static func isMalformed(_ reading: QueueReading, _ facts: [String]) -> Bool {
        guard case .malformed(let why) = reading else { return false }
        return facts.allSatisfy { why.contains($0) } && nouns.allSatisfy { why.contains($0) == facts.contains($0) }
    }

    /// The SNS notification that contains an event.
    static func notification(_ message: JSON) -> [UInt8] {
        let envelope: JSON = [
            "Type": "Notification", "MessageId": "0ec3ac6d", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:events",
            "Message": message, "Timestamp": "2026-08-05T00:41:03.000Z", "SignatureVersion": "1", "Signature": "c2ln",
        ]
        return envelope.bytes
    }

    @Test(arguments: documents)
    func readsRawDelivery(_ example: (name: String, document: String, reading: QueueReading)) {
        #expect(SESEventReader.read(Array(example.document.utf8)[...]) == example.reading, "\(example.name)")
    }

    @Test(arguments: malformed)
    func malformedEventNamesWhatIsMissing(_ example: (name: String, document: String, facts: [String])) {
        let reading = SESEventReader.read(Array(example.document.utf8)[...])
        #expect(Self.isMalformed(reading, example.facts), "\(example.name): \(reading)")
    }

    @Test(arguments: malformed.filter { $0.name != "no time" && $0.name != "an array" })
    func malformedEventInAnSNSEnvelopeNamesWhatIsMissing(
        _ example: (name: String, document: String, facts: [String])
    ) throws {
        let text = SESEventReader.read(Self.notification(JSON(example.document))[...])
        #expect(Self.isMalformed(text, example.facts), "\(example.name): \(text)")
        let object = try JSON(reading: Array(example.document.utf8))
        let reading = SESEventReader.read(Self.notification(object)[...])
        #expect(Self.isMalformed(reading, example.facts), "\(example.name), an object: \(reading)")
    }

    @Test(arguments: documents)
    func readsTheEnvelopeOfSNS(_ example: (name: String, document: String, reading: QueueReading)) throws {
        #expect(
            SESEventReader.read(Self.notification(JSON(example.document))[...]) == example.reading, "\(example.name)")
        let object = try JSON(reading: Array(example.document.utf8))
        #expect(SESEventReader.read(Self.notification(object)[...]) == example.reading, "\(example.name), an object")
    }

    @Test func usesTheSNSTimeWhenTheEventHasNone() {
        let event =
            #"{"eventType": "Delivery", "delivery": {"recipients": ["a@example.com"]}, "mail": {"messageId": "1"}}"#
        guard case .reports(let reports) = SESEventReader.read(Self.notification(JSON(event))[...]) else {
            Issue.record("the event was not read")
            return
        }
        #expect(reports.map(\.event.at.rfc3339) == ["2026-08-05T00:41:03.000Z"])
    }

    static let test = "Successfully validated SNS topic for Amazon SES event publishing."

    @Test(
        arguments: [
            (Array(test.utf8), .passedOver(.test)),
            (notification(JSON(test)), .passedOver(.test)),
            (
                Array(#"{"Type": "SubscriptionConfirmation", "Token": "t", "Message": "You"}"#.utf8),
                .passedOver(.subscriptionConfirmation)
            ),
            (Array(#"{"Type": "Novel", "Message": "You"}"#.utf8), .unknownKind("Novel")),
        ] as [([UInt8], QueueReading)])
    func tellsWhatIsNoEvent(body: [UInt8], reading: QueueReading) {
        #expect(SESEventReader.read(body[...]) == reading)
    }

    @Test(
        arguments: [
            (notification(nil), ["SNS", "Message"]), (notification("[1]"), ["SNS", "Message", "JSON", "object"]),
            (notification("plain"), ["SNS", "Message", "JSON", "line 1, column 1"]),
            ([], ["JSON", "line 1, column 1"]), (Array("{\"a\":\n1,}".utf8), ["JSON", "line 2, column 3"]),
            ([0xFF, 0xFE], ["JSON", "line 1, column 1"]),
            ([UInt8](repeating: 0x20, count: 1 << 20 + 1), ["1048576"]),
        ] as [([UInt8], [String])])
    func tellsWhyABodyIsNoEvent(body: [UInt8], facts: [String]) {
        let reading = SESEventReader.read(body[...])
        #expect(Self.isMalformed(reading, facts), "\(reading)")
    }

    @Test(
        arguments: [
            ("a@b", "a@b"), ("Name <a@b>", "a@b"), ("<a@b>", "a@b"), (" a@b ", "a@b"), ("\"<x>\" <a@b>", "a@b"),
            ("a", nil), ("@b", nil), ("a@", nil), ("a b@c", nil), ("Name <a@b", nil), ("a@b\r\nc", nil), ("", nil),
            (String(repeating: "a", count: 400) + "@b", nil),
        ] as [(String, String?)])
    func reducesARecipientToItsAddress(text: String, address: String?) {
        #expect(SESEventReader.plainAddress(text) == address)
    }

    @Test func eventTextsAreBoundedAndFreeOfControlCharacters() {
        let long = String(repeating: "x", count: 2000)
        let event = Self.event(
            "Bounce",
            #"""
            "bounce": {"bounceType": "Permanent", "bounceSubType": "\#(long)", "bouncedRecipients": [
                {"emailAddress": "a@b", "diagnosticCode": "550 \u001b[31mred\u0000\n"}], "timestamp": "2026-08-05T00:41:02Z"}
            """#)
        guard case .reports(let reports) = SESEventReader.read(Array(event.utf8)[...]), let report = reports.first
        else {
            Issue.record("the event was not read")
            return
        }
        #expect(report.event.detail.subtype?.count == RecipientEvent.Detail.longestText)
        #expect(report.event.detail.diagnostic == "550  [31mred  ")
    }

    /// SNS accepts up to 256 KiB. Most of such an event is the header of the message, which SES repeats.
    @Test func readsAMessageOf256KiB() {
        let headers = (0..<2050).map { "{\"name\": \"X-\($0)\", \"value\": \"\(String(repeating: "v", count: 90))\"}" }
        let event =
            Self.event("Bounce", Self.bounce).replacing(
                #"[{"name": "From", "value": "Sender Name <sender@example.com>"}]"#,
                with: "[\(headers.joined(separator: ","))]")
        let body = Self.notification(JSON(event))
        #expect(body.count > 256 << 10)
        #expect(SESEventReader.read(body[...]) == Self.hard)
    }
}
