import RelayCore
import SenderReports
import TestSupport
import Testing

@Suite("The status code of a recipient") struct DeliveryStatusCodeTests {
    @Test(
        arguments: [
            (EventKind.bounced, nil, "smtp; 550 5.1.1 user unknown", "5.1.1"),
            (.bounced, nil, "550 5.1.1 user unknown", "5.1.1"),
            (.bounced, nil, "550-5.1.1 user unknown", "5.1.1"),
            (.bounced, nil, "550 #5.1.1 user unknown", "5.1.1"),
            (.bounced, nil, "5.7.26 not authenticated", "5.7.26"),
            (.bounced, nil, "452 4.2.2 mailbox full", "4.2.2"),
            (.bounced, nil, "550 2.0.0 ok", "5.0.0"),
            (.bounced, nil, "550 5.1 unknown", "5.0.0"),
            (.bounced, nil, "550 5.1.1234 unknown", "5.0.0"),
            (.bounced, nil, "550 5.1.\u{661} unknown", "5.0.0"),
            (.bounced, nil, "user 5 5.1.1 unknown", "5.0.0"),
            (.bounced, nil, "connected from 5.1.1", "5.0.0"),
            (.bounced, nil, "", "5.0.0"),
            (.bounced, "5.1.1 is not a reply", nil, "5.0.0"),
            (.rejected, "Bad content", nil, "5.7.0"),
            (.suppressed, "on the list", nil, "5.7.1"),
            (.failed, "MessageRejected: no", nil, "5.0.0"),
            (.failed, "gave up after 2 days: no route", nil, "4.4.7"),
            (.failed, nil, nil, "5.0.0"),
        ] as [(EventKind, String?, String?, String)])
    func code(kind: EventKind, reason: String?, diagnostic: String?, expected: String) {
        let recipient = UndeliveredRecipient(
            address: "to@example.net", at: Sample.now, kind: kind, reason: reason, diagnostic: diagnostic)
        #expect("\(DeliveryStatusCode(of: recipient))" == expected)
    }
}
