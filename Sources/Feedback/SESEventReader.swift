import RelayCore
import StrictJSON

/// Reads SES's events, which come through SNS and SQS.
///
/// The formats are those of the SES Developer Guide: "Contents of event data that Amazon SES publishes to Amazon SNS"
/// (`eventType`) and "Amazon SNS notification contents for Amazon SES" (`notificationType`). An event may be in an
/// envelope of SNS ("Amazon SNS message format"). With raw delivery, SNS leaves the envelope out. The result depends
/// only on the octets.
public enum SESEventReader {
    /// The longest body in octets that is read: the largest message of SQS.
    public static let longestBody = 1 << 20
    /// The largest number of recipients in one event. SES allows at most 50 in a message.
    public static let mostRecipients = Feedback.batch
    /// The longest address in octets (RFC 5321 section 4.5.3.1: 64 and 255, and the @ between them).
    static let longestAddress = 320

    private static let limits = JSONLimits(depth: 16, values: 50_000)

    /// Reads the body of a message of the queue. A body over ``longestBody`` is malformed.
    public static func read(_ body: ArraySlice<UInt8>) -> QueueReading {
        guard body.count <= longestBody else { return .malformed("the message is longer than \(longestBody) octets") }
        guard !isTest(body) else { return .passedOver(.test) }
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: body, limits: limits)
        } catch {
            return .malformed("the message is not JSON (line \(error.line), column \(error.column))")
        }
        guard case .object(let object) = document else {
            return .malformed("the message is \(document.kind) where an object is expected")
        }
        // Only the envelope of SNS has this member. If it is missing, the message came by raw delivery.
        guard let type = object["Type"]?.string else { return event(object, toldAt: nil) }
        switch type {
        case "Notification": return content(of: object)
        case "SubscriptionConfirmation", "UnsubscribeConfirmation": return .passedOver(.subscriptionConfirmation)
        default: return .unknownKind(bounded(type, 60))
        }
    }

    /// Whether this is the plain text that SES or SNS writes to a new destination.
    private static func isTest(_ text: ArraySlice<UInt8>) -> Bool {
        text.starts(with: "Successfully validated SNS topic for Amazon SES event publishing".utf8)
    }

    /// Reads the event in an SNS notification: JSON in a string, or an object.
    private static func content(of envelope: JSONObject) -> QueueReading {
        let toldAt = envelope["Timestamp"]?.time
        switch envelope["Message"] {
        case .object(let object): return event(object, toldAt: toldAt)
        case .string(let text):
            guard !isTest(text.utf8) else { return .passedOver(.test) }
            do throws(JSONError) {
                guard case .object(let object) = try JSON(reading: text.utf8, limits: limits) else {
                    return .malformed("the Message of the SNS notification is not a JSON object")
                }
                return event(object, toldAt: toldAt)
            } catch {
                return .malformed(
                    "the Message of the SNS notification is not JSON (line \(error.line), column \(error.column) in it)"
                )
            }
        default: return .malformed("the SNS notification has no Message")
        }
    }

    /// - Parameter toldAt: when SNS got the event, for an event without a time of its own.
    private static func event(_ object: JSONObject, toldAt: Timestamp?) -> QueueReading {
        guard let kind = object["eventType"]?.string ?? object["notificationType"]?.string else {
            return .malformed("the message has neither an eventType nor a notificationType")
        }
        guard let details = Details(kind: kind) else {
            if let passedOver = passedOver(kind) { return .passedOver(passedOver) }
            return .unknownKind(bounded(kind, 60))
        }
        guard case .object(let mail)? = object["mail"] else { return .malformed("the \(kind) event has no mail") }
        guard let id = mail["messageId"]?.string, isMessageID(id) else {
            return .malformed("the \(kind) event has no valid SES messageId")
        }
        guard case .object(let what)? = object[details.member] else {
            return .malformed("the \(kind) event has no \(details.member)")
        }
        guard let at = what["timestamp"]?.time ?? mail["timestamp"]?.time ?? toldAt else {
            return .malformed("the \(kind) event has no timestamp")
        }
        let told = details.recipients(what, mail)
        guard !told.isEmpty else { return .malformed("the \(kind) event names no recipient") }
        guard told.count <= mostRecipients else {
            return .malformed("the \(kind) event names more than \(mostRecipients) recipients")
        }
        let common = details.common(what)
        var reports: [FeedbackReport] = []
        reports.reserveCapacity(told.count)
        for recipient in told {
            // A recipient that can't be read must not cost the others their event.
            guard let address = recipient.address.flatMap(plainAddress) else { continue }
            var detail = common
            if let diagnostic = recipient.diagnostic { detail.diagnostic = diagnostic }
            reports.append(
                FeedbackReport(
                    sesMessageID: id, recipient: address,
                    event: RecipientEvent(details.event, at: at, printable(detail.bounded))))
        }
        guard !reports.isEmpty else { return .malformed("the \(kind) event names no recipient that is an address") }
        return .reports(reports)
    }

    private static func passedOver(_ kind: String) -> QueueReading.PassedOver? {
        switch kind {
        case "Send": .send
        case "Open": .open
        case "Click": .click
        case "Subscription": .subscription
        // Notifications of identities begin with this one.
        case "AmazonSnsSubscriptionSucceeded": .test
        default: nil
        }
    }

    /// Ids are compared with SES's answers, so they must be visible ASCII.
    private static func isMessageID(_ text: String) -> Bool {
        1...256 ~= text.utf8.count && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
    }

    /// Reduces `Name <a@b>` and `<a@b>` to `a@b`. Nil for text that can't be an address.
    static func plainAddress(_ text: String) -> String? {
        var address = text.utf8[...]
        if let open = address.lastIndex(of: UInt8(ascii: "<")) {
            guard let close = address[open...].firstIndex(of: UInt8(ascii: ">")) else { return nil }
            address = address[address.index(after: open)..<close]
        }
        while address.first == 0x20 { address.removeFirst() }
        while address.last == 0x20 { address.removeLast() }
        guard 3...longestAddress ~= address.count, let at = address.lastIndex(of: UInt8(ascii: "@")),
            at != address.startIndex, address.index(after: at) != address.endIndex,
            // A local part in quotation marks may contain blanks (RFC 5321 section 4.1.2).
            address.allSatisfy({ $0 > 0x20 && $0 != 0x7F || $0 == 0x20 && address.first == UInt8(ascii: "\"") })
        else { return nil }
        return String(Substring(address))
    }

    /// Replaces unprintable characters by spaces, because the texts come from any mail server and go to terminals and
    /// logs.
    private static func printable(_ detail: RecipientEvent.Detail) -> RecipientEvent.Detail {
        func clean(_ text: String?) -> String? {
            guard let text, text.utf8.contains(where: { !(0x20...0x7E ~= $0) }) else { return text }
            return bounded(text, RecipientEvent.Detail.longestText)
        }
        var detail = detail
        detail.subtype = clean(detail.subtype)
        detail.diagnostic = clean(detail.diagnostic)
        detail.server = clean(detail.server)
        detail.feedbackID = clean(detail.feedbackID)
        return detail
    }
}
