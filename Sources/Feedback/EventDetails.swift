import AWSClient
import RelayCore
import StrictJSON

extension SESEventReader {
    static func bounded(_ text: String, _ limit: Int) -> String { ForeignText.bounded(text, limit) }

    /// A recipient as an event names it.
    struct Told {
        var address: String?
        var diagnostic: String?
    }

    /// The kinds of event, which determine where the details are and what they mean.
    enum Details: String {
        case bounce = "Bounce"
        case complaint = "Complaint"
        case delivery = "Delivery"
        case deliveryDelay = "DeliveryDelay"
        case reject = "Reject"
        case renderingFailure = "Rendering Failure"

        init?(kind: String) { self.init(rawValue: kind == "RenderingFailure" ? "Rendering Failure" : kind) }

        /// The name of the member that contains the details.
        var member: String {
            switch self {
            case .bounce: "bounce"
            case .complaint: "complaint"
            case .delivery: "delivery"
            case .deliveryDelay: "deliveryDelay"
            case .reject: "reject"
            case .renderingFailure: "failure"
            }
        }

        var event: EventKind {
            switch self {
            case .bounce: .bounced
            case .complaint: .complained
            case .delivery: .delivered
            case .deliveryDelay: .delayed
            case .reject: .rejected
            case .renderingFailure: .failed
            }
        }

        func recipients(_ what: JSONObject, _ mail: JSONObject) -> [Told] {
            switch self {
            case .bounce: what["bouncedRecipients"].elements.map(Details.told)
            case .complaint: what["complainedRecipients"].elements.map(Details.told)
            case .deliveryDelay: what["delayedRecipients"].elements.map(Details.told)
            case .delivery: what["recipients"].elements.map { Told(address: $0.string) }
            // SES reports these events before it splits the message by recipient. So they concern all recipients.
            case .reject, .renderingFailure: mail["destination"].elements.map { Told(address: $0.string) }
            }
        }

        /// The details that all recipients of the event have in common.
        func common(_ what: JSONObject) -> RecipientEvent.Detail {
            switch self {
            case .bounce:
                RecipientEvent.Detail(
                    bounceType: what["bounceType"]?.string == "Permanent" ? .hard : .soft,
                    subtype: what["bounceSubType"]?.string, server: Details.server(what),
                    feedbackID: what["feedbackId"]?.string)
            case .complaint:
                RecipientEvent.Detail(
                    // `complaintSubType` means that the address was on the account's suppression list and SES therefore
                    // did not send.
                    subtype: what["complaintSubType"]?.string ?? what["complaintFeedbackType"]?.string,
                    feedbackID: what["feedbackId"]?.string)
            case .delivery:
                RecipientEvent.Detail(diagnostic: what["smtpResponse"]?.string, server: Details.server(what))
            case .deliveryDelay:
                RecipientEvent.Detail(subtype: what["delayType"]?.string, server: Details.server(what))
            case .reject: RecipientEvent.Detail(diagnostic: what["reason"]?.string)
            case .renderingFailure: RecipientEvent.Detail(diagnostic: what["errorMessage"]?.string)
            }
        }

        /// The receiving server, which SES names by its address if it connected to it. If there is no such address, the
        /// server that wrote the report.
        private static func server(_ what: JSONObject) -> String? {
            what["remoteMtaIp"]?.string ?? what["reportingMTA"]?.string.map(withoutType)
        }

        private static func told(_ entry: JSON) -> Told {
            guard case .object(let entry) = entry else { return Told() }
            let said = entry["diagnosticCode"]?.string.map(withoutType) ?? entry["status"]?.string
            return Told(address: entry["emailAddress"]?.string, diagnostic: said)
        }

        /// Fields of reports begin with the type of their value (RFC 3464 section 2.1.2): `smtp; 550 5.1.1 …`,
        /// `dns; mx.example`.
        private static func withoutType(_ text: String) -> String {
            for type in ["smtp;", "dns;", "dsn;"] where text.utf8.count > type.utf8.count {
                let begins = zip(text.utf8, type.utf8).allSatisfy { $0 | 0x20 == $1 | 0x20 }
                if begins { return String(text.dropFirst(type.count).drop { $0 == " " }) }
            }
            return text
        }
    }
}

extension JSON {
    /// Nil for a value that is not a string, and for an empty string. SES writes both for what it does not know.
    var string: String? {
        guard case .string(let text) = self, !text.utf8.isEmpty else { return nil }
        return text.text
    }

    var time: Timestamp? {
        guard case .string(let text) = self else { return nil }
        return Timestamp(rfc3339: text.utf8)
    }
}

extension JSON? {
    /// Empty for a value that is not an array.
    var elements: [JSON] {
        if case .array(let elements)? = self { elements } else { [] }
    }
}
